"""What a test runner's output says: how many passed, how many failed, and which."""

import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import ClassVar

from mergewright.agent.filetext import plain
from mergewright.domain.sandbox import CommandResult, Ended
from mergewright.domain.session import JSON


@dataclass(frozen=True, slots=True)
class TestRun:
    """The counts of a test run by its runner's own words; only the exit code says whether it went well."""

    __test__: ClassVar[bool] = False
    passed: int
    failed: int
    skipped: int = 0
    failures: tuple[str, ...] = ()
    """Names of failed tests, as far as the output gives them."""

    def __str__(self) -> str:
        counts = [(self.passed, "passed"), (self.failed, "failed"), (self.skipped, "skipped")]
        return ", ".join(f"{count} {word}" for count, word in counts if count) or "no tests ran"

    def encode(self) -> dict[str, JSON]:
        return {
            "passed": self.passed,
            "failed": self.failed,
            "skipped": self.skipped,
            "failures": list(self.failures[:50]),
        }


_WORDS = {
    "passed": "passed", "passing": "passed", "pass": "passed", "xpassed": "passed", "Passed": "passed",
    "failed": "failed", "failing": "failed", "fail": "failed", "error": "failed", "errors": "failed",
    "failures": "failed", "failure": "failed", "cancelled": "failed", "Failed": "failed", "Failures": "failed",
    "Errors": "failed", "skipped": "skipped", "xfailed": "skipped", "pending": "skipped", "ignored": "skipped",
    "skip": "skipped", "skips": "skipped", "todo": "skipped", "Skipped": "skipped", "Incomplete": "skipped",
    "unexpected successes": "failed", "expected failures": "skipped",
}  # fmt: skip
_COUNT_WORD = re.compile(r"(\d+) ([A-Za-z]+)")
_WORD_COUNT = re.compile(r"(\w+(?: successes| failures)?)(?:: *|=)(\d+)")


def _count(pairs: Iterator[tuple[str, str]]) -> Counter[str]:
    """Add up counts by what they mean; words that mean neither are left out."""
    found: Counter[str] = Counter()
    for number, word in pairs:
        if word in _WORDS:
            found[_WORDS[word]] += int(number)
    return found


def _numbers_first(line: str) -> Counter[str]:
    return _count((match[1], match[2]) for match in _COUNT_WORD.finditer(line))


def _words_first(line: str) -> Counter[str]:
    return _count((match[2], match[1]) for match in _WORD_COUNT.finditer(line))


def _of_total(line: str, total: str) -> Counter[str]:
    """Counts where a runner gives the total and what went wrong, but not how many passed."""
    found = _words_first(line) + _numbers_first(line)
    match = re.search(total, line)
    found["passed"] = max(0, int(match[1]) - found["failed"] - found["skipped"]) if match else 0
    return found


def _failed_of(failed: list[str], total: str, text: str) -> Counter[str]:
    bad = sum(map(int, failed))
    return Counter(failed=bad, passed=sum(int(number) for number in re.findall(total, text)) - bad)


Reader = Callable[[str], Counter[str]]
# One line a runner: how its line of totals begins, how to read it, how it names a failed test.
_RUNNERS: tuple[tuple[str, Reader, str], ...] = (
    (r"^(?:=+ )?(?:\d+ \w+(?: passed)?, )*\d+ (?:passed|failed|errors?|skipped|xfailed|xpassed|deselected|warnings?)"
     r"(?:, \d+ \w+(?: passed)?)* in [\d.]+s.*$|^(?:=+ )?no tests ran in .*$",
     _numbers_first, r"^(?:FAILED|ERROR) (\S+(?:\[.*?\])?)(?: - .*)?$"),
    (r"^Ran \d+ tests? in .*\n+(?:OK|FAILED|NO TESTS RAN).*$",
     lambda line: _of_total(line, r"Ran (\d+)"), r"^(?:FAIL|ERROR): (\S+(?: \([\w.<>]+\))?)"),
    (r"^test result: .*$", _numbers_first, r"^test (\S+) \.\.\. FAILED"),
    (r"^Tests:\s+(?:\d+ \w+, )*\d+ total$", _numbers_first, r"^\s*● (.+ › .+)$"),
    (r"^\s*Tests\s+\d+ \w+(?: \| \d+ \w+)* \(\d+\)$", _numbers_first, r"^\s*(?:FAIL|×)\s+(.+ > .+?)(?: \d+ms)?$"),
    (r"^(?:#|ℹ) tests \d+\n(?:(?:#|ℹ) \w+ [\d.]+\n?)+",
     lambda line: _count((m[2], m[1]) for m in re.finditer(r"^(?:#|ℹ) (\w+) (\d+)$", line, re.MULTILINE)),
     r"^\s*(?:not ok \d+ - (?!.*# (?:TODO|SKIP))|✖ (?!failing tests))(.+?)(?: \([\d.]+ms\))?$"),
    (r"^(?:Test Summary Report\n(?:.*\n)*?)?Files=\d+, Tests=\d+,.*$",
     lambda lines: _failed_of(re.findall(r"Failed: (\d+)\)$", lines, re.MULTILINE), r"Tests=(\d+)", lines),
     r"^(\S+\.t) +\(Wstat: .*\)$|^# +Failed test '(.+)'$"),
    (r"^\s*\d+ passing\b.*(?:\n\s*\d+ (?:pending|failing))*", _numbers_first, r"^ +\d+\) (.+):$"),
    (r"^\d+ examples?, \d+ failures?.*$", lambda line: _of_total(line, r"(\d+) examples?"), r"^rspec (\S+) #"),
    (r"^Tests: \d+, Assertions: \d+.*$|^OK \(\d+ tests?, \d+ assertions?\)$",
     lambda line: _of_total(line, r"(?:Tests: |OK \()(\d+)"), r"^\d+\) (\S+::\S+)"),
    (r"^(?:\[\w+\] +)?Tests run: \d+, Failures: \d+(?:, Errors: \d+)?(?:, Skipped: \d+)?\s*$",
     lambda line: _of_total(line, r"Tests run: (\d+)"), r"^\[ERROR\]\s+(\w+[.#]\w+):?\d*"),
    (r"^\d+ tests completed(?:, \d+ \w+)*$", lambda line: _of_total(line, r"(\d+) tests"), r"^(\w+ > .+) FAILED$"),
    (r"^\d+ runs, \d+ assertions, .*$", lambda line: _of_total(line, r"(\d+) runs"), r"^(\w+#\w+)"),
    (r"^(?:\d+ doctests?, )?\d+ tests?, \d+ failures?.*$",
     lambda line: _of_total(line, r"(\d+) tests?"), r"^ +\d+\) (test .+) \(.+\)$"),
    (r"^(?:Failed|Passed)! +- Failed: .*$", _words_first, r"^\s+Failed (\S+) \["),
    (r"^\d+% tests passed, \d+ tests failed out of \d+$",
     lambda line: _failed_of(re.findall(r"(\d+) tests failed", line), r"out of (\d+)", line),
     r"^\s*\d+ - (\S+) \(\w+\)$"),
)  # fmt: skip


def parse(output: str) -> TestRun | None:
    """Read the totals of every known runner in an output; None when no runner gave any."""
    text = plain(output)
    total: Counter[str] = Counter()
    failures: list[str] = []
    known = False
    for totals, read, failure in _RUNNERS:
        lines = [match.group() for match in re.finditer(totals, text, re.MULTILINE)]
        if not lines:
            continue
        known = True
        for line in lines:
            total += read(line)
        for match in re.finditer(failure, text, re.MULTILINE):
            failures.append(next(group for group in match.groups() if group))
    if not known:
        return _go(text) or _tap(text)
    return TestRun(total["passed"], total["failed"], total["skipped"], tuple(dict.fromkeys(failures)))


def _go(text: str) -> TestRun | None:
    """Go names tests only when they fail or with `-v`; without, its packages are counted."""
    packages = re.findall(r"^(ok|FAIL)\s+\S+\s+(?:[\d.]+s|\(cached\)|\[.*\])", text, re.MULTILINE)
    if not packages:
        return None
    tests = re.findall(r"^\s*--- (PASS|FAIL|SKIP): (\S+)", text, re.MULTILINE)
    failures = tuple(name for verdict, name in tests if verdict == "FAIL")
    counts = Counter(verdict for verdict, _ in tests)
    failed = counts["FAIL"] or packages.count("FAIL")
    return TestRun(counts["PASS"] or packages.count("ok"), failed, counts["SKIP"], failures)


def _tap(text: str) -> TestRun | None:
    if not re.search(r"^(?:TAP version \d+|1\.\.\d+)", text, re.MULTILINE):
        return None
    passed, skipped = 0, 0
    failures: list[str] = []
    for bad, name in re.findall(r"^(not )?ok\b(?: \d+)?(?: - )?(.*)$", text, re.MULTILINE):
        if re.search(r"# (?:TODO|SKIP)", name, re.IGNORECASE):
            skipped += 1
        elif bad:
            failures.append(name.strip() or "unnamed")
        else:
            passed += 1
    return TestRun(passed, len(failures), skipped, tuple(failures)) if passed + skipped + len(failures) else None


_ENDS = {
    Ended.TIMEOUT: "ended by its time limit",
    Ended.MEMORY: "ended by its memory limit",
    Ended.OUTPUT: "ended by its output limit",
    Ended.DISK: "ended because it filled the disk",
    Ended.CANCELLED: "cancelled",
}


def headline(result: CommandResult) -> str:
    """One line of a command's end: its true exit code first, then seconds, then what its tests said."""
    tests = parse(result.output)
    how = f"exit {result.exit_code}" if result.ended is Ended.EXITED else _ENDS[result.ended]
    return " · ".join([how, f"{result.seconds:.1f} s", *([str(tests)] if tests else [])])


_TESTS = re.compile(
    r"\b(?:pytest|py\.test|unittest|tox|nox|trial|doctest|vitest|jest|mocha|ava|tap|karma|ctest|rspec|minitest|phpunit"
    r"|pest|prove|bats|rake|invoke-pester|busted|nextest)\b"
    r"|\b(?:go|cargo|deno|bun|dotnet|swift|zig|mix|gradle|gradlew|mvn|mvnw|sbt|lein|npm|pnpm|yarn|composer|rails|dart"
    r"|flutter|stack|cabal|dune|gleam|elm|make|just|task|ninja|meson)\b[^|;&\n]*\b(?:t|test|tests|check|verify|spec)\b"
    r"|\bnode\b[^|;&\n]*--test\b"
    r"|^(?:(?:sh|bash) +)?(?:\S*/)?(?:run[-_]?)?tests?(?:\.\w+)?(?=$|\s)"
    r"|\btests?[/_.][\w/.-]+\.(?:sh|py|js|mjs|ts|rb|pl|php|t)\b|\b[\w/.-]+_test\.\w+\b",
    re.IGNORECASE,
)
_LOOKS = re.compile(
    r"(?:cat|ls|ll|head|tail|sed|awk|grep|egrep|rg|find|git|echo|printf|less|more|wc|diff|cp|mv|rm|mkdir|touch|cd|chmod"
    r"|tree|file|stat|which|type|pip|pip3|apt|apt-get|vi|vim|nano|bat|sort|xargs)\b"
)


def looks_like_tests(command: str) -> bool:
    """Whether a command probably runs tests, and does not only look at them."""
    parts = (re.sub(r"^(?:\s*\w+=\S*\s)*\s*", "", part) for part in re.split(r"&&|[;|\n]", command))
    return any(_TESTS.search(part) and not _LOOKS.match(part) for part in parts)


def fold(output: str) -> str:
    """An output without its noise: warnings and repeated lines are folded into one line each."""
    text = re.sub(
        r"^=+ warnings summary.*?=+\n(.*?)(?=^(?:=+|-- Docs: ).*$)",
        lambda match: f"[… {match[1].count(chr(10))} lines of warnings left out]\n",
        plain(output),
        flags=re.MULTILINE | re.DOTALL,
    )
    out: list[str] = []
    for line, same in groupby(text.rstrip("\n").split("\n")):
        times = sum(1 for _ in same)
        # Two or three lines alike are common in code, which is quoted from what is shown.
        out += [f"{line}  [{times} times]"] if times > 3 and line.strip() else [line] * times
    return "\n".join(out)
