"""Runs the project's own checks in the sandbox."""

from collections.abc import Mapping, Sequence

from mergewright.agent.fence import fence
from mergewright.agent.testruns import parse
from mergewright.domain.sandbox import Ended, Sandbox
from mergewright.domain.session import JSON, EventKind
from mergewright.flows.checks import Check
from mergewright.flows.repository import clone_of
from mergewright.flows.scratch import fresh, keep
from mergewright.flows.verdict import Ran
from mergewright.flows.world import Done, Work, given

MOST_OUTPUT = 6_000
FORGET = "git ls-files -z --others --ignored -x '*.pyc' -x .mypy_cache/ | xargs -0 rm -f --"
"""Takes away what Python believes rather than the source beside it, and what no commit holds."""
NO_COMMANDS = "This session may run no commands: the project's checks were not run, and you cannot run any."
NOT_FOUND = 127
"""What a shell answers when there is no such command."""


async def step(work: Work, arguments: Mapping[str, JSON]) -> Done:
    """Run each check once; a failing check is a result here, not an error.

    Where nothing of what CI runs is installed here, the checks that the files call for are run instead. A session that
    may run no commands runs none.
    """
    if not work.may_run_commands:
        return Done({"checks": [], "not_run": [], "ran": [], "text": NO_COMMANDS})
    checks = [Check.decode(value) for value in given(arguments, "checks", "run_checks")]
    instead = [Check.decode(value) for value in arguments.get("instead") or []]
    when = str(arguments.get("when") or "before")
    ran = await run_all(work, checks, when=when)
    if instead and ran and all(one.exit_code == NOT_FOUND for one in ran):
        checks = instead
        ran = await run_all(work, checks, when=when)
    found = [one.command for one in ran if one.exit_code != NOT_FOUND]
    return Done(
        {
            # What is not installed cannot speak for or against a change; it is named, and not run again.
            "checks": [check.encode() for check in checks if check.command in found or not found],
            "not_run": [one.command for one in ran if found and one.command not in found],
            "ran": [one.encode() for one in ran],
            "text": baseline(ran),
        }
    )


async def run_all(work: Work, checks: Sequence[Check], *, when: str, clean: str = "") -> list[Ran]:
    """Run the checks one after the other, keep each as an event, and take back what they did to the work tree.

    `clean` is the work tree's snapshot, where the caller has one already.
    """
    if not checks:
        return []
    repository = clone_of(work.workspace)
    clean = clean or await repository.snapshot()
    with fresh(work.workspace) as workspace:
        sandbox = work.world.open_sandbox(workspace)
        if when != "before":
            await sandbox.run(FORGET)
        results = [await _run(work, sandbox, check, when) for check in checks]
        if when == "before":
            # Only the untouched code has run: what its checks have built and kept may be used again.
            keep(workspace)
        # A report or a touched lock file is no part of the change.
        await repository.restore(clean)
    return results


async def _run(work: Work, sandbox: Sandbox, check: Check, when: str) -> Ran:
    await work.say(f"running `{check.command}`")
    result = await sandbox.run(check.command, seconds=work.world.settings.check_seconds)
    tests = parse(result.output)
    ended = "" if result.ended is Ended.EXITED else f"ended: {result.ended.value}"
    ran = Ran(
        check.command,
        result.exit_code,
        result.seconds,
        "; ".join(part for part in (ended, str(tests) if tests else "") if part),
        tuple(tests.failures) if tests else (),
        tests is not None,
        tests.failed if tests else 0,
        "" if result.exit_code == 0 else result.output[-MOST_OUTPUT:],
    )
    await work.emit(
        EventKind.CHECK,
        {
            "command": ran.command,
            "exit_code": ran.exit_code,
            "seconds": round(ran.seconds, 3),
            "summary": ran.summary,
            "when": when,
        },
    )
    return ran


def line(ran: Ran) -> str:
    """Say in one line how a check ended."""
    ended = f"exit code {ran.exit_code}" if ran.exit_code is not None else "no exit code"
    return f"`{ran.command}`: {ended}{f', {ran.summary}' if ran.summary else ''}, {ran.seconds:.1f} s"


def baseline(results: Sequence[Ran]) -> str:
    """Tell the model how the project stood before anything was changed."""
    if not results:
        return (
            "The project has no checks that could be found. Find out how it is tested, or bring tests with your change."
        )
    lines = ["The project's checks, run on the untouched code just now:", *(f"- {line(ran)}" for ran in results)]
    for ran in results:
        if not ran.passed:
            lines.append(fence("end of the output of a check that fails already", ran.output[-1_500:]))
    return "\n".join(lines)
