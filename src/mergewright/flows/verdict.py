"""Decides from the checks' results whether a change holds; no model has a say in it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from mergewright.domain.session import JSON


@dataclass(frozen=True, slots=True)
class Ran:
    """One check that was run: how it ended, and what its output says of the tests."""

    command: str
    exit_code: int | None
    """None when it was ended: by its time limit, for example."""
    seconds: float
    summary: str
    failures: tuple[str, ...] = ()
    counted: bool = False
    """Whether the numbers of tests could be read from the output."""
    failed: int = 0
    output: str = ""

    @property
    def passed(self) -> bool:
        return self.exit_code == 0

    def encode(self) -> dict[str, JSON]:
        return {
            "command": self.command,
            "exit_code": self.exit_code,
            "seconds": round(self.seconds, 3),
            "summary": self.summary,
            "failures": list(self.failures),
            "counted": self.counted,
            "failed": self.failed,
            "output": self.output,
        }

    @classmethod
    def decode(cls, value: Mapping[str, JSON]) -> "Ran":
        return cls(
            value["command"],
            value["exit_code"],
            value["seconds"],
            value["summary"],
            tuple(value["failures"]),
            value["counted"],
            value["failed"],
            value["output"],
        )


class Verdict(StrEnum):
    PASSED = "passed"
    AGAIN = "again"
    """Checks fail because of the change, and there is a try left."""
    FAILED = "failed"
    UNCHANGED = "unchanged"
    """The work tree is as it was."""


def worse(before: Ran | None, after: Ran) -> bool:
    """Whether a check's failure is to be held against the change.

    A check that failed before is held against it only when it fails in more places, or in others, or
    when its tests can no longer be counted though they could.
    """
    if after.passed:
        return False
    if before is None or before.passed:
        return True
    if before.counted and after.counted:
        return after.failed > before.failed or bool(set(after.failures) - set(before.failures))
    return before.counted != after.counted or (after.exit_code is None and before.exit_code is not None)


def decide(before: Sequence[Ran], after: Sequence[Ran], *, changed: bool, tries_left: int) -> Verdict:
    """Give the verdict on a change from the checks before and after it."""
    earlier = {ran.command: ran for ran in before}
    failing = [ran for ran in after if worse(earlier.get(ran.command), ran)]
    if failing and tries_left > 0:
        return Verdict.AGAIN
    if not changed:
        return Verdict.UNCHANGED
    return Verdict.FAILED if failing else Verdict.PASSED
