"""How the reviewer behaves in a project, and what its approval is worth there."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from enum import StrEnum
from typing import Literal

from mergewright.domain.errors import WrongUse
from mergewright.domain.forge import AccessLevel
from mergewright.domain.review import Severity
from mergewright.domain.session import JSON


class Approval(StrEnum):
    """What the reviewer's approval is worth, from nothing to indispensable."""

    ADVISORY = "advisory"
    COUNTS = "counts"
    NOT_COUNTED = "not_counted"
    REQUIRED = "required"


@dataclass(frozen=True, slots=True)
class Policy:
    """The settings in force for one project, by their names in settings, files and the API."""

    request_changes: bool = True
    block_on: Severity = Severity.CRITICAL
    approval: Approval = Approval.NOT_COUNTED
    override_role: AccessLevel = AccessLevel.MAINTAINER
    auto_review: bool = True
    review_on_push: bool = True
    on_failure: Literal["open", "closed"] = "open"
    exclude: tuple[str, ...] = ()
    """Globs of paths that nobody reviews."""
    round_limit: int = 5
    """Reviews with changes requested after which the reviewer hands over to a person."""
    most_findings: int = 20
    """Threads one review may open; the mildest beyond that stand in the summary."""
    analyzers: Mapping[str, str] = field(default_factory=dict)
    """Further analyzers: a name to a command that prints SARIF or Code Quality JSON."""
    flows_off: tuple[str, ...] = ()
    """Flows that may not be started here, by name, such as `developer`."""

    def allows(self, flow: str) -> bool:
        """Whether a flow may be started here; `developer/v1` is the same as `developer`."""
        return flow.removesuffix("/v1") not in self.flows_off

    def encode(self) -> dict[str, JSON]:
        """Give the policy as files, the API and the audit write it."""
        return {
            **{one.name: getattr(self, one.name) for one in fields(self)},
            "block_on": self.block_on.value,
            "approval": self.approval.value,
            "override_role": self.override_role.name.lower(),
            "exclude": list(self.exclude),
            "analyzers": dict(self.analyzers),
            "flows_off": list(self.flows_off),
        }

    @classmethod
    def decode(cls, values: Mapping[str, JSON]) -> "Policy":
        """Read a policy as `encode` writes it, absent names at their default; raises WrongUse for a wrong one."""
        return cls(**{name: _read(name, value) for name, value in values.items()})


WHOLE = {"round_limit": range(1, 101), "most_findings": range(101)}
WORDS: Mapping[str, Mapping[str, object]] = {
    "block_on": {one.value: one for one in Severity},
    "approval": {one.value: one for one in Approval},
    "override_role": {
        one.name.lower(): one for one in (AccessLevel.DEVELOPER, AccessLevel.MAINTAINER, AccessLevel.OWNER)
    },
    "on_failure": {"open": "open", "closed": "closed"},
}
_FLOW = re.compile(r"[a-z][a-z0-9_]{0,63}")
_TAKEN = frozenset({"model", "steering", "ruff", "bandit"})
NAMES = frozenset(one.name for one in fields(Policy))


def _read(name: str, value: JSON) -> JSON:
    if name in WORDS:
        if isinstance(value, str) and value in WORDS[name]:
            return WORDS[name][value]
        raise WrongUse(f"`{name}` is `{value}`", hint=f"one of `{'`, `'.join(WORDS[name])}`")
    if name in {"request_changes", "auto_review", "review_on_push"}:
        if isinstance(value, bool):
            return value
        raise WrongUse(f"`{name}` is `{value}`", hint="`true` or `false`")
    if name in WHOLE:
        if isinstance(value, int) and not isinstance(value, bool) and value in WHOLE[name]:
            return value
        raise WrongUse(f"`{name}` is `{value}`", hint=f"a number from {WHOLE[name][0]} to {WHOLE[name][-1]}")
    if name == "exclude":
        if isinstance(value, (list, tuple)) and all(isinstance(one, str) and one for one in value):
            return tuple(value)
        raise WrongUse("`exclude` is no list of globs", hint='as in `exclude: ["docs/**"]`')
    if name == "analyzers":
        if isinstance(value, Mapping) and all(isinstance(one, str) for pair in value.items() for one in pair):
            if taken := sorted(_TAKEN.intersection(value)):
                raise WrongUse(f"no analyzer may be called `{taken[0]}`", hint="the name is taken; choose another one")
            return dict(value)
        raise WrongUse("`analyzers` names no commands", hint="as in `analyzers: {semgrep: semgrep scan --sarif}`")
    if name == "flows_off":
        if isinstance(value, (list, tuple)) and all(isinstance(one, str) and _FLOW.fullmatch(one) for one in value):
            return tuple(sorted(set(value)))
        raise WrongUse("`flows_off` is no list of flows", hint='as in `flows_off: ["developer"]`')
    raise WrongUse(f"there is no policy `{name}`", hint=f"one of `{'`, `'.join(sorted(NAMES))}`")
