"""A project's own checks are found from its files."""

import pytest

from mergewright.flows.checks import Check, find_checks, is_test, tools_for
from mergewright.flows.ci_file import ci_commands
from mergewright.flows.project import tree
from mergewright.flows.verdict import Ran, Verdict, decide

PYTEST = frozenset({"pytest"})


@pytest.mark.parametrize(
    ("paths", "texts", "commands"),
    [
        (["tests/test_a.py"], {}, ["python3 -m unittest discover -s tests"]),
        (["tests/test_a.py", "tests/__init__.py"], {}, ["python3 -m unittest discover -s tests -t ."]),
        (["test_a.py"], {}, ["python3 -m unittest"]),
        (["a.py"], {}, []),
        (["package.json"], {"package.json": '{"scripts": {"test": "node --test"}}'}, ["npm test"]),
        (
            ["package.json"],
            {"package.json": '{"scripts": {"test": "echo no test specified; exit 1"}}'},
            [],
        ),
        (["package.json"], {"package.json": "{"}, []),
        (["go.mod", "a_test.go"], {}, ["go test ./..."]),
        (["Cargo.toml"], {}, ["cargo test --offline"]),
        (["lib/A.pm", "t/a.t"], {}, ["prove -lr t"]),
        (["mix.exs"], {}, ["mix test"]),
        (["Makefile"], {"Makefile": "all:\n\ntest: all\n\ttrue\n"}, ["make test"]),
        (["Makefile"], {"Makefile": "all:\n"}, []),
        (["composer.json"], {"composer.json": '{"scripts": {"test": "phpunit"}}'}, ["composer test"]),
        (["a.py", "ruff.toml"], {}, ["ruff check ."]),
        ([], {}, []),
    ],
)
def test_checks_are_found_from_files(paths: list[str], texts: dict[str, str], commands: list[str]) -> None:
    assert [check.command for check in find_checks(paths, texts)] == commands


def test_pytest_is_used_where_it_can_be_imported() -> None:
    assert find_checks(["tests/test_a.py"], {}, modules=PYTEST) == (Check("python3 -m pytest -q", "test files"),)


def test_what_ci_runs_goes_before_what_the_files_call_for() -> None:
    texts = {".gitlab-ci.yml": "unit:\n  stage: test\n  script:\n    - pip install -r dev.txt\n    - pytest -x\n"}
    assert find_checks(["tests/test_a.py"], texts) == (Check("pytest -x", ".gitlab-ci.yml, unit"),)


@pytest.mark.parametrize(
    ("text", "commands"),
    [
        ("a:\n  script: make check\n", ["make check"]),
        ("deploy:\n  stage: deploy\n  script: make deploy\n", []),
        ("lint:\n  stage: quality\n  script: [ruff check .]\n", ["ruff check ."]),
        ("latest:\n  stage: build\n  script: [make]\n", []),
        ("a:\n  script:\n    - npm ci\n    - apt-get update\n    - echo $CI_JOB_ID\n    - npm test\n", ["npm test"]),
        (".hidden:\n  script: x\nb:\n  extends: .hidden\n  script: y\n", []),
        ("a:\n  script: !reference [.x, script]\n", []),
        ("a:\n  script: [!reference [.x, script], y]\n", []),
        ("variables: {script: x}\ndefault: {script: y}\n", []),
        ("a:\n  script: [cd backend, npm ci, npm test]\n", ["cd backend && npm test"]),
        ("a:\n  script: [cd backend, npm ci]\n", []),
        ("a:\n  script:\n    - |\n      pip install .\n      pytest\n      ruff check .\n", ["pytest", "ruff check ."]),
        ("a:\n  script:\n    - |\n      if true; then\n        pytest\n      fi\n", ["if true; then\n  pytest\nfi"]),
        (
            "variables: {PYTHONPATH: src, PIP_CACHE_DIR: x, Z: $Y}\na:\n  script: pytest\n",
            ["export PYTHONPATH=src && pytest"],
        ),
        ("default: {before_script: [pip install ., createdb x]}\na:\n  script: pytest\n", ["createdb x && pytest"]),
        ("before_script: !reference [.x]\na:\n  script: pytest\n", []),
        ("before_script: [!reference [.x]]\na:\n  script: pytest\n", []),
        ("a: [", []),
        ("just text", []),
        ("", []),
    ],
)
def test_only_what_ci_plainly_runs_is_taken(text: str, commands: list[str]) -> None:
    assert [command for command, _ in ci_commands(text)] == commands


def test_only_tools_that_the_files_could_need_are_asked_for() -> None:
    assert tools_for(["a.py", "go.mod"], {}) == ("python3", "go")


@pytest.mark.parametrize(
    ("path", "yes"),
    [
        ("tests/test_a.py", True),
        ("test_a.py", True),
        ("src/a_test.go", True),
        ("src/a.spec.ts", True),
        ("t/basic.t", True),
        ("spec/a_spec.rb", True),
        ("tests/README.md", False),
        ("tests/__init__.py", False),
        ("src/testing.py", False),
        ("latest.py", False),
    ],
)
def test_a_test_is_known_by_its_path(path: str, yes: bool) -> None:
    assert is_test(path) is yes


def test_a_large_tree_is_folded_to_its_fuller_folders() -> None:
    paths = [f"src/pkg{n % 7}/mod{n}.py" for n in range(500)] + ["README.md"]
    shown = tree(paths, most=20).splitlines()
    assert len(shown) <= 20
    assert "README.md" in shown
    assert "src/pkg0/ (72 files)" in shown
    assert len(tree([f"file{n}" for n in range(500)], most=20).splitlines()) == 20


def ran(exit_code: int | None, *failures: str, counted: bool = True) -> Ran:
    return Ran("check", exit_code, 1.0, "", failures, counted, len(failures))


@pytest.mark.parametrize(
    ("before", "after", "changed", "tries", "verdict"),
    [
        (ran(0), ran(0), True, 2, Verdict.PASSED),
        (ran(0), ran(1, "a"), True, 2, Verdict.AGAIN),
        (ran(0), ran(1, "a"), True, 0, Verdict.FAILED),
        (ran(0), ran(0), False, 2, Verdict.UNCHANGED),
        (ran(1, "a"), ran(1, "a"), True, 2, Verdict.PASSED),
        (ran(1, "a"), ran(1, "b"), True, 0, Verdict.FAILED),
        (ran(1, "a"), ran(1, "a", "b"), True, 2, Verdict.AGAIN),
        (ran(1, "a", "b"), ran(1, "a"), True, 2, Verdict.PASSED),
        (ran(1, "a"), ran(1, counted=False), True, 0, Verdict.FAILED),
        (ran(2, counted=False), ran(2, counted=False), True, 0, Verdict.PASSED),
        (ran(2, counted=False), ran(None, counted=False), True, 0, Verdict.FAILED),
        (None, ran(1, "a"), True, 0, Verdict.FAILED),
    ],
)
def test_the_verdict_holds_only_what_got_worse_against_a_change(
    before: Ran | None, after: Ran, changed: bool, tries: int, verdict: Verdict
) -> None:
    assert decide([before] if before else [], [after], changed=changed, tries_left=tries) is verdict
