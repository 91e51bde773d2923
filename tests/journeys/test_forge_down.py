"""The forge goes away in the middle of a session and comes back."""

import time

from tests.journeys.conftest import Serve
from tests.journeys.place import Place, git

TITLE = "Add an option `--shout`"
TEXT = "`sh greet.sh --shout Ada` shall print `HELLO, ADA!`. Without a name it shouts at the world.\n"


def serve_slow(serve: Serve) -> Place:
    """Serve a project whose tests take a second, so that there is a middle to fall into."""
    place = serve("greet", start=False, whole=True)
    (place.repositories[0] / "Makefile").write_text("test:\n\t@sleep 1; sh tests/greet_test.sh\n")
    git(place.repositories[0], "commit", "-qam", "Take your time")
    place.start()
    return place


def assert_written_once(place: Place, issue: str) -> None:
    (merge_request,) = place.merge_requests()
    assert merge_request["draft"] is True
    (note,) = place.notes(issue)
    assert "the project's checks pass on it" in note["body"]
    assert "--shout" in (place.clone(merge_request["source_branch"]) / "greet.sh").read_text()


def test_a_short_outage_is_ridden_out(serve: Serve) -> None:
    place = serve_slow(serve)
    issue = place.open_issue(TITLE, TEXT)
    running = place.beside("develop", issue, recording="greet-shout")
    running.wait_for("  $ make test")
    place.kill()
    time.sleep(1.5)
    place.start()
    code, told = running.end()
    assert code == 0, running.told
    assert told["merge_request"]["linked"] is True
    assert_written_once(place, issue)


def test_a_long_outage_fails_with_a_reason_and_resume_finishes_when_the_forge_is_back(serve: Serve) -> None:
    place = serve_slow(serve)
    issue = place.open_issue(TITLE, TEXT)
    running = place.beside("develop", issue, recording="greet-shout", env={"MERGEWRIGHT_FORGE_PATIENCE": "2"})
    running.wait_for("  $ make test")
    place.kill()
    code, failed = running.end()
    assert code == 1, running.told
    assert failed["status"] == "failed"
    assert failed["reason"].startswith(f"push: The connection to the forge at `{place.url}` cannot be made")
    assert failed["merge_request"]["web_url"] == f"{place.url}/local/greet/-/merge_requests/1"
    session = failed["session"]
    assert f"hint: mergewright sessions resume {session}" in running.told

    began = time.monotonic()
    down = place.cli("sessions", "resume", session)
    assert down.returncode == 1
    assert time.monotonic() - began < 20, "who resumes by hand should hear soon that the forge is down"
    assert down.stderr.startswith("error: ")
    assert "hint: " in down.stderr

    place.start()
    resumed = place.work("sessions", "resume", session)
    assert resumed.exit_code == 0, resumed.stderr
    assert resumed.told["status"] == "finished"
    assert "— plan" not in resumed.stderr.splitlines()
    assert_written_once(place, issue)
