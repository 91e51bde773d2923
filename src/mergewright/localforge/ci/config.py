"""Reading `.gitlab-ci.yml`: what the forge does, what it leaves out with a notice, and what it refuses."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

from mergewright.localforge.ci.conditions import BadExpression, tokens
from mergewright.localforge.ci.yaml_file import read_yaml

DEFAULT_STAGES = ("build", "test", "deploy")
GLOBAL_WORDS = frozenset(
    {"stages", "variables", "default", "workflow", "before_script", "after_script", "image", "cache"}
)
LEFT_OUT = frozenset(
    {
        "image",
        "cache",
        "artifacts",
        "tags",
        "interruptible",
        "coverage",
        "needs",
        "dependencies",
        "retry",
        "environment",
        "resource_group",
    }
)
"""Words that change where or how fast a job runs: left out with a line in the job's trace."""
JOB_WORDS = LEFT_OUT | {
    "script", "before_script", "after_script", "stage", "variables", "rules", "only", "except", "when",
    "allow_failure", "extends", "timeout",
}  # fmt: skip
DEFAULT_WORDS = frozenset({"before_script", "after_script", "timeout"}) | LEFT_OUT
WHENS = ("on_success", "on_failure", "always", "manual", "never")
RULE_WORDS = frozenset({"if", "when", "allow_failure", "variables"})
MOST_MERGES = 1_000
UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


class InvalidConfig(Exception):
    """A configuration that the forge will not run, with one sentence for each reason."""

    def __init__(self, errors: list[str]) -> None:
        super().__init__("; ".join(errors))
        self.errors = errors


@dataclass(frozen=True, slots=True)
class Rule:
    condition: str | None
    when: str
    allow_failure: bool | None
    variables: dict[str, str]


@dataclass(frozen=True, slots=True)
class JobConfig:
    """One job as the configuration describes it."""

    name: str
    stage: str
    script: tuple[str, ...]
    after_script: tuple[str, ...]
    variables: dict[str, str]
    when: str
    allow_failure: bool | None
    rules: tuple[Rule, ...] | None
    only: tuple[str, ...] | None
    excluded: tuple[str, ...]
    timeout: float | None
    left_out: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Config:
    stages: tuple[str, ...]
    variables: dict[str, str]
    jobs: tuple[JobConfig, ...]
    workflow: tuple[Rule, ...] | None
    merged: dict[str, Any] = field(repr=False)

    @property
    def warnings(self) -> list[str]:
        return [notice(job.name, word) for job in self.jobs for word in job.left_out]


def notice(job: str, word: str) -> str:
    return f"jobs:{job}: `{word}` is left out by the local forge"


def read_config(text: str) -> Config:
    """Read a configuration; raises InvalidConfig with every reason found."""
    try:
        # Tags such as !reference are refused.
        loaded = read_yaml(text)
    except yaml.YAMLError as error:
        raise InvalidConfig([f"Invalid configuration format: {' '.join(str(error).split())}"]) from error
    if not isinstance(loaded, dict) or not all(isinstance(key, str) for key in loaded):
        raise InvalidConfig(["Invalid configuration format: the file must be a mapping of jobs"])
    return _Reader(loaded).read()


class _Reader:
    """One pass over a loaded file, gathering errors."""

    def __init__(self, loaded: dict[str, Any]) -> None:
        self.loaded = loaded
        self.errors: list[str] = []
        self.merges = 0

    def read(self) -> Config:
        stages = self.stages()
        default = self.mapping(self.loaded.get("default", {}), "default")
        for word in sorted(set(default) - DEFAULT_WORDS):
            self.errors.append(f"default: `{word}` is not supported by the local forge")
        for word in ("before_script", "after_script"):
            if word in self.loaded:
                default.setdefault(word, self.loaded[word])
        jobs = []
        for name, body in self.loaded.items():
            if name in GLOBAL_WORDS or name.startswith("."):
                continue
            if name in {"services", "include"}:
                self.errors.append(f"`{name}` is not supported by the local forge")
                continue
            jobs.append(self.job(name, self.extended(name, body, ()), default, stages))
        workflow = self.workflow()
        if not jobs and not self.errors:
            self.errors.append("jobs config should contain at least one visible job")
        variables = self.variables(self.loaded.get("variables", {}), "variables")
        if self.errors:
            raise InvalidConfig(self.errors)
        return Config(stages, variables, tuple(job for job in jobs if job), workflow, self.loaded)

    def stages(self) -> tuple[str, ...]:
        value = self.loaded.get("stages", list(DEFAULT_STAGES))
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            self.errors.append("stages config should be an array of strings")
            value = list(DEFAULT_STAGES)
        return (".pre", *(item for item in value if item not in {".pre", ".post"}), ".post")

    def workflow(self) -> tuple[Rule, ...] | None:
        body = self.mapping(self.loaded.get("workflow", {}), "workflow")
        for word in sorted(set(body) - {"rules", "name"}):
            self.errors.append(f"workflow: `{word}` is not supported by the local forge")
        return self.rules(body["rules"], "workflow") if "rules" in body else None

    def extended(self, name: str, body: object, seen: tuple[str, ...]) -> dict[str, Any]:
        """A job with what it extends merged below it."""
        job = self.mapping(body, f"jobs:{name}")
        parents = job.get("extends", [])
        parents = [parents] if isinstance(parents, str) else parents
        merged: dict[str, Any] = {}
        for parent in parents if isinstance(parents, list) else []:
            self.merges += 1
            if self.merges > MOST_MERGES:
                # Ten levels of ten parents each would be merged till the end of days.
                raise InvalidConfig([f"jobs:{name}: `extends` is used more than {MOST_MERGES:,} times"])
            if parent in seen or len(seen) > 10:
                self.errors.append(f"jobs:{name}: `extends` goes in a circle")
            elif not isinstance(parent, str) or parent not in self.loaded:
                self.errors.append(f"jobs:{name}: `extends` names `{parent}`, which is not there")
            else:
                merged = _merge(merged, self.extended(parent, self.loaded[parent], (*seen, name)))
        return _merge(merged, {key: value for key, value in job.items() if key != "extends"})

    def job(
        self, name: str, body: dict[str, Any], default: dict[str, Any], stages: tuple[str, ...]
    ) -> JobConfig | None:
        for word in sorted(set(body) - JOB_WORDS):
            self.errors.append(f"jobs:{name}: `{word}` is not supported by the local forge")
        if "script" not in body:
            self.errors.append(f"jobs:{name} config should contain a `script`")
            return None
        if "rules" in body and ("only" in body or "except" in body):
            self.errors.append(f"jobs:{name} config key may not be used with `rules`: only, except")
        merged = default | body
        stage = body.get("stage", "test")
        if stage not in stages:
            self.errors.append(
                f"{name} job: chosen stage {stage} does not exist; available stages are {', '.join(stages)}"
            )
        before = self.lines(merged.get("before_script", []), f"jobs:{name}:before_script")
        return JobConfig(
            name=name,
            stage=str(stage),
            script=(*before, *self.lines(body["script"], f"jobs:{name}:script")),
            after_script=self.lines(merged.get("after_script", []), f"jobs:{name}:after_script"),
            variables=self.variables(body.get("variables", {}), f"jobs:{name}:variables"),
            when=self.when(body.get("when", "on_success"), f"jobs:{name}"),
            allow_failure=self.allow_failure(body.get("allow_failure"), f"jobs:{name}"),
            rules=self.rules(body["rules"], f"jobs:{name}") if "rules" in body else None,
            only=self.refs(body["only"], f"jobs:{name}:only") if "only" in body else None,
            excluded=self.refs(body.get("except", []), f"jobs:{name}:except"),
            timeout=self.timeout(merged.get("timeout"), name),
            left_out=tuple(sorted(LEFT_OUT & (set(merged) | (set(self.loaded) & {"image", "cache"})))),
        )

    # --- values -------------------------------------------------------------------------------

    def mapping(self, value: object, where: str) -> dict[str, Any]:
        if isinstance(value, dict) and all(isinstance(key, str) for key in value):
            return dict(value)
        self.errors.append(f"{where} config should be a hash")
        return {}

    def lines(self, value: object, where: str) -> tuple[str, ...]:
        if isinstance(value, str):
            return (value,)
        if isinstance(value, list) and all(isinstance(item, (str, list)) for item in value):
            return tuple(line for item in value for line in (self.lines(item, where)))
        self.errors.append(f"{where} config should be a string or a nested array of strings")
        return ()

    def variables(self, value: object, where: str) -> dict[str, str]:
        found = {}
        for key, item in self.mapping(value, where).items():
            if isinstance(item, dict) and set(item) <= {"value", "description", "options", "expand"}:
                item = item.get("value", "")
            if not re.fullmatch(r"[A-Za-z_]\w*", key) or isinstance(item, (dict, list)):
                self.errors.append(f"{where} config should be a hash of key value pairs")
                continue
            found[key] = str(item).lower() if isinstance(item, bool) else str(item)
        return found

    def when(self, value: object, where: str) -> str:
        if value in WHENS:
            return str(value)
        self.errors.append(f"{where}: `when: {value}` is not supported by the local forge")
        return "on_success"

    def allow_failure(self, value: object, where: str) -> bool | None:
        if value is None or isinstance(value, bool):
            return value
        self.errors.append(f"{where}: `allow_failure` should be true or false for the local forge")
        return None

    def timeout(self, value: object, name: str) -> float | None:
        if value is None:
            return None
        parts = re.findall(r"(\d+)\s*([smhd])[a-z]*", str(value))
        if not parts:
            self.errors.append(f"jobs:{name}:timeout config should be a duration")
            return None
        return float(sum(int(number) * UNITS[unit] for number, unit in parts))

    def rules(self, value: object, where: str) -> tuple[Rule, ...]:
        found = []
        for item in value if isinstance(value, list) else [value]:
            rule = self.mapping(item, f"{where}:rules")
            for word in sorted(set(rule) - RULE_WORDS):
                self.errors.append(f"{where}:rules: `{word}` is not supported by the local forge")
            condition = rule.get("if")
            if condition is not None:
                try:
                    tokens(str(condition))
                except BadExpression as error:
                    self.errors.append(f"{where}:rules: {error}")
            found.append(
                Rule(
                    None if condition is None else str(condition),
                    self.when(rule.get("when", "on_success"), f"{where}:rules") if "when" in rule else "",
                    self.allow_failure(rule.get("allow_failure"), f"{where}:rules"),
                    self.variables(rule.get("variables", {}), f"{where}:rules:variables"),
                )
            )
        return tuple(found)

    def refs(self, value: object, where: str) -> tuple[str, ...]:
        if isinstance(value, dict) and set(value) == {"refs"}:
            value = value["refs"]
        items = [value] if isinstance(value, str) else value
        if isinstance(items, list) and all(isinstance(item, str) for item in items):
            return tuple(items)
        self.errors.append(f"{where} config should be a list of refs for the local forge")
        return ()


def _merge(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Merge as `extends` does: mappings deeply, everything else replaced."""
    merged = dict(below)
    for key, value in above.items():
        both = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = _merge(merged[key], value) if both else value
    return merged
