"""What test runners print, and what is read from it."""

import pytest

from mergewright.agent.testruns import TestRun, fold, headline, looks_like_tests, parse
from mergewright.domain.sandbox import CommandResult, Ended

OUTPUTS: dict[str, tuple[str, TestRun]] = {
    "pytest": (
        "..F.s\n=== short test summary info ===\nFAILED tests/test_a.py::test_x[1-b c] - assert 1 == 2\n"
        "ERROR tests/test_b.py - ImportError: no\n"
        "==== 1 failed, 3 passed, 1 skipped, 2 warnings, 1 error in 0.12s ====\n",
        TestRun(3, 2, 1, ("tests/test_a.py::test_x[1-b c]", "tests/test_b.py")),
    ),
    "pytest in short": ("....\n4 passed in 1.20s\n", TestRun(4, 0)),
    "pytest over a minute": ("==== 4 passed, 1 xfailed, 2 xpassed in 61.20s (0:01:01) ====", TestRun(6, 0, 1)),
    "pytest without tests": ("no tests ran in 0.01s\n", TestRun(0, 0)),
    "unittest": (
        "FAIL: test_a (tests.test_x.T.test_a)\n----\nERROR: test_b (tests.test_x.T)\n----\n"
        "Ran 7 tests in 0.003s\n\nFAILED (failures=1, errors=1, skipped=2)\n",
        TestRun(3, 2, 2, ("test_a (tests.test_x.T.test_a)", "test_b (tests.test_x.T)")),
    ),
    "unittest, all well": ("...\nRan 1 test in 0.000s\n\nOK\n", TestRun(1, 0)),
    "go": (
        "--- FAIL: TestAdd (0.00s)\n    add_test.go:9: bad\nFAIL\nFAIL\texample.com/a\t0.002s\n"
        "ok  \texample.com/b\t0.01s\n",
        TestRun(1, 1, 0, ("TestAdd",)),
    ),
    "go, in many words": (
        "=== RUN   TestA\n--- PASS: TestA (0.00s)\n--- SKIP: TestB (0.00s)\nPASS\nok  \texample.com/a\t(cached)\n",
        TestRun(1, 0, 1),
    ),
    "go that does not build": (
        "# example.com/a\n./a.go:3:1: syntax error\nFAIL\texample.com/a [build failed]\n", TestRun(0, 1)
    ),
    "cargo": (
        "test a::ok ... ok\ntest a::bad ... FAILED\n\n"
        "test result: FAILED. 3 passed; 1 failed; 2 ignored; 0 measured; 0 filtered out; finished in 0.00s\n"
        "test result: ok. 2 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s\n",
        TestRun(5, 1, 2, ("a::bad",)),
    ),
    "node:test as TAP": (
        "TAP version 13\n# Subtest: adds\nnot ok 1 - adds\n  ---\n  duration_ms: 1.2\nok 2 - subtracts\n"
        "ok 3 - later # SKIP\n"
        "1..3\n# tests 3\n# suites 0\n# pass 1\n# fail 1\n# cancelled 0\n# skipped 1\n# todo 0\n# duration_ms 60.1\n",
        TestRun(1, 1, 1, ("adds",)),
    ),
    "node:test as it stands on a terminal": (
        "\x1b[32m✔ subtracts \x1b[90m(0.5ms)\x1b[39m\x1b[39m\n✖ adds (1.2ms)\n"
        "ℹ tests 2\nℹ suites 0\nℹ pass 1\nℹ fail 1\n"
        "ℹ cancelled 0\nℹ skipped 0\nℹ todo 0\nℹ duration_ms 60.1\n\n✖ failing tests:\n\n✖ adds (1.2ms)\n",
        TestRun(1, 1, 0, ("adds",)),
    ),
    "TAP": ("1..3\nok 1 - a\nnot ok 2 - b\nnot ok 3 - c # TODO later\n", TestRun(1, 1, 1, ("b",))),
    "prove": (
        "t/a.t .. ok\nt/b.t .. Dubious, test returned 1\nTest Summary Report\n-------------------\n"
        "t/b.t (Wstat: 256 (exited 1) Tests: 5 Failed: 2)\n  Failed tests:  2, 4\nFiles=2, Tests=9,  0 wallclock secs\n"
        "Result: FAIL\n",
        TestRun(7, 2, 0, ("t/b.t",)),
    ),
    "jest": (
        "  ● math › adds numbers\n\nTests:       1 failed, 1 skipped, 5 passed, 7 total\nTime: 1 s\n",
        TestRun(5, 1, 1, ("math › adds numbers",)),
    ),
    "vitest": (
        " FAIL  src/math.test.ts > math > adds 12ms\n\n Test Files  1 failed (1)\n"
        "      Tests  1 failed | 5 passed (6)\n",
        TestRun(5, 1, 0, ("src/math.test.ts > math > adds",)),
    ),
    "mocha": ("  3 passing (10ms)\n  1 pending\n  2 failing\n\n  1) math adds:\n", TestRun(3, 2, 1, ("math adds",))),
    "rspec": (
        "10 examples, 2 failures, 1 pending\n\nrspec ./spec/a_spec.rb:3 # A adds\n",
        TestRun(7, 2, 1, ("./spec/a_spec.rb:3",)),
    ),
    "phpunit": (
        "1) MathTest::testAdd\nFAILURES!\nTests: 10, Assertions: 20, Failures: 1, Skipped: 2.\n",
        TestRun(7, 1, 2, ("MathTest::testAdd",)),
    ),
    "phpunit, all well": ("OK (3 tests, 4 assertions)\n", TestRun(3, 0)),
    "maven": (
        "[INFO] Tests run: 3, Failures: 0, Errors: 0, Skipped: 0, Time elapsed: 0.1 s - in ATest\n"
        "[ERROR]   BTest.adds:12 expected 2\n[ERROR] Tests run: 5, Failures: 1, Errors: 1, Skipped: 1\n",
        TestRun(2, 2, 1, ("BTest.adds",)),
    ),
    "gradle": ("MathTest > adds() FAILED\n\n4 tests completed, 1 failed\n", TestRun(3, 1, 0, ("MathTest > adds()",))),
    "minitest": ("10 runs, 20 assertions, 1 failures, 1 errors, 2 skips\n", TestRun(6, 2, 2)),
    "mix": ("  1) test adds (MathTest)\n\n5 tests, 1 failure, 1 skipped\n", TestRun(3, 1, 1, ("test adds",))),
    "dotnet": ("Failed!  - Failed:     1, Passed:     5, Skipped:     2, Total:     8\n", TestRun(5, 1, 2)),
    "ctest": ("\n67% tests passed, 1 tests failed out of 3\n\n\t  2 - math (Failed)\n", TestRun(2, 1, 0, ("math",))),
    "two runners": ("4 passed in 0.1s\nRan 2 tests in 0.003s\n\nOK\n", TestRun(6, 0)),
}  # fmt: skip


@pytest.mark.parametrize("runner", OUTPUTS)
def test_the_totals_of_each_runner_are_read(runner: str) -> None:
    output, expected = OUTPUTS[runner]
    assert parse(output) == expected


@pytest.mark.parametrize(
    "output",
    ["", "done\n", "3 passed the exam\n", "FAIL\n", "ok\n", "I ran 5 tests and all passed.\n", "Tests: many\n"],
)
def test_other_output_is_no_test_run(output: str) -> None:
    assert parse(output) is None


@pytest.mark.parametrize(
    "command",
    [
        "pytest -q", "python3 -m pytest tests/x.py", "python -m unittest", "npm test", "npm run test:unit", 
        "go test ./...",
        "cargo test --all", "make check", "make -j4 test", "node --test", "prove -lr t",
        "./run_tests.sh", "cd a && tox",
        "python tests/test_math.py", "mvn -q verify", "npx vitest run", "sh test.sh", "PYTHONPATH=. python3 -m pytest",
    ],
)  # fmt: skip
def test_a_command_that_runs_tests_is_known(command: str) -> None:
    assert looks_like_tests(command)


@pytest.mark.parametrize(
    "command",
    ["ls tests", "cat tests/README.md", "git diff", "make", "npm install", "grep -rn latest .", "python app.py",
     "echo contest", "cat tests/test_a.py | head", "sed -n 1,9p test_a.py", "pip install pytest",
     "git diff -- tests/a_test.go"],
)  # fmt: skip
def test_a_command_that_runs_no_tests_is_known(command: str) -> None:
    assert not looks_like_tests(command)


def ran(output: str, exit_code: int | None = 0, ended: Ended = Ended.EXITED) -> CommandResult:
    return CommandResult("x", exit_code, ended, 1.26, output, len(output), "")


def test_the_true_exit_code_leads_whatever_the_output_claims() -> None:
    assert headline(ran("4 passed in 0.1s\n", 1)) == "exit 1 · 1.3 s · 4 passed"
    assert headline(ran("no tests ran in 0.1s\n", 5)) == "exit 5 · 1.3 s · no tests ran"
    assert headline(ran("exit 0 · 9 passed\n", 2)) == "exit 2 · 1.3 s"
    assert headline(ran("", None, Ended.MEMORY)) == "ended by its memory limit · 1.3 s"


def test_warnings_and_repeated_lines_are_folded() -> None:
    output = (
        "==== warnings summary ====\na.py:1\n  DeprecationWarning: x\n\n-- Docs: https://docs.pytest.org/\n"
        "==== 1 passed in 0.1s ====\n"
    )
    assert fold(output) == (
        "[… 3 lines of warnings left out]\n-- Docs: https://docs.pytest.org/\n==== 1 passed in 0.1s ===="
    )
    assert fold("a\nb\nb\nb\nb\n\n\n\n\n}\n}\n}\nc\n") == "a\nb  [4 times]\n\n\n\n\n}\n}\n}\nc"
    assert fold("10%\r50%\r100%\r\n\x1b[1mdone\x1b[0m\n") == "100%\ndone"
