"""`mergewright doctor`: each thing that a session needs is a line, and what is missing comes with its fix."""

import json
from pathlib import Path

import pytest

from tests.journeys.conftest import Serve
from tests.journeys.place import BOT, Place, recorded

MODEL = f"recorded:{recorded('greet-shout')}"
Findings = dict[str, dict[str, object]]


@pytest.fixture(scope="module")
def place(serve_shared: Serve) -> Place:
    return serve_shared("greet")


def examine(place: Place, *arguments: str, **env: str) -> tuple[int, Findings]:
    done = place.cli("doctor", "--model", MODEL, "--json", *arguments, env=env)
    told = json.loads(done.stdout)
    assert told["ok"] is (done.returncode == 0)
    return done.returncode, {finding["check"]: finding for finding in told["checks"]}


def only_fault(findings: Findings) -> dict[str, object]:
    (fault,) = [finding for finding in findings.values() if not finding["ok"]]
    return fault


def test_with_all_there_every_line_is_ok(place: Place) -> None:
    done = place.cli("doctor", "--project", "local/greet", "--model", MODEL)
    assert done.returncode == 0, done.stdout
    lines = done.stdout.splitlines()
    assert [line.split()[:2] for line in lines] == [
        ["ok", check]
        for check in ("python", "git", "ripgrep", "home", "sandbox", "model", "forge", "token", "branches", "clone")
    ]
    assert f"{place.url}, GitLab 19." in lines[6]
    assert lines[8].endswith(f"`{BOT}` may create branches in `local/greet`: its role is Developer")
    assert lines[9].endswith("git reads `local/greet`")


def test_a_fault_is_shown_with_its_fix_below_it(place: Place) -> None:
    done = place.cli("doctor")
    assert done.returncode == 1
    lines = done.stdout.splitlines()
    (at,) = [number for number, line in enumerate(lines) if line.startswith("FAIL")]
    assert lines[at].split(maxsplit=2)[1:] == ["model", "no model is set"]
    assert lines[at + 1].strip().startswith("hint: pass `--model openai:NAME`")


def test_a_forge_that_is_down_is_said_soon(place: Place) -> None:
    place.stop()
    code, findings = examine(place, MERGEWRIGHT_FORGE_PATIENCE="600")
    place.start()
    assert code == 1
    fault = only_fault(findings)
    assert fault["found"] == f"the local forge at `{place.url}` gives no answer"
    assert fault["fix"] == "run `mergewright serve --local PATH` in another terminal"
    assert "token" not in findings


def test_without_any_forge_the_ways_to_one_are_told(place: Place, tmp_path: Path) -> None:
    code, findings = examine(place, MERGEWRIGHT_HOME=str(tmp_path / "new"))
    assert code == 1
    fault = only_fault(findings)
    assert fault["check"] == "forge"
    assert "mergewright serve --local PATH" in str(fault["fix"])
    assert "GITLAB_URL" in str(fault["fix"])


def test_an_unknown_token_and_one_without_the_scope_are_told_apart(place: Place) -> None:
    code, findings = examine(place, GITLAB_URL=place.url, GITLAB_TOKEN="glpat-unknown-unknown-unk")
    assert code == 1
    assert "does not know this token" in str(only_fault(findings)["found"])
    user = place.api("POST", "users", username="dora", email="dora@example.com")
    made = place.api("POST", f"users/{user['id']}/impersonation_tokens", name="reader", scopes=["read_api"])
    code, findings = examine(place, GITLAB_URL=place.url, GITLAB_TOKEN=made["token"])
    assert code == 1
    fault = only_fault(findings)
    assert (fault["check"], fault["found"]) == ("token", "scopes: read_api")
    assert fault["fix"] == "make a token with the scope `api`"


def test_a_project_without_rights_is_said_with_the_role_that_is_missing(place: Place) -> None:
    code, findings = examine(place, "--project", "local/none")
    assert code == 1
    assert only_fault(findings)["check"] == "branches"
    bot = place.get(f"users?username={BOT}")[0]["id"]
    place.api("PUT", f"{place.base}/members/{bot}", access_level=20)
    code, findings = examine(place, "--project", "local/greet")
    place.api("PUT", f"{place.base}/members/{bot}", access_level=30)
    assert code == 1
    fault = only_fault(findings)
    assert fault["found"] == f"`{BOT}` may not create branches in `local/greet`: its role is Reporter"
    assert fault["fix"] == "give it the role Developer or more in the project's members"


def test_a_missing_git_and_a_home_that_cannot_be_written_are_faults(place: Place, tmp_path: Path) -> None:
    _, findings = examine(place, PATH=str(tmp_path))
    assert (findings["git"]["ok"], findings["git"]["fix"]) == (False, "install git")
    file = tmp_path / "file"
    file.write_text("")
    _, findings = examine(place, MERGEWRIGHT_HOME=str(file / "home"))
    assert findings["home"]["ok"] is False
    assert findings["home"]["fix"] == "set MERGEWRIGHT_HOME to a folder of yours"
