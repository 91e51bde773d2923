import os
import subprocess
import sys
from pathlib import Path

import pytest

COMMAND = Path(sys.executable).with_name("mergewright")
HEAVY = {"dbos", "sqlalchemy", "openai", "pydantic_ai", "pydantic", "httpx2", "gitlab", "starlette", "rich", "asyncio"}


def run(*arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "LANG": "C.UTF-8", **env}
    return subprocess.run([COMMAND, *arguments], env=environment, capture_output=True, text=True, check=False)


def test_help_loads_no_model_and_no_database_code() -> None:
    code = (
        "import sys; sys.argv = ['mergewright', '--help']\n"
        "from mergewright.cli.main import main\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        "print(*sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "develop" in done.stdout
    assert not HEAVY & set(done.stdout.split())


@pytest.mark.parametrize("arguments", [(), ("sessions",), ("--help",), ("develop", "--help")])
def test_help_is_printed_where_a_stranger_looks_for_it(arguments: tuple[str, ...]) -> None:
    done = run(*arguments)
    assert "Usage: mergewright" in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("develop",), "Missing argument"),
        (("develop", "nothing"), "names no issue or merge request"),
        (("develop", "group/project#0"), "names no issue or merge request"),
        (("develop", "../x#1"), "names no issue or merge request"),
        (("develop", "a/b#1", "--wrong"), "No such option"),
        (("wrong",), "No such command"),
        (("serve",), "no forge is set"),
        (("review",), "Missing argument"),
        (("review", "a/b#1", "--model", "none"), "is an issue"),
        (("develop", "a/b#1", "--discussion", "x"), "an issue has no thread"),
        (("policy", "set", "a/b", "block_on", "--reason", "why"), "is no NAME=VALUE"),
        (("serve", "--local", ".", "--port", "70000"), "70000"),
        (("sessions", "list", "--limit", "0"), "--limit"),
        (("sessions", "reject", "x"), "Missing option"),
        (("issue", "a/b", "--title", "x", "--file", "/nonexistent/file"), "cannot be read"),
    ],
)
def test_wrong_use_is_said_in_a_sentence_and_ends_with_2(arguments: tuple[str, ...], said: str) -> None:
    done = run(*arguments)
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_a_gitlab_without_a_token_is_wrong_use(tmp_path: Path) -> None:
    done = run("develop", "a/b#1", "--gitlab-url", "https://gitlab.example.com", MERGEWRIGHT_HOME=str(tmp_path))
    assert done.returncode == 2
    assert "hint: put it in GITLAB_TOKEN" in done.stderr
