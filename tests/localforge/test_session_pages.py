"""Automate → Sessions on the forge, and the buttons that begin a session in a person's name."""

from collections.abc import Iterator

import httpx2
import pytest
from sqlalchemy import select

from mergewright.localforge.tables import Token
from tests.localforge.agents_stub import Agents, agents_stub
from tests.localforge.conftest import PROJECT, People, World, commit, open_merge_request
from tests.localforge.test_pages import BASE, browser_of, said, sent

FLOWS = "/api/v4/ai/duo_workflows/workflows"
SESSIONS = f"{BASE}automate/sessions"


@pytest.fixture
def agents(world: World) -> Iterator[Agents]:
    with agents_stub() as stub:
        world.forge.use_agents(stub.url)
        yield stub
        world.forge.use_agents("")


@pytest.fixture(scope="module")
def dev(world: World) -> Iterator[httpx2.Client]:
    with browser_of(world, "dev") as browser:
        yield browser


@pytest.fixture(scope="module")
def issue(people: People, world: World) -> str:
    row = people.rita.post(f"{world.path}/issues", json={"title": "To be done"}).json()
    return f"{BASE}issues/{row['iid']}"


def known_to(people: People, token: str) -> bool:
    return people.nobody.get("/user", headers={"PRIVATE-TOKEN": token}).status_code == 200


def test_d1_a_button_below_the_header_starts_the_developer_on_the_issue(
    world: World, people: People, dev: httpx2.Client, agents: Agents, issue: str
) -> None:
    page = dev.get(issue).text
    assert page.index("To be done <") < page.index("Generate merge request") < page.index("No description.")
    agents.answer(FLOWS, {"id": 7, "status": "created"}, status=201)
    led = sent(dev, issue, f"{issue}/generate_merge_request")
    assert (led.status_code, led.headers["location"]) == (303, f"{SESSIONS}?started=7")
    (asked,) = agents.asked
    assert asked.json == {
        "project_id": str(world.id),
        "issue_id": int(issue.rpartition("/")[2]),
        "workflow_definition": "developer/v1",
        "start_workflow": True,
    }
    token = asked.headers["private-token"]
    assert token not in world.tokens.values()
    assert not known_to(people, token)


def test_the_agents_can_ask_the_forge_as_that_person_while_they_answer(
    world: World, people: People, dev: httpx2.Client, agents: Agents, issue: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []
    keep = agents.asked.append

    class Asking(list[object]):
        def append(self, one: object) -> None:
            keep(one)  # type: ignore[arg-type]
            headers = {"PRIVATE-TOKEN": one.headers["private-token"]}  # type: ignore[attr-defined]
            told.append(people.nobody.get("/user", headers=headers).json()["username"])

    monkeypatch.setattr(agents, "asked", Asking())
    agents.answer(FLOWS, {"id": 8}, status=201)
    assert sent(dev, issue, f"{issue}/generate_merge_request").status_code == 303
    assert told == ["dev"]


def test_who_may_not_develop_has_no_such_button_and_gets_no_session(
    world: World, people: People, agents: Agents, issue: str
) -> None:
    agents.answer(FLOWS, {"id": 7}, status=201)
    for username in ("gus", "rita"):
        with browser_of(world, username) as browser:
            assert "Generate merge request" not in browser.get(issue).text
            assert sent(browser, issue, f"{issue}/generate_merge_request").status_code == 403
    with browser_of(world) as stranger:
        assert stranger.post(f"{issue}/generate_merge_request").status_code == 401
    with browser_of(world, "dev") as browser:
        assert browser.post(f"{issue}/generate_merge_request").status_code == 403
        closed = people.dev.post(f"{world.path}/issues", json={"title": "Closed"}).json()["iid"]
        people.dev.put(f"{world.path}/issues/{closed}", json={"state_event": "close"})
        page = f"{BASE}issues/{closed}"
        assert "Generate merge request" not in browser.get(page).text
        assert sent(browser, page, f"{page}/generate_merge_request").status_code == 403
    assert not agents.asked


def test_why_no_session_began_is_said_in_the_agents_own_words(
    world: World, dev: httpx2.Client, agents: Agents, issue: str
) -> None:
    agents.answer(FLOWS, {"message": "the developer may not write to this project"}, status=403)
    answer = sent(dev, issue, f"{issue}/generate_merge_request")
    assert answer.status_code == 403
    assert "the developer may not write to this project" in said(answer)
    assert f'href="{issue}"' in answer.text
    world.forge.use_agents("http://127.0.0.1:9")
    answer = sent(dev, issue, f"{issue}/generate_merge_request")
    assert (answer.status_code, "the agents' server does not answer" in said(answer)) == (503, True)
    with world.forge.instance.read() as session:
        assert not list(session.scalars(select(Token).where(Token.name.contains("agents"))))


def test_a_failed_pipeline_can_be_given_to_the_agent(
    world: World, people: People, dev: httpx2.Client, agents: Agents
) -> None:
    row = open_merge_request(people.dev, world.path, "fix/me")
    where = f"{world.path}/statuses/{row['sha']}"
    people.dev.post(where, json={"state": "failed", "name": "outside", "ref": "fix/me"})
    number = people.dev.get(f"{world.path}/pipelines", params={"sha": row["sha"]}).json()[0]["id"]
    page = f"{BASE}pipelines/{number}"
    assert "Fix pipeline" in dev.get(f"{BASE}merge_requests/{row['iid']}").text
    agents.answer(FLOWS, {"id": 9}, status=201)
    assert sent(dev, page, f"{page}/fix").status_code == 303
    asked = agents.asked[-1].json
    assert asked["workflow_definition"] == "software_development/v1"
    assert asked["merge_request_id"] == row["iid"]
    assert f"#{number}" in asked["goal"]
    people.dev.post(where, json={"state": "success", "name": "outside", "ref": "fix/me"})
    assert "Fix pipeline" not in dev.get(page).text
    assert sent(dev, page, f"{page}/fix").status_code == 403


def test_d3_the_sessions_of_the_project_are_listed_with_where_to_follow_them(
    people: People, dev: httpx2.Client, agents: Agents
) -> None:
    one = {"id": "ab12", "flow": "developer", "subject": f"{PROJECT}#1", "goal": "", "actor": "dev"}
    two = {"id": "cd34", "flow": "code_review", "subject": f"{PROJECT}!2", "goal": "Look", "actor": "mia"}
    rows = [
        one | {"status": "running", "created_at": "2026-01-31T09:30:00.123456+00:00"},
        two | {"status": "plan_approval_required", "created_at": "2026-01-31T09:30:00Z"},
    ]
    agents.answer("/api/v1/sessions", {"sessions": rows})
    page = dev.get(f"{SESSIONS}?started=7")
    assert agents.asked[0].path == "/api/v1/sessions?project=acme%2Fshop"
    assert not known_to(people, agents.asked[0].headers["private-token"])
    assert all(f'href="{agents.url}/sessions/{end}"' in page.text for end in ("ab12", "cd34", "7"))
    assert f'href="{BASE}issues/1">#1<' in page.text
    assert f'href="{BASE}merge_requests/2">!2<' in page.text
    words = ("running", "plan approval required", "Look", "Developer", "Watch it live")
    assert all(word in said(page) for word in words)
    assert 'data-live="4"' in page.text
    agents.answer("/api/v1/sessions", [])
    assert "There is no session yet" in dev.get(SESSIONS).text


def test_sessions_are_shown_to_members_and_their_failure_is_said(
    world: World, dev: httpx2.Client, agents: Agents
) -> None:
    agents.answer("/api/v1/sessions", [])
    for username, status in (("", 401), ("eve", 404), ("gus", 404)):
        with browser_of(world, username) as browser:
            assert browser.get(SESSIONS).status_code == status
    assert not agents.asked
    agents.answer("/api/v1/sessions", {"detail": "the store is away"}, status=503)
    assert "The sessions cannot be shown: the store is away" in said(dev.get(SESSIONS))
    agents.answer("/api/v1/sessions", b"no json")
    assert "There is no session yet" in dev.get(SESSIONS).text
    world.forge.use_agents("")
    assert "No server of agents is set" in dev.get(SESSIONS).text


def test_r1_the_reviewer_is_asked_by_a_button(tmp_path_factory: pytest.TempPathFactory) -> None:
    from tests.localforge.conftest import build_world

    world = build_world(tmp_path_factory.mktemp("reviewer"), reviewer="rita")
    world.forge.start()
    try:
        with world.client("dev") as api, browser_of(world, "dev") as browser:
            row = open_merge_request(api, world.path, "to/review")
            page = f"{BASE}merge_requests/{row['iid']}"
            assert "Review with mergewright" in browser.get(page).text
            assert sent(browser, page, f"{page}/reviewers", reviewer="rita").status_code == 303
            (reviewer,) = api.get(f"{world.path}/merge_requests/{row['iid']}/reviewers").json()
            assert (reviewer["user"]["username"], reviewer["state"]) == ("rita", "unreviewed")
            assert sent(browser, page, f"{page}/reviewers", reviewer="nobody").status_code == 403
            assert sent(browser, page, f"{page}/reviewers", reviewer="rita\n/merge").status_code == 400
            commit(api, world.path, "to/review", {"more.txt": "x"}, start=None)
    finally:
        world.forge.stop()
