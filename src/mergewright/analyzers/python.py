"""ruff and bandit on Python files, with our choice of rules and nothing that the files themselves decide."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

from mergewright.analyzers.output import batches, in_tree, report, run
from mergewright.analyzers.table import BANDIT, RUFF, Meaning
from mergewright.domain.errors import MergewrightError
from mergewright.domain.review import Candidate
from mergewright.domain.sandbox import Sandbox
from mergewright.domain.session import JSON

_NOQA = re.compile(r"#\s*(?:noqa\b[^#]*|ruff:\s*noqa\b[^#]*)", re.IGNORECASE)
_NOSEC = re.compile(r"#\s*nosec\b[^#]*", re.IGNORECASE)


class Ruff:
    """Finds faults in Python without running it."""

    name = "ruff"

    def reads(self, path: str) -> bool:
        return is_python(path)

    async def run(self, sandbox: Sandbox, paths: Sequence[str]) -> Sequence[Candidate]:
        rules = ",".join(rule for rule in RUFF if rule not in {"invalid-syntax"})
        options = f"--isolated --no-cache --preview --ignore-noqa --output-format json --select {rules}"
        found: list[Candidate] = []
        for batch in batches([path for path in paths if is_python(path)]):
            result, data = await run(sandbox, f"ruff check {options} -- {batch}", name=self.name)
            if result.exit_code not in {0, 1}:
                raise MergewrightError(f"ruff ended with exit code {result.exit_code}")
            for item in _items(report(data, name=self.name), name=self.name):
                code = item.get("code") or "invalid-syntax"
                if meaning := RUFF.get(code):
                    found.append(_ruff(item, code, meaning, str(sandbox.root)))
        return await _with_suppressions(sandbox, found, _NOQA)


class Bandit:
    """Finds security faults in Python without running it."""

    name = "bandit"

    def reads(self, path: str) -> bool:
        return is_python(path)

    async def run(self, sandbox: Sandbox, paths: Sequence[str]) -> Sequence[Candidate]:
        found: list[Candidate] = []
        for batch in batches([path for path in paths if is_python(path)]):
            # An empty file of its own, for else the project's `.bandit` would be looked for.
            options = f"--quiet --format json --ignore-nosec --exit-zero --ini /dev/null --tests {','.join(BANDIT)}"
            result, data = await run(sandbox, f"bandit {options} {batch}", name=self.name)
            if result.exit_code != 0:
                raise MergewrightError(f"bandit ended with exit code {result.exit_code}")
            told = report(data, name=self.name)
            for item in _items(told.get("results") if isinstance(told, dict) else None, name=self.name):
                if meaning := BANDIT.get(str(item.get("test_id"))):
                    found.append(_bandit(item, meaning, str(sandbox.root)))
        return await _with_suppressions(sandbox, found, _NOSEC)


def is_python(path: str) -> bool:
    """Whether ruff and bandit can read a file of this name."""
    return path.endswith((".py", ".pyi"))


def _items(value: JSON, *, name: str) -> list[Mapping[str, JSON]]:
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise MergewrightError(f"the analyzer `{name}` gave a report of another form than it should")
    return value


def _ruff(item: Mapping[str, JSON], code: str, meaning: Meaning, root: str) -> Candidate:
    start, end = item["location"]["row"], item["end_location"]["row"]
    if item["end_location"]["column"] == 1 and end > start:
        end -= 1
    message = str(item["message"])
    return Candidate(
        in_tree(str(item["filename"]), root),
        end,
        meaning.severity,
        meaning.category,
        meaning.title or message,
        f"{message}." if not message.endswith(".") else message,
        start_line=start,
        evidence=f"ruff {code}: {message}",
        source="ruff",
        rule=code,
    )


def _bandit(item: Mapping[str, JSON], meaning: Meaning, root: str) -> Candidate:
    message = " ".join(str(item["issue_text"]).split())
    lines = [int(line) for line in item.get("line_range") or () if isinstance(line, int)] or [int(item["line_number"])]
    return Candidate(
        in_tree(str(item["filename"]), root),
        min(max(lines), min(lines) + 9),
        meaning.severity,
        meaning.category,
        meaning.title or message,
        message,
        start_line=min(lines),
        evidence=f"bandit {item['test_id']}: {message} (confidence {str(item.get('issue_confidence')).lower()})",
        source="bandit",
        rule=str(item["test_id"]),
    )


async def _with_suppressions(
    sandbox: Sandbox, found: Sequence[Candidate], comment: re.Pattern[str]
) -> Sequence[Candidate]:
    """Mark what a comment in the code silences: whoever reviews is told, and decides."""
    texts: dict[str, list[str]] = {}
    marked: list[Candidate] = []
    for one in found:
        if one.path not in texts:
            texts[one.path] = (await sandbox.read(one.path)).decode("utf-8", "replace").split("\n")
        lines = texts[one.path][(one.start_line or one.line) - 1 : one.line]
        silenced = next((match[0].strip() for line in lines if (match := comment.search(line))), "")
        marked.append(replace(one, suppressed=silenced))
    return marked
