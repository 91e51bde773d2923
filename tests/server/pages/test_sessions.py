"""The session pages over real HTTP: what they show, how they go on, and what their forms do."""

import re
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx2
import pytest

from mergewright.domain.errors import Forbidden, MergewrightError, NotFound, Unauthorized, Unreachable
from mergewright.domain.session import EventKind, Session, Status, Subject
from mergewright.server.pages import session as session_page
from mergewright.store.sql import SqlStore, open_store
from tests.server.pages.stand import ANN, Played, app_over, served

NASTY = "<script>alert(1)</script><img src=x onerror=alert(2)>"
ISSUE = Subject("team/shop", "#", 7)


class Place:
    """A store behind pages, and a person who looks at them."""

    def __init__(self, folder: Path) -> None:
        self.store: SqlStore = open_store(folder / "db.sqlite3")
        self.played = Played(self.store)
        self.url = ""

    async def session(self, **more: Any) -> Session:
        base = Session("", "developer", ISSUE, "team/shop#7", "ann", "openai:gpt", turn=1, inputs={"forge": "http://f"})
        return await self.store.create(replace(base, **more))

    async def tell(self, session: Session, kind: str, component: str = "implement:1", **data: Any) -> None:
        await self.store.append(session.id, EventKind(kind), data, turn=1, component=component)

    def ask(self, verb: str, path: str, **more: Any) -> httpx2.Response:
        if verb == "POST":
            more["data"] = {"csrf": ANN.csrf} | (more.get("data") or {})
        return httpx2.request(verb, self.url + path, trust_env=False, timeout=20, **more, verify=False)

    def see(self, path: str, **more: Any) -> str:
        answer = self.ask("GET", path, **more)
        assert answer.status_code == 200, answer.text
        return answer.text


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    made = Place(tmp_path)
    with served(app_over(made.played)) as made.url:
        yield made


async def test_the_list_shows_what_matters_and_leads_to_the_forge(place: Place) -> None:
    session = await place.session()
    await place.store.update(session.id, status=Status.FAILED, reason="the forge is down")
    await place.tell(session, "usage", requests=1, input_tokens=10, output_tokens=5, cached_tokens=0, cost=0.25)
    text = place.see("/sessions")
    assert f'href="/sessions/{session.id}"' in text
    assert 'href="http://f/team/shop/-/issues/7"' in text
    for part in ("Failed", "the forge is down", "@ann", "gpt", "$0.25"):
        assert part in text


async def test_the_list_is_filtered_by_a_plain_form(place: Place) -> None:
    mine = await place.session()
    other = await place.session(subject=Subject("team/blog", "#", 1), actor="bob", flow="feedback")
    await place.store.update(mine.id, status=Status.FINISHED, reason="done")
    for query, seen in (
        ("project=team/shop", {mine.id}),
        ("status=finished", {mine.id}),
        ("status=active", {other.id}),
        ("flow=feedback", {other.id}),
        ("mine=true", {mine.id}),
        ("status=", {mine.id, other.id}),
    ):
        assert set(re.findall(r'href="/sessions/(\w{12})"', place.see(f"/sessions?{query}"))) == seen, query
    assert place.ask("GET", "/sessions?status=silly").status_code == 422
    assert "Show all" in place.see("/sessions?project=no/such")


async def test_the_list_goes_on_with_older_ones_page_by_page(place: Place) -> None:
    for number in range(1, 65):
        await place.session(subject=Subject("team/shop", "#", number))
    seen: list[str] = []
    path = "/sessions?flow=developer"
    for _ in range(3):
        text = place.see(path)
        seen += re.findall(r'id="to-(\w{12})"', text)
        older = re.search(r'href="(/sessions\?[^"]*before=[^"]*)"', text)
        path = older[1].replace("&amp;", "&") if older else ""
    assert not path
    assert len(seen) == len(set(seen)) == 64


async def test_a_script_gets_the_list_alone_and_the_way_back_the_whole_page(place: Place) -> None:
    await place.session()
    assert not place.see("/sessions", headers={"HX-Request": "true"}).startswith("<!doctype")
    both = {"HX-Request": "true", "HX-History-Restore-Request": "true"}
    assert place.see("/sessions", headers=both).startswith("<!doctype")


async def test_an_empty_list_says_what_to_do_next(place: Place) -> None:
    text = place.see("/sessions")
    assert "No session yet" in text
    assert '<details class="begin" open>' in text


async def test_a_session_is_begun_from_the_form_and_a_mistake_keeps_what_was_written(place: Place) -> None:
    given = {"flow": "developer", "subject": "team/shop#7", "goal": "make it so", "approve_plan": "true"}
    begun = place.ask("POST", "/sessions", data=given)
    assert begun.status_code == 303
    assert begun.headers["location"].startswith("/sessions/")
    assert place.played.asked == [("begin", "developer", "team/shop#7", {"goal": "make it so", "approve_plan": True})]
    again = place.ask("POST", "/sessions", data=given)
    assert again.status_code == 409
    assert "already works on" in again.text
    assert "make it so" in again.text
    wrong = place.ask("POST", "/sessions", data={**given, "subject": "shop#x"})
    assert wrong.status_code == 422
    assert "names no issue or merge request" in wrong.text


async def test_what_strangers_wrote_is_inert_everywhere_on_the_page(place: Place) -> None:
    session = await place.session(goal=NASTY, actor="ann<b>", model=NASTY, inputs={"forge": "javascript:alert(1)//"})
    await place.tell(session, "component", phase="begin", type="AgentComponent")
    await place.tell(session, "message", role="assistant", text=NASTY)
    await place.tell(session, "message", role="user", text=NASTY)
    await place.tell(session, "tool_call", id="a", name="read", arguments={"path": NASTY})
    await place.tell(session, "tool_result", id="a", name="read", text=f"{NASTY}\n{NASTY}", ok=True)
    await place.tell(session, "tool_call", id="b", name=NASTY, arguments={NASTY: [NASTY]})
    await place.tell(session, "tool_result", id="b", name=NASTY, text=NASTY, ok=False)
    await place.tell(session, "tool_call", id="c", name="jump hidden", arguments={})
    await place.tell(session, "check", command=NASTY, exit_code=1, seconds=1.0, summary=NASTY, when=NASTY)
    await place.tell(session, "forge", action=NASTY, subject=NASTY, web_url="javascript:alert(3)")
    await place.tell(session, "plan", tasks=[{"text": NASTY, "done": False}])
    await place.tell(session, "progress", text=NASTY)
    await place.tell(session, "error", message=NASTY, hint=NASTY)
    await place.tell(session, "approval", "", approval=NASTY, by=NASTY, reason=NASTY)
    await place.store.update(session.id, status=Status.PLAN_APPROVAL_REQUIRED, reason=NASTY)
    for path in (f"/sessions/{session.id}", f"/sessions/{session.id}?view=full", "/sessions"):
        text = place.see(path)
        assert "&lt;script&gt;" in text
        assert "<script>" not in text
        assert "<img" not in text
        assert "javascript:" not in text
        assert not re.search('class="[^"]*jump hidden', text), "a tool's name does not become a class"


async def test_a_session_in_a_project_that_one_may_not_read_is_not_there(place: Place) -> None:
    session = await place.session()
    place.played.hidden.add("team/shop")
    for path in ("", "/live", "/earlier?before=3", "/trace.jsonl"):
        answer = place.ask("GET", f"/sessions/{session.id}{path}")
        assert answer.status_code == 404
        assert "team/shop" not in answer.text
    assert session.id not in place.see("/sessions")


async def test_a_long_session_opens_with_its_newest_part_and_shows_the_rest_when_asked(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session_page, "WINDOW", 10)
    session = await place.session()
    await place.tell(session, "component", phase="begin", type="AgentComponent")
    for number in range(2, 26):
        await place.tell(session, "progress", text=f"line {number}.")
    text = place.see(f"/sessions/{session.id}")
    assert set(map(int, re.findall(r"line (\d+)\.", text))) == set(range(16, 26))
    seen = []
    while more := re.search(r'hx-get="([^"]+earlier[^"]+)"', text):
        text = place.see(more[1].replace("&amp;", "&"))
        seen += list(map(int, re.findall(r"line (\d+)\.", text)))
    assert sorted(seen) == list(range(2, 16))
    without_script = place.see(f"/sessions/{session.id}?before=16")
    assert "line 15." in without_script
    assert "sse-connect" not in without_script


async def test_the_forms_of_a_session_do_what_they_say(place: Place) -> None:
    session = await place.session()
    await place.tell(session, "plan", "plan:1", tasks=[{"text": "one", "done": False}])
    await place.store.update(session.id, status=Status.PLAN_APPROVAL_REQUIRED, reason="the plan waits for approval")
    text = place.see(f"/sessions/{session.id}")
    actions = set(re.findall(rf'action="/sessions/{session.id}/(\w+)"', text))
    assert actions == {"plan", "approve", "reject", "cancel"}
    assert text.count('name="csrf" value="the-csrf-of-ann"') == len(actions) + 1
    base = f"/sessions/{session.id}"
    for path, data in (
        ("plan", {"tasks": "first\n\n  second \n"}),
        ("approve", {}),
        ("reject", {"reason": "too much"}),
        ("message", {"text": "use tabs"}),
        ("cancel", {"reason": "changed my mind"}),
    ):
        answer = place.ask("POST", f"{base}/{path}", data=data)
        assert answer.status_code == 303, answer.text
        assert answer.headers["location"].split("#")[0] == base
    assert place.played.asked == [
        ("plan", session.id, ["first", "second"]),
        ("approve", session.id),
        ("reject", session.id, "too much"),
        ("message", session.id, "use tabs"),
        ("cancel", session.id, "changed my mind"),
    ]
    ended = place.see(base)
    assert set(re.findall(rf'action="/sessions/{session.id}/(\w+)"', ended)) == {"restart"}
    assert "changed my mind" in ended
    for path in ("plan", "approve", "reject", "message", "cancel", "restart"):
        forged = place.ask("POST", f"{base}/{path}", data={"csrf": "guessed", "tasks": "x", "text": "x"})
        assert (forged.status_code, len(place.played.asked)) == (403, 5), path
    assert place.ask("POST", "/sessions", data={"csrf": "", "flow": "x", "subject": "x"}).status_code == 403
    refused = place.ask("POST", f"{base}/approve")
    assert refused.status_code == 409
    assert "does not wait for an approval" in refused.text
    assert f'href="{base}"' in refused.text
    assert place.ask("POST", f"{base}/plan", data={"tasks": " \n"}).status_code == 422


async def test_the_head_of_a_page_tells_where_the_session_comes_from_and_what_it_may(place: Place) -> None:
    first = await place.session()
    inputs = {"forge": "http://f", "restart_of": first.id, "agent_privileges": ["run_commands", "<b>"]}
    review = await place.session(flow="code_review", subject=Subject("team/shop", "!", 3), inputs=inputs)
    text = place.see(f"/sessions/{review.id}")
    assert f'href="/sessions/{first.id}"' in text
    assert 'href="/reviews/team/shop/-/3"' in text
    assert "may run commands, &lt;b&gt;" in text
    assert place.ask("POST", f"/sessions/{review.id}/start").status_code == 303
    assert place.played.asked == [("start", review.id)]
    await place.store.update(review.id, status=Status.RUNNING)
    assert "Start now" not in place.see(f"/sessions/{review.id}")


async def test_the_trace_is_the_whole_log_as_json_lines(place: Place) -> None:
    session = await place.session()
    await place.tell(session, "progress", text="one")
    answer = place.ask("GET", f"/sessions/{session.id}/trace.jsonl")
    assert "attachment" in answer.headers["content-disposition"]
    assert '"kind": "progress"' in answer.text.splitlines()[0]


async def test_a_page_that_is_not_there_says_so_in_a_sentence_and_the_api_in_json(place: Place) -> None:
    page = place.ask("GET", "/no/such/page")
    assert (page.status_code, page.headers["content-type"]) == (404, "text/html; charset=utf-8")
    assert "There is no such page" in page.text
    assert place.ask("GET", "/api/v1/no/such").headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (Forbidden("this takes the role `Developer` or more", hint="ask a maintainer"), 403),
        (Unreachable("the forge gives no answer", hint="mergewright doctor"), 503),
        (NotFound("there is no session `x`"), 404),
    ],
)
async def test_an_error_is_a_page_with_one_sentence_and_what_to_do(
    place: Place, error: MergewrightError, status: int
) -> None:
    place.played.fault = error
    answer = place.ask("GET", "/sessions/x")
    assert (answer.status_code, answer.headers["content-type"]) == (status, "text/html; charset=utf-8")
    text = answer.text
    assert error.message.replace("`Developer`", "<code>Developer</code>").replace("`x`", "<code>x</code>")[1:] in text
    assert ("Ask a maintainer" in text) == (status == 403)
    assert "mergewright doctor" not in text, "a command is no hint on a page"


async def test_who_has_not_signed_in_is_led_there_and_back(place: Place) -> None:
    place.played.fault = Unauthorized("no login")
    answer = place.ask("GET", "/sessions/x?view=full")
    assert answer.status_code == 303
    assert answer.headers["location"] == "/sign-in?back=%2Fsessions%2Fx%3Fview%3Dfull"
    came = {"HX-Request": "true", "Referer": f"{place.url}/sessions/x"}
    by_script = place.ask("GET", "/sessions/x/earlier?before=3", headers=came)
    assert by_script.headers["hx-redirect"] == "/sign-in?back=%2Fsessions%2Fx"


async def test_what_pages_load_may_be_kept_by_its_version(place: Place) -> None:
    text = place.see("/sessions")
    for address in re.findall(r'(?:src|href)="(/static/[^"]+)"', text):
        answer = place.ask("GET", address)
        assert answer.status_code == 200
        assert "immutable" in answer.headers["cache-control"]
    assert place.ask("GET", "/static/theme.js").headers["cache-control"] == "no-cache"


# --- live ------------------------------------------------------------------------------------


def news(text: str) -> list[tuple[str, str, str]]:
    """Read a stream's events: name, id and data."""
    found = []
    for block in text.split("\n\n"):
        fields: dict[str, str] = {}
        for line in block.split("\n"):
            name, _, value = line.partition(": ")
            fields[name] = f"{fields[name]}\n{value}" if name in fields else value
        if "event" in fields:
            found.append((fields["event"], fields.get("id", ""), fields["data"]))
    return found


async def test_the_live_stream_sends_parts_of_the_page_and_ends_with_the_session(place: Place) -> None:
    session = await place.session()
    await place.tell(session, "component", phase="begin", type="AgentComponent")
    await place.tell(session, "tool_call", id="a", name="read", arguments={"path": "x.py"})
    page = place.see(f"/sessions/{session.id}")
    stream = re.search(r'sse-connect="([^"]+)"', page)
    assert stream
    await place.tell(session, "tool_result", id="a", name="read", text="x.py · lines 1-1 of 1\nx = 1", ok=True)
    await place.tell(session, "progress", text="nearly there")
    await place.tell(session, "plan", tasks=[{"text": "one", "done": True}])
    await place.store.update(session.id, status=Status.FINISHED, reason="all done")
    sent = news(place.see(stream[1].replace("&amp;", "&")))
    assert [(name, number) for name, number, _ in sent] == [("news", "6"), ("end", "")]
    part = sent[0][2]
    assert re.search(r'<li id="e2"[^>]* hx-swap-oob="outerHTML">.*lines 1-1 of 1', part, re.DOTALL)
    assert re.search(r'hx-swap-oob="beforeend:#s1-lines">.*nearly there', part, re.DOTALL)
    for place_of in ("plan", "standing", "actions"):
        assert re.search(rf'id="{place_of}"[^>]*hx-swap-oob="true"', part)
    assert "all done" in part


async def test_a_lost_connection_goes_on_behind_what_was_seen(place: Place) -> None:
    session = await place.session()
    await place.tell(session, "component", phase="begin", type="AgentComponent")
    for number in range(2, 7):
        await place.tell(session, "progress", text=f"line {number}.")
    await place.store.update(session.id, status=Status.STOPPED, reason="enough")
    address = f"/sessions/{session.id}/live?first=0&after=1"
    (sent, _) = news(place.see(address, headers={"Last-Event-ID": "4"}))
    assert re.findall(r"line (\d)\.", sent[2]) == ["5", "6"]
    assert 'hx-swap-oob="beforeend:#s1-lines"' in sent[2], "the step is there already"
    assert news(place.see(address, headers={"Last-Event-ID": "7"})) == [("end", "", "stopped")]
    assert len(news(place.see(address, headers={"Last-Event-ID": "-1 x"}))[0][2]) > len(sent[2])


async def test_an_open_page_does_not_hold_up_the_end_of_the_server(place: Place) -> None:
    session = await place.session()
    app = app_over(place.played)
    with (
        served(app) as url,
        httpx2.Client(trust_env=False, timeout=30, verify=False) as client,
        client.stream("GET", f"{url}/sessions/{session.id}/live", timeout=30) as stream,
    ):
        parts = stream.iter_raw()
        assert next(parts).startswith(b"retry")
        began = time.monotonic()
        app.state.closing = True
        assert list(parts) == []
        assert time.monotonic() - began < 10, "it ends at once, and not with the next heartbeat"
