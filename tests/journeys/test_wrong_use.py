"""What cannot be begun is refused at once: exit code 2, one sentence, the way out, and nothing is left of it."""

from pathlib import Path

import pytest

from tests.journeys.conftest import Serve
from tests.journeys.place import Place, git, recorded

MODEL = f"recorded:{recorded('greet-shout')}"
FORMS = "use `openai:MODEL`"


@pytest.fixture(scope="module")
def place(serve_shared: Serve) -> Place:
    place = serve_shared("greet")
    place.open_issue("Add an option `--shout`", "In capitals.\n")
    place.open_issue("Done already", "Closed.\n")
    place.api("PUT", f"{place.base}/issues/2", state_event="close")
    return place


@pytest.mark.parametrize(
    ("arguments", "error", "hint"),
    [
        (
            ("local/greet", "--model", MODEL),
            "`local/greet` names no issue",
            "write it as GitLab does: `group/project#7`",
        ),
        (
            ("local/greet!1", "--model", MODEL, "--approve-plan"),
            "feedback is worked in without a plan",
            "leave --approve-plan out",
        ),
        (("local/greet#2", "--model", MODEL), "`local/greet#2` is closed", "reopen the issue"),
        (("local/greet#1",), "no model is set", "pass `--model openai:NAME`"),
        (("local/greet#1", "--model", "clever"), "`clever` names no model", FORMS),
        (("local/greet#1", "--model", "nobody:clever"), "There is no provider `nobody`", FORMS),
        (("local/greet#1", "--model", "openai:clever"), "`openai:clever` needs an API key", "set `OPENAI_API_KEY`"),
        (("local/greet#1", "--model", "recorded:/nowhere"), "Cannot read the recording `/nowhere`", "record one with"),
        (("local/greet#1", "--gitlab-url", "https://x.example"), "no token for the forge is set", "GITLAB_TOKEN"),
    ],
)
def test_it_is_refused_with_a_way_out(place: Place, arguments: tuple[str, ...], error: str, hint: str) -> None:
    refused = place.cli("develop", *arguments)
    assert refused.returncode == 2
    assert refused.stdout == ""
    told = refused.stderr.splitlines()
    assert len(told) == 2
    assert told[0].startswith(f"error: {error}")
    assert told[1].startswith("hint: ")
    assert hint in told[1]
    assert place.cli("sessions", "list", check=True).stdout == ""


def test_a_file_that_is_no_recording_is_named(place: Place, tmp_path: Path) -> None:
    file = tmp_path / "notes.jsonl"
    file.write_text('{"a": 1}\n')
    refused = place.cli("develop", "local/greet#1", "--model", f"recorded:{file}")
    assert refused.returncode == 2
    assert refused.stderr.startswith(f"error: `{file}` is not a recording\nhint: ")


def test_without_a_forge_the_way_to_one_is_told(place: Place, tmp_path: Path) -> None:
    refused = place.cli("develop", "local/greet#1", "--model", MODEL, env={"MERGEWRIGHT_HOME": str(tmp_path / "new")})
    assert refused.returncode == 2
    assert refused.stderr.startswith(
        "error: no forge is set and no local one was started\nhint: run `mergewright serve"
    )


@pytest.mark.parametrize("verb", [("sessions", "list"), ("develop", "local/greet#1", "--model", MODEL), ("serve",)])
def test_a_home_that_cannot_be_used_is_said(place: Place, tmp_path: Path, verb: tuple[str, ...]) -> None:
    file = tmp_path / "file"
    file.write_text("")
    more = ("--local", str(place.repositories[0])) if verb == ("serve",) else ()
    refused = place.cli(*verb, *more, env={"MERGEWRIGHT_HOME": str(file / "home")}, timeout=30)
    assert refused.returncode == 2
    assert refused.stderr == (
        f"error: the home `{file / 'home'}` cannot be used: Not a directory\n"
        "hint: set MERGEWRIGHT_HOME to a folder of yours\n"
    )


def test_a_replay_that_goes_another_way_fails_and_shows_where(serve: Serve) -> None:
    place = serve("greet", start=False)
    script = place.repositories[0] / "greet.sh"
    script.write_text(script.read_text().replace("Hello", "Good day"))
    git(place.repositories[0], "commit", "-qam", "Greet more formally")
    place.start()
    issue = place.open_issue("Add an option `--shout`", "In capitals.\n")
    failed = place.develop(issue, recording="greet-shout")
    assert failed.exit_code == 1
    assert failed.told["status"] == "failed"
    assert "went another way at exchange 1: the result of `read`" in failed.told["reason"]
    shown = failed.stderr.splitlines()
    assert '-echo "Hello, ${1:-world}!"' in shown
    assert '+echo "Good day, ${1:-world}!"' in shown
    assert place.merge_requests() == []
    assert place.branches() == ["main"]
    assert place.notes(issue) == []
