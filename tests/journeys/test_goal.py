"""A person states a goal, on a project and on the merge request that came of it, and talks to the session meanwhile."""

import threading
from pathlib import Path
from typing import Any

import pytest

from mergewright.flows.registry import built_in
from tests.journeys.conftest import Serve
from tests.journeys.place import BOT, Developed, Place, git, recorded
from tests.journeys.test_resume import Look, begun, kill_when, nothing_is_left, only_session
from tests.support.model_stub import Answer, ModelStub, call

GOAL = "Let greet.sh shout\n\n`sh greet.sh --shout Ada` shall print `HELLO, ADA!`."
UNTOUCHED = {"answer_goal", "plan_approval", "plan_rejected"}
"""Components that a change without approval does not pass through."""
KILLED_IN = ("open_merge_request", "implement", "push", "update_merge_request")


def notes(place: Place, iid: int = 1) -> list[dict[str, Any]]:
    found = place.get(f"{place.base}/merge_requests/{iid}/notes?per_page=100&sort=asc")
    return [note for note in found if not note["system"]]


@pytest.fixture(scope="module")
def place(serve_shared: Serve) -> Place:
    return serve_shared("greet")


@pytest.fixture(scope="module")
def changed(place: Place) -> Developed:
    return place.work("run", GOAL, "--project", place.project, recording="goal-shout")


def test_a_goal_becomes_a_draft_that_closes_nothing(place: Place, changed: Developed) -> None:
    assert changed.exit_code == 0, changed.stderr
    told = changed.told
    assert told["status"] == "finished"
    assert told["reason"] == "opened !1; no pipeline"
    assert told["merge_request"]["title"] == "Draft: Greet in capitals with `--shout`"
    assert told["merge_request"]["draft"]
    assert not told["merge_request"]["linked"]
    assert told["merge_request"]["source_branch"] == f"mergewright/let-greet-sh-shout-{told['session'][-6:]}"
    (opened,) = place.merge_requests()
    assert opened["description"].startswith("**Goal:** Let greet.sh shout")
    assert [(one["when"], one["exit_code"]) for one in told["checks"]] == [("before", 0), ("after", 0)]
    assert "--shout" in (place.clone(opened["source_branch"]) / "greet.sh").read_text()


def test_a_question_on_the_merge_request_is_answered_in_a_note(place: Place, changed: Developed) -> None:
    before = place.merge_requests()[0]["sha"]
    asked = place.work(
        "run", "Comment on this with suggestions", "--merge-request", f"{place.project}!1", recording="goal-comment"
    )
    assert asked.exit_code == 0, asked.stderr
    assert asked.told["reason"] == "answered; nothing was changed"
    assert asked.told["answer"].startswith("It greets in capitals with `--shout`.")
    assert asked.told["merge_request"]["iid"] == 1
    (note,) = notes(place)
    assert note["author"]["username"] == BOT
    assert note["body"].startswith("It greets in capitals with `--shout`. I suggest:\n\n1. ")
    assert place.merge_requests()[0]["sha"] == before


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("a goal",), "a goal needs one place"),
        (("a goal", "--project", "local/greet", "--merge-request", "local/greet!1"), "a goal needs one place"),
        (("a goal", "--merge-request", "local/greet#1"), "is an issue"),
        (("a goal", "--project", "local/greet#1"), "is no project"),
        ((" ", "--project", "local/greet"), "the goal is empty"),
        (("a goal", "--project", "local/greet", "--privilege", "fly"), "there is no agent privilege `fly`"),
    ],
)
def test_wrong_use_says_what_is_wrong(place: Place, arguments: tuple[str, ...], said: str) -> None:
    refused = place.work("run", *arguments, recording="goal-shout")
    assert refused.exit_code == 2
    assert said in refused.stderr


def test_privileges_that_do_not_suffice_begin_no_session(place: Place) -> None:
    given = ("--privilege", "read_write_files", "--privilege", "run_commands")
    refused = place.work("run", GOAL, "--project", place.project, *given, recording="goal-shout")
    assert refused.exit_code == 1
    assert "needs the agent privileges `read_write_gitlab`, `use_git`" in refused.stderr


def test_the_plan_that_a_person_wrote_is_carried_out(place: Place, tmp_path: Path) -> None:
    waiting = place.work("run", GOAL, "--project", place.project, "--approve-plan", recording="goal-shout")
    assert waiting.exit_code == 3, waiting.stderr
    session = waiting.told["session"]
    unheard = place.cli("sessions", "message", session, "Hurry up")
    assert unheard.returncode == 1
    assert "waits for a person" in unheard.stderr
    steps = tmp_path / "plan.md"
    steps.write_text("- [ ] Shout in greet.sh\n2. Test it\n\n")
    done = place.work("sessions", "approve", session, "--plan", steps, recording="goal-shout")
    assert done.exit_code == 0, done.stderr
    (changed,) = [event for event in place.events(session, "plan") if event["data"].get("by")]
    assert changed["data"]["by"] == place.person
    assert [task["text"] for task in changed["data"]["tasks"]] == ["Shout in greet.sh", "Test it"]
    description = place.get(f"{place.base}/merge_requests/{done.told['merge_request']['iid']}")["description"]
    assert f"Changed by `{place.person}` before it was approved." in description
    late = place.cli("sessions", "message", session, "Thank you")
    assert late.returncode == 1
    assert "has ended" in late.stderr


def test_a_goal_killed_in_its_writing_steps_one_after_the_other_writes_everything_once(serve: Serve) -> None:
    place = serve("greet")
    model = ("--model", f"recorded:{recorded('goal-shout')}")
    steps = [name for name in built_in("software_development").components if name not in UNTOUCHED]
    kill_when(place, begun(KILLED_IN[0]), "run", GOAL, "--project", place.project, *model)
    session = only_session(place)
    for step in KILLED_IN[1:]:
        kill_when(place, begun(step), "sessions", "resume", session, *model)
    done = place.work("sessions", "resume", session, recording="goal-shout")
    assert done.exit_code == 0, done.stderr
    ends = [event["component"] for event in place.events(session, "component") if event["data"]["phase"] == "end"]
    assert ends == [f"{step}:1" for step in steps]
    (opened,) = place.merge_requests()
    clone = place.clone(opened["source_branch"])
    assert git(clone, "rev-list", "--count", "origin/HEAD..HEAD").strip() == "1"
    assert sorted(place.branches()) == sorted(["main", opened["source_branch"]])
    assert nothing_is_left(place)


def heard(number: int) -> Look:
    query = "SELECT count(*) FROM events WHERE kind = 'message' AND json_extract(data, '$.note') = 'heard'"
    return lambda database: database.execute(query).fetchone()[0] >= number


def test_words_are_read_once_although_the_process_is_killed_behind_them(serve: Serve) -> None:
    place = serve({"README.md": "# A project without tests\n"})
    gone_on = threading.Event()

    def write(text: str) -> None:
        place.cli("sessions", "message", only_session(place), text, check=True)

    def answer(request: dict[str, Any]) -> Answer:
        said = [str(m["content"]) for m in request["messages"] if m["role"] == "user"]
        if "edit" not in {tool["function"]["name"] for tool in request["tools"]}:
            return call("finish", {"outcome": "plan", "title": "T", "summary": "Add a file.", "tasks": ["Add it"]})
        results = [m for m in request["messages"] if m["role"] == "tool"]
        if not results:
            write("Call it NOTICE")
            write("and be short")
            return call("plan", {"tasks": [{"text": "x"}]})
        words = [text.partition("\n\n")[2] for text in said if "a person you work for, says to you" in text]
        if not gone_on.is_set():
            gone_on.wait(60)  # killed here, with the words in its log and the request under way
        if len(results) == 1:
            return call("write", {"path": "NOTICE", "content": "\n".join(words) + "\n"}, id="w")
        return call("finish", {"summary": "Add NOTICE"}, id=f"f{len(results)}")

    with ModelStub(answer) as stub:
        env = {"OPENAI_BASE_URL": stub.base_url, "MERGEWRIGHT_MODEL": "openai:stub"}
        kill_when(place, heard(2), "run", "Add a file", "--project", place.project, env=env)
        gone_on.set()
        session = only_session(place)
        done = place.work("sessions", "resume", session, env=env)
    assert done.exit_code == 0, done.stderr
    clone = place.clone(done.told["merge_request"]["source_branch"])
    assert (clone / "NOTICE").read_text() == "Call it NOTICE\nand be short\n"
    messages = [event["data"] for event in place.events(session, "message")]
    assert [one["by"] for one in messages if one.get("note") == "person"] == [place.person] * 2
    assert len([one for one in messages if one.get("note") == "heard"]) == 2
