"""Sessions over REST and as events, on a real server beside a real local forge; nothing works on them here."""

import asyncio
import json
import threading
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest

from mergewright.domain.session import EventKind, Session, Status, Subject
from mergewright.store.sql import open_store
from tests.review.stage import PROJECT
from tests.server.desk import SESSIONS, Desk, open_desk


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    opened = open_desk(tmp_path_factory.mktemp("sessions"))
    yield opened
    opened.close()


def refused(answer: httpx2.Response, status: int, words: str) -> None:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert words in answer.json()["title"]


# --- who may begin one -------------------------------------------------------------------------


async def test_a_developer_begins_a_session_and_the_worker_is_told_in_the_same_breath(desk: Desk) -> None:
    answer = desk.begin(start=True, approve_plan=True, agent_privileges=["read_write_files", "run_commands", "use_git",
                                                                         "read_write_gitlab"])  # fmt: skip
    assert answer.status_code == 201, answer.text
    told = answer.json()
    assert answer.headers["location"] == f"{SESSIONS}/{told['id']}"
    assert (told["flow"], told["actor"], told["status"], told["model"]) == ("developer", "bob", "created", "recorded")
    assert told["agent_privileges"] == ["read_write_files", "read_write_gitlab", "run_commands", "use_git"]
    assert told["id"] in await desk.work()
    kept = await desk.store.session(told["id"])
    assert kept.inputs["approve_plan"]
    refused(desk.begin(told["subject"]), 409, "already works on")


async def test_one_that_is_not_started_waits_until_it_is(desk: Desk) -> None:
    session = desk.begun()["id"]
    assert session not in await desk.work()
    assert desk.ask("POST", f"/{session}/start").status_code == 202
    assert session in await desk.work()
    await desk.store.update(session, status=Status.RUNNING)
    refused(desk.ask("POST", f"/{session}/start"), 409, "was started already")


@pytest.mark.parametrize(
    ("by", "status", "words"),
    [
        ("rita", 403, "the role Developer or more in `team/shop`; you have Reporter"),
        ("gus", 403, "you have Guest"),
        ("mallory", 404, "team/shop"),
        ("bob, reading", 403, "scopes"),
        ("", 401, "no token"),
    ],
)
async def test_who_may_do_less_begins_none(desk: Desk, by: str, status: int, words: str) -> None:
    before = await desk.store.sessions()
    issue = desk.issue()
    answer = desk.begin(issue, by=by)
    refused(answer, status, words)
    assert answer.headers.get("www-authenticate", "").startswith("Bearer") == (status == 401)
    assert await desk.store.sessions() == before


async def test_the_bot_must_be_allowed_what_the_person_is(desk: Desk) -> None:
    desk.place.stage.served.seed_member(PROJECT, "developer-bot", 20)
    try:
        refused(desk.begin(), 403, "`developer-bot` may not push")
    finally:
        desk.place.stage.served.seed_member(PROJECT, "developer-bot", 30)


async def test_a_flow_that_the_policy_turns_off_begins_under_no_spelling_of_the_project(desk: Desk) -> None:
    change = {"scope": PROJECT, "values": {"flows_off": ["developer"]}, "reason": "for the test"}
    assert desk.place.ask("PATCH", "/api/v1/policy", json=change).status_code == 200
    try:
        issue = desk.issue()
        for spelled in (issue, issue.replace("team/shop", "Team/Shop")):
            assert desk.begin(spelled).status_code in {403, 404}
        refused(desk.begin(issue), 403, "the flow `developer` is off")
    finally:
        desk.place.ask("PATCH", "/api/v1/policy", json=change | {"values": {"flows_off": []}})


@pytest.mark.parametrize(
    ("asked", "status", "words"),
    [
        ({"flow": "nothing"}, 422, "there is no flow `nothing`"),
        ({"subject": f"{PROJECT}#999"}, 404, "999"),
        ({"subject": f"{PROJECT}!1"}, 422, "is no issue"),
        ({"subject": PROJECT, "flow": "software_development"}, 422, "the goal is empty"),
        (
            {"subject": f"{PROJECT}!1", "flow": "feedback", "agent_privileges": ["use_git"]},
            403,
            "needs the agent privil",
        ),
    ],
)
async def test_what_cannot_be_done_is_refused_in_a_sentence(
    desk: Desk, asked: dict[str, Any], status: int, words: str
) -> None:
    refused(
        desk.ask("POST", json={"flow": "developer", "start": False} | {"subject": desk.issue()} | asked), status, words
    )


def test_a_request_that_says_it_wrong_hears_what_by_name(desk: Desk) -> None:
    answer = desk.ask("POST", json={"flow": "developer", "subject": "no", "surprise": 1})
    refused(answer, 422, "the request does not say")
    assert [one["where"] for one in answer.json()["errors"]] == ["body.subject", "body.surprise"]
    refused(desk.ask("GET", "?limit=1000"), 422, "the request does not say")
    refused(desk.place.ask("GET", "/api/v1/nothing"), 404, "Not Found")


# --- who sees which ----------------------------------------------------------------------------


async def test_sessions_are_seen_by_those_who_read_the_code_and_not_there_for_others(desk: Desk) -> None:
    told = desk.begun()
    for name in (told["id"], str(told["number"])):
        assert desk.ask("GET", f"/{name}", by="rita").json()["id"] == told["id"]
    for by in ("mallory", "gus"):
        for path in ("", "/events", "/events/stream", "/trace.jsonl"):
            refused(desk.ask("GET", f"/{told['id']}{path}", by=by), 404, f"There is no session `{told['id']}`")
        refused(desk.ask("POST", f"/{told['id']}/cancel", by=by), 404, "There is no session")
        assert desk.ask("GET", by=by).json() == []
    refused(desk.ask("GET", "/nothing", by="mallory"), 404, "There is no session `nothing`")


async def test_a_session_on_a_confidential_issue_is_seen_by_those_who_see_the_issue(desk: Desk) -> None:
    plain = desk.begun(by="ann")["id"]
    secret = desk.begun(subject=desk.issue(confidential=True), by="ann")["id"]
    desk.place.stage.served.seed_member(PROJECT, "ann", 50)
    desk.place.stage.api("PUT", "", visibility="public")
    try:
        assert desk.ask("GET", f"/{secret}", by="rita").status_code == 200
        # Whoever asks for the first time: what people may see is remembered for a while.
        desk.place.stage.served.seed_user("otto")
        desk.place.stage.tokens["otto"] = desk.place.stage.served.seed_token("otto")
        seen = [one["id"] for one in desk.ask("GET", "?limit=100", by="otto").json()]
        assert plain in seen
        assert secret not in seen
        assert desk.ask("GET", f"/{secret}", by="otto").status_code == 404
    finally:
        desk.place.stage.api("PUT", "", visibility="private")
        desk.place.stage.served.seed_member(PROJECT, "ann", 40)


async def test_the_list_is_filtered_and_leads_to_its_next_page(desk: Desk) -> None:
    mine = [desk.begun(by="ann")["id"] for _ in range(3)]
    await desk.store.update(mine[0], status=Status.FAILED, reason="for the test")
    seen, path = [], "?mine=true&limit=2"
    while path:
        answer = desk.ask("GET", path, by="ann")
        page = [one["id"] for one in answer.json()]
        assert len(page) <= 2
        seen += page
        path = answer.links["next"]["url"].partition(SESSIONS)[2] if "next" in answer.links else ""
    assert seen[:3] == mine[::-1]
    assert len(seen) == len(set(seen))
    failed = desk.ask("GET", "?status=failed&status=stopped&mine=true", by="ann").json()
    assert [one["id"] for one in failed] == [mine[0]]
    assert desk.ask("GET", "?flow=feedback").json() == []
    assert desk.ask("GET", "?project=no/such").json() == []
    assert len(desk.ask("GET", f"?project={PROJECT}&limit=2").json()) == 2


# --- steering ----------------------------------------------------------------------------------


async def test_an_answer_is_taken_once_with_the_work_it_asks_for(desk: Desk) -> None:
    session = await desk.waiting()
    assert desk.ask("GET", f"/{session}").json()["waits_for"] == "plan_approval"
    refused(desk.ask("POST", f"/{session}/approve", by="rita"), 403, "Developer")
    codes: list[int] = []

    def approve() -> None:
        codes.append(desk.ask("POST", f"/{session}/approve").status_code)

    at_once = [threading.Thread(target=approve) for _ in range(4)]
    for one in at_once:
        one.start()
    for one in at_once:
        one.join()
    assert sorted(codes) == [202, 409, 409, 409]
    (kept,) = await desk.store.events(session, kinds=(EventKind.APPROVAL,))
    assert kept.data == {"approval": "approve", "by": "bob", "reason": ""}
    assert (await desk.work()).count(session) == 1
    refused(desk.ask("POST", f"/{session}/approve"), 409, "was answered already")
    refused(desk.ask("POST", f"/{session}/reject", json={"reason": "no"}), 409, "was answered already")
    refused(desk.ask("PUT", f"/{session}/plan", json={"tasks": ["Other"]}), 409, "was answered already")
    assert desk.ask("GET", f"/{session}").json()["waits_for"] == ""


async def test_a_plan_is_changed_and_rejected_with_a_reason(desk: Desk) -> None:
    session = await desk.waiting()
    changed = desk.ask("PUT", f"/{session}/plan", json={"tasks": ["Write two tests", "Mend it"]})
    assert changed.json() == [{"text": "Write two tests", "done": False}, {"text": "Mend it", "done": False}]
    assert [one["text"] for one in desk.ask("GET", f"/{session}").json()["plan"]] == ["Write two tests", "Mend it"]
    refused(desk.ask("PUT", f"/{session}/plan", json={"tasks": [" "]}), 422, "a plan has at least one step")
    assert desk.ask("POST", f"/{session}/reject", json={"reason": "too much"}).status_code == 202
    (kept,) = await desk.store.events(session, kinds=(EventKind.APPROVAL,))
    assert kept.data == {"approval": "reject", "by": "bob", "reason": "too much"}


async def test_what_waits_for_nobody_takes_no_answer(desk: Desk) -> None:
    session = desk.begun()["id"]
    refused(desk.ask("POST", f"/{session}/approve"), 409, "does not wait for an approval")
    assert (await desk.store.events(session)) == []


async def test_words_reach_the_log_of_a_session_that_runs(desk: Desk) -> None:
    session = desk.begun()["id"]
    await desk.store.update(session, status=Status.RUNNING)
    said = desk.ask("POST", f"/{session}/messages", json={"text": "Use the old name"})
    assert said.status_code == 201, said.text
    assert said.json()["data"] == {"role": "user", "text": "Use the old name", "note": "person", "by": "bob"}
    refused(desk.ask("POST", f"/{session}/messages", by="rita", json={"text": "no"}), 403, "Developer")


async def test_a_session_is_ended_by_a_developer_with_name_and_reason(desk: Desk) -> None:
    session = desk.begun()["id"]
    refused(desk.ask("POST", f"/{session}/cancel", by="rita"), 403, "Developer")
    ended = desk.ask("POST", f"/{session}/cancel", by="ann", json={"reason": "not today"})
    assert (ended.json()["status"], ended.json()["reason"]) == ("stopped", "cancelled by ann: not today")
    refused(desk.ask("POST", f"/{session}/cancel"), 409, "has ended")
    refused(desk.ask("POST", f"/{session}/messages", json={"text": "hello"}), 409, "has ended")


async def test_what_failed_or_was_stopped_is_restarted_as_another_session_and_once_at_a_time(desk: Desk) -> None:
    goal = desk.begun(flow="software_development", subject=PROJECT, goal="Say hello", approve_plan=True)["id"]
    refused(desk.ask("POST", f"/{goal}/restart"), 409, "has not ended")
    desk.ask("POST", f"/{goal}/cancel")
    again = desk.ask("POST", f"/{goal}/restart", by="ann")
    assert again.status_code == 201, again.text
    told = again.json()
    assert (told["restart_of"], told["goal"], told["actor"], told["approve_plan"]) == (goal, "Say hello", "ann", True)
    assert told["id"] in await desk.work()
    refused(desk.ask("POST", f"/{goal}/restart"), 409, "a restart of it is at work already")
    await desk.store.update(told["id"], status=Status.FINISHED, reason="done")
    refused(desk.ask("POST", f"/{told['id']}/restart"), 403, "has finished")
    assert desk.ask("POST", f"/{goal}/restart").status_code == 201


# --- events ------------------------------------------------------------------------------------


async def told(desk: Desk, *, many: int) -> str:
    session = str(desk.begun()["id"])
    await desk.store.update(session, status=Status.RUNNING)
    for number in range(many - 1):
        await desk.store.append(session, EventKind.PROGRESS, {"text": f"line {number}"}, turn=1)
    return session


async def test_events_come_in_pages_and_as_a_trace(desk: Desk) -> None:
    session = await told(desk, many=7)
    first = desk.ask("GET", f"/{session}/events?limit=5")
    assert [one["seq"] for one in first.json()] == [1, 2, 3, 4, 5]
    rest = desk.ask("GET", first.links["next"]["url"].partition(SESSIONS)[2])
    assert [one["seq"] for one in rest.json()] == [6, 7]
    assert "next" not in rest.links
    trace = desk.ask("GET", f"/{session}/trace.jsonl")
    assert trace.headers["content-type"].startswith("application/jsonl")
    assert [json.loads(line)["seq"] for line in trace.text.splitlines()] == [1, 2, 3, 4, 5, 6, 7]


class Watch:
    """Reads a session's events as a browser does, in a thread."""

    def __init__(self, desk: Desk, session: str, query: str = "", **headers: str) -> None:
        self.seen: list[tuple[str, str, Any]] = []
        """The id, the name and the data of each."""
        self.comments = 0
        self._url = f"{desk.place.server.url}{SESSIONS}/{session}/events/stream{query}"
        self._headers = {"Authorization": f"Bearer {desk.place.stage.tokens['bob']}"} | headers
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        with httpx2.stream(
            "GET", self._url, headers=self._headers, trust_env=False, timeout=30, verify=False
        ) as answer:
            assert answer.headers["content-type"].startswith("text/event-stream")
            fields: dict[str, str] = {}
            for line in answer.iter_lines():
                name, _, value = line.partition(": ")
                if line:
                    fields[name] = value
                elif "data" in fields:
                    self.seen.append((fields.get("id", ""), fields.get("event", ""), json.loads(fields["data"])))
                    fields = {}

    def end(self) -> list[tuple[str, str, Any]]:
        self._thread.join(30)
        assert not self._thread.is_alive()
        return self.seen


async def test_many_who_watch_see_each_event_once_and_cost_one_look(desk: Desk) -> None:
    session = await told(desk, many=3)
    watching = [Watch(desk, session) for _ in range(12)]
    desk.place.until(lambda: all(len(one.seen) == 3 for one in watching))
    # From another process: the server is told of nothing.
    beside = open_store(desk.place.settings.database)
    for number in range(20):
        await beside.append(session, EventKind.PROGRESS, {"text": f"more {number}"}, turn=1)
    await beside.update(session, status=Status.FINISHED, reason="done")
    await beside.close()
    for one in watching:
        seen = one.end()
        assert [int(number) for number, _, _ in seen[:-1]] == list(range(1, 25))
        assert seen[-1] == ("", "end", {"status": "finished", "reason": "done"})


async def test_a_lost_connection_goes_on_behind_the_last_event_it_brought(desk: Desk) -> None:
    session = await told(desk, many=6)
    await desk.store.update(session, status=Status.STOPPED, reason="enough")
    for query, headers in (("", {"Last-Event-ID": "4"}), ("?after=4", {}), ("?after=2", {"Last-Event-ID": "4"})):
        seen = Watch(desk, session, query, **headers).end()
        assert [number for number, _, _ in seen] == ["5", "6", "7", ""]
    seen = Watch(desk, session, "?after=999").end()
    assert [name for _, name, _ in seen] == ["end"]


async def test_the_looks_of_twelve_are_those_of_one(desk: Desk) -> None:
    from mergewright.server.events import LOOK, Feeds

    session = await told(desk, many=2)
    feeds = Feeds(desk.store)

    async def watch() -> int:
        count = 0
        async for part in feeds.stream(session, after=0):
            count += part.count(b"data: ")
        return count

    tasks = [asyncio.ensure_future(watch()) for _ in range(12)]
    await asyncio.sleep(LOOK * 4)
    assert 1 <= feeds.looks <= 6
    await desk.store.update(session, status=Status.FAILED, reason="for the test")
    assert await asyncio.gather(*tasks) == [4] * 12
    before = feeds.looks
    await asyncio.sleep(LOOK * 2)
    assert feeds.looks == before, "nobody watches any more"


# --- rights in the middle ----------------------------------------------------------------------


async def test_a_person_who_lost_the_role_ends_the_session_at_its_next_turn(desk: Desk) -> None:
    from mergewright.app.rights import may_go_on

    kept = await desk.store.session(desk.begun(by="bob")["id"])
    reason = may_go_on(desk.place.stage.forge)
    assert await reason(kept) == ""
    desk.place.stage.served.seed_member(PROJECT, "bob", 20)
    try:
        assert await reason(kept) == "bob may not go on with it: that takes the role Developer or more in the project"
        begun_here = Session("", "developer", Subject(PROJECT, "#", 1), "", "bob", "m")
        assert await reason(begun_here) == ""
    finally:
        desk.place.stage.served.seed_member(PROJECT, "bob", 30)
