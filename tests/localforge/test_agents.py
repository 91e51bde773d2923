"""GitLab's flows API on the forge: passed on to the agents' server with the caller's own token, within bounds."""

from collections.abc import Iterator

import httpx2
import pytest

from mergewright.localforge import agents as module
from tests.localforge.agents_stub import Agents, agents_stub
from tests.localforge.conftest import People, World

FLOWS = "/ai/duo_workflows/workflows"
PATH = f"/api/v4{FLOWS}"


@pytest.fixture
def agents(world: World) -> Iterator[Agents]:
    with agents_stub() as stub:
        world.forge.use_agents(f"{stub.url}/")
        yield stub
        world.forge.use_agents("")


def test_a_flow_is_started_with_the_callers_own_token(world: World, people: People, agents: Agents) -> None:
    agents.answer(PATH, {"id": 7, "status": "created"}, status=201)
    body = {"project_id": "1", "goal": "Do it", "workflow_definition": "developer/v1", "start_workflow": True}
    answer = people.dev.post(FLOWS, json=body)
    assert (answer.status_code, answer.json()) == (201, {"id": 7, "status": "created"})
    (asked,) = agents.asked
    assert (asked.method, asked.path, asked.json) == ("POST", PATH, body)
    assert asked.headers["private-token"] == world.tokens["dev"]


@pytest.mark.parametrize("how", ["bearer", "query", "job"])
def test_the_token_reaches_the_agents_as_a_header_wherever_it_was_sent(
    world: World, people: People, agents: Agents, how: str
) -> None:
    agents.answer(f"{PATH}/agent_privileges", {"all_privileges": []})
    token = world.tokens["rita"]
    headers = {"bearer": {"Authorization": f"Bearer {token}"}, "job": {"JOB-TOKEN": token}}.get(how, {})
    query = {"private_token": token, "page": "2"} if how == "query" else {"page": "2"}
    assert people.nobody.get(f"{FLOWS}/agent_privileges", headers=headers, params=query).status_code == 200
    assert agents.asked[-1].path == f"{PATH}/agent_privileges?page=2"
    assert agents.asked[-1].headers["private-token"] == token


def test_what_is_below_goes_through_with_its_type_and_its_pages(people: People, agents: Agents) -> None:
    lines = b'{"status":"running"}\n{"status":"finished"}\n'
    agents.answer(f"{PATH}/12/trace.jsonl", lines, content_type="application/x-ndjson", x_total="2", set_cookie="a=b")
    answer = people.dev.get(f"{FLOWS}/12/trace.jsonl", params={"thread": "latest"})
    assert (answer.content, answer.headers["content-type"]) == (lines, "application/x-ndjson")
    assert answer.headers["x-total"] == "2"
    assert "set-cookie" not in answer.headers
    assert agents.asked[-1].path.endswith("/12/trace.jsonl?thread=latest")
    agents.answer(f"{PATH}/12/restart", {"message": "403 Forbidden"}, status=403)
    assert people.dev.post(f"{FLOWS}/12/restart").status_code == 403


def test_without_a_valid_token_nothing_goes_on(people: People, agents: Agents) -> None:
    assert people.nobody.post(FLOWS, json={}).status_code == 401
    assert people.nobody.get(FLOWS, headers={"PRIVATE-TOKEN": "glpat-wrong"}).status_code == 401
    assert not agents.asked


def test_a_token_that_may_only_read_starts_nothing(world: World, people: People, agents: Agents) -> None:
    token = world.forge.seed_token("dev", scopes=("read_api",))
    assert people.nobody.post(FLOWS, json={}, headers={"PRIVATE-TOKEN": token}).status_code == 403
    assert not agents.asked


@pytest.mark.parametrize(
    "path", ["/1/../../../sessions", "/%2e%2e/%2e%2e/x", "/1%2Frestart", "/..%2f", "/a/b/c/d/e", "//x", "/.hidden"]
)
def test_no_path_climbs_out_of_the_flows(people: People, agents: Agents, path: str) -> None:
    url = httpx2.URL(str(people.dev.base_url)).copy_with(raw_path=f"/api/v4{FLOWS}{path}".encode())
    assert people.dev.get(url).status_code == 404
    assert not agents.asked


def test_where_no_agents_are_that_is_said(world: World, people: People) -> None:
    world.forge.use_agents("")
    answer = people.dev.post(FLOWS, json={})
    assert (answer.status_code, answer.json()["message"]) == (
        503,
        "503 Service Unavailable - no server of agents is set for this forge",
    )
    world.forge.use_agents("http://127.0.0.1:9")
    answer = people.dev.post(FLOWS, json={})
    assert answer.status_code == 503
    assert "does not answer" in answer.json()["message"]


def test_too_much_in_either_direction_is_refused(
    people: People, agents: Agents, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert people.dev.post(FLOWS, content=b"x" * (module.BODY_LIMIT + 1)).status_code == 413
    assert not agents.asked
    monkeypatch.setattr(module, "ANSWER_LIMIT", 1000)
    agents.answer(PATH, b"x" * 2000)
    assert people.dev.get(FLOWS).status_code == 502


def test_a_redirect_does_not_carry_the_token_away(people: People, agents: Agents) -> None:
    agents.answer(PATH, {}, status=302, location=f"{agents.url}/elsewhere")
    assert people.dev.get(FLOWS).status_code == 502
    assert [one.path for one in agents.asked] == [PATH]
