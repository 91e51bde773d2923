"""Runs the checks on the change and decides, by their results alone, how the flow goes on."""

from collections.abc import Mapping, Sequence

from mergewright import git
from mergewright.domain.session import JSON
from mergewright.flows.checks import Check, find_checks, is_test
from mergewright.flows.project import look_at
from mergewright.flows.repository import clone_of, texts_at
from mergewright.flows.steps.run_checks import line, run_all
from mergewright.flows.verdict import Ran, Verdict, decide, worse
from mergewright.flows.weakened import TestFile, weakened
from mergewright.flows.world import Done, Work, given


async def step(work: Work, arguments: Mapping[str, JSON]) -> Done:
    """Give `verdict`, with every check's result and the tests that got weaker."""
    base = given(arguments, "base", "verify")
    repository = clone_of(work.workspace)
    now = await repository.snapshot()
    changes = await repository.changed_files(base, tree=now)
    checks = [Check.decode(value) for value in arguments.get("checks") or []]
    found_late = not checks and work.may_run_commands
    if found_late:
        # Nothing to check with before: what the change itself brings is better than nothing, and is said.
        project = await look_at(work.sandbox())
        checks = list(find_checks(project.paths, project.texts, modules=project.modules))
    before = [Ran.decode(value) for value in arguments.get("before") or []]
    after = await run_all(work, checks, when="after", clean=now)
    gave_up = str(arguments.get("gave_up") or "")
    tries = int(arguments.get("tries") or 3)
    tries_left = 0 if gave_up else tries - work.run
    verdict = decide(before, after, changed=bool(changes), tries_left=tries_left)
    if gave_up and verdict is Verdict.PASSED:
        verdict = Verdict.FAILED
    files = await _test_files(repository, base, now, changes)
    earlier = {ran.command: ran for ran in before}
    failing = [ran for ran in after if worse(earlier.get(ran.command), ran)]
    return Done(
        {
            "verdict": verdict.value,
            "reason": _reason(verdict, failing, gave_up, work.run),
            "ran": [ran.encode() for ran in after],
            "found_late": found_late and bool(checks),
            "failures": "\n\n".join(f"{line(ran)}\n{ran.output}" for ran in failing) or None,
            "weakened": [one.encode() for one in weakened(files)],
            "changes": [{"status": status, "path": path} for status, path in changes],
            "runs": work.run,
        }
    )


def _reason(verdict: Verdict, failing: list[Ran], gave_up: str, runs: int) -> str:
    if verdict is Verdict.UNCHANGED:
        return f"the agent changed nothing{f': {gave_up}' if gave_up else ''}"
    if verdict is not Verdict.FAILED:
        return ""
    checks = "; ".join(line(ran) for ran in failing)
    if gave_up:
        return f"the agent ended early: {gave_up}" + (f"; checks fail: {checks}" if checks else "")
    return f"checks still fail after {runs} tries: {checks}"


async def _test_files(
    repository: git.Repository, base: str, now: str, changes: Sequence[tuple[str, str]]
) -> list[TestFile]:
    tests = [(status, path) for status, path in changes if is_test(path)]
    before = await texts_at(repository, base, [path for status, path in tests if status != "A"])
    after = await texts_at(repository, now, [path for status, path in tests if status != "D"])
    return [TestFile(path, before.get(path), after.get(path)) for _, path in tests]
