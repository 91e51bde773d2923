"""GitLab's flows API as its clients use it, on a real server beside a real local forge."""

import asyncio
import json
import shlex
import subprocess
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest

from mergewright.domain.session import EventKind, Status
from tests.review.stage import PROJECT
from tests.server.desk import Desk, open_desk

API = "/api/v4/ai/duo_workflows/workflows"
CURL = """
curl POST --verbose \\
   --header "Authorization: Bearer $YOUR_GITLAB_PAT" \\
   --header "Content-Type: application/json" \\
   --data '{
      "project_id": "$PROJECT_ID_FOR_RUNNING_WORKFLOW_AGAINST",
      "start_workflow": true,
      "goal": "Fix the pipeline for merge request X in project Y."
   }' \\
   --location 'https://gitlab.com/api/v4/ai/duo_workflows/workflows'
"""
"""As GitLab's documentation has it, to the letter."""


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    opened = open_desk(tmp_path_factory.mktemp("duo"))
    yield opened
    opened.close()


def ask(desk: Desk, verb: str, path: str = "", *, by: str = "bob", **more: Any) -> httpx2.Response:
    return desk.place.ask(verb, f"{API}{path}", by=by, **more)


def create(desk: Desk, **asked: Any) -> httpx2.Response:
    return ask(desk, "POST", json={"project_id": PROJECT} | asked)


def project_id(desk: Desk) -> int:
    return desk.place.stage.served.project_id(PROJECT)


async def test_the_line_of_the_documentation_starts_a_session(desk: Desk) -> None:
    line = CURL.replace("https://gitlab.com", desk.place.server.url).replace(
        "$PROJECT_ID_FOR_RUNNING_WORKFLOW_AGAINST", str(project_id(desk))
    )
    arguments = [
        one.replace("$YOUR_GITLAB_PAT", desk.place.stage.tokens["bob"])
        for one in shlex.split(line.replace("\\\n", " "))
    ]
    assert arguments[:3] == ["curl", "POST", "--verbose"]
    # `POST` is taken for an address, which there is none of here.
    done = await asyncio.to_thread(
        subprocess.run, arguments, capture_output=True, text=True, check=False, timeout=60, env={"no_proxy": "*"}
    )
    assert "HTTP/1.1 201 Created" in done.stderr, done.stderr
    told = json.loads(done.stdout)
    assert told["project_id"] == project_id(desk)
    assert told["workload"]["id"] == told["id"]
    assert (told["status"], told["workflow_definition"]) == ("created", "software_development")
    assert told["title"] == "Fix the pipeline for merge request X in project Y."
    kept = await desk.store.find(str(told["id"]))
    assert (kept.flow, str(kept.subject), kept.actor) == ("software_development", PROJECT, "bob")
    assert kept.id in await desk.work()


def test_the_answer_has_all_that_gitlabs_has(desk: Desk) -> None:
    told = create(desk, goal="Say hello", environment="web", client_reference="job 7", surprise=[1]).json()
    assert set(told) >= {
        "id", "project_id", "namespace_id", "agent_privileges", "agent_privileges_names",
        "pre_approved_agent_privileges", "pre_approved_agent_privileges_names", "workflow_definition", "status",
        "allow_agent_to_request_user", "image", "environment", "ai_catalog_item_version_id", "mcp_enabled",
        "gitlab_url", "title", "summary", "workload",
    }  # fmt: skip
    assert told["agent_privileges"] == [1, 2, 3, 4, 5, 6]
    assert (told["environment"], told["client_reference"]) == ("web", "job 7")
    assert told["gitlab_url"] == desk.place.stage.served.url
    assert ask(desk, "GET", f"/{told['id']}").json()["id"] == told["id"]


async def test_without_a_word_to_start_it_stays_created(desk: Desk) -> None:
    told = create(desk, goal="Say hello").json()
    kept = await desk.store.find(str(told["id"]))
    assert kept.status is Status.CREATED
    assert kept.id not in await desk.work()


def iid(desk: Desk) -> int:
    return int(desk.issue().rpartition("#")[2])


@pytest.mark.parametrize("form", ["issue_id", "iid", "#", "address"])
def test_the_developer_flow_takes_its_issue_in_each_form(desk: Desk, form: str) -> None:
    number = iid(desk)
    goal = {
        "iid": str(number),
        "#": f"#{number}",
        "address": f"{desk.place.stage.served.url}/{PROJECT}/-/issues/{number}",
    }
    asked = {"issue_id": number} if form == "issue_id" else {"goal": goal[form]}
    told = create(desk, workflow_definition="developer/v1", **asked)
    assert told.status_code == 201, told.text
    assert told.json()["workflow_definition"] == "developer/v1"
    assert told.json()["title"] == f"{PROJECT}#{number}"


async def test_a_form_does_as_well_as_json(desk: Desk) -> None:
    fields: dict[str, Any] = {"project_id": str(project_id(desk)), "goal": "Say hello", "start_workflow": "false"}
    fields |= {"agent_privileges[]": ["1", "3", "5"], "pre_approved_agent_privileges[]": ["1"]}
    answer = ask(desk, "POST", data=fields)
    assert answer.status_code == 201, answer.text
    told = answer.json()
    assert told["agent_privileges_names"] == ["read_write_files", "read_write_gitlab", "use_git"]
    assert told["pre_approved_agent_privileges"] == [1]
    assert (await desk.store.find(str(told["id"]))).inputs["agent_privileges"] == told["agent_privileges_names"]


@pytest.mark.parametrize(
    ("goal", "subject"),
    [
        ("Fix the pipeline for merge request 1 in project {project}.", f"{PROJECT}!1"),
        ("Write tests for !1, and nothing else in !1", f"{PROJECT}!1"),
        ("Compare merge request 1 with !2", PROJECT),
        ("Do what merge request 99 was to do", PROJECT),
    ],
)
async def test_a_goal_works_on_the_one_open_merge_request_that_it_speaks_of(
    desk: Desk, goal: str, subject: str
) -> None:
    told = create(desk, goal=goal.format(project=project_id(desk))).json()
    kept = await desk.store.find(str(told["id"]))
    assert (kept.flow, str(kept.subject)) == ("software_development", subject)
    await desk.store.update(kept.id, status=Status.STOPPED, reason="done with")


async def test_the_reviewer_takes_its_merge_request(desk: Desk) -> None:
    told = create(desk, workflow_definition="code_review/v1", goal=f"http://x/{PROJECT}/-/merge_requests/1")
    assert told.status_code == 201, told.text
    kept = await desk.store.find(str(told.json()["id"]))
    assert (kept.flow, str(kept.subject)) == ("code_review", f"{PROJECT}!1")
    assert create(desk, workflow_definition="code_review/v1", merge_request_id=1).status_code == 409


@pytest.mark.parametrize(
    ("asked", "status", "words"),
    [
        ({"goal": "x", "callback_hook_id": 1}, 400, "callback_hook_id"),
        ({"goal": "x", "client_reference": "x" * 256}, 400, "client_reference"),
        ({"goal": "x", "ai_catalog_item_consumer_id": 1}, 400, "catalog"),
        ({"goal": ""}, 400, "the goal is empty"),
        ({"project_id": None, "goal": "x"}, 400, "project_id"),
        ({"project_id": 99_999, "goal": "x"}, 404, "404 Not Found"),
        ({"workflow_definition": "nothing/v1"}, 400, "there is no flow"),
        ({"workflow_definition": "developer/v1", "goal": "do it"}, 400, "`issue_id` is missing"),
        ({"workflow_definition": "developer/v1", "goal": "http://x/other/one/-/issues/1"}, 400, "another project"),
        ({"workflow_definition": "developer/v1", "issue_id": 9999}, 404, "404 Not Found"),
        ({"goal": "x", "agent_privileges": [7]}, 400, "agent_privileges"),
        ({"goal": "x", "agent_privileges": [1, 3], "pre_approved_agent_privileges": [4]}, 400, "pre_approved"),
        ({"goal": "x", "agent_privileges": [1]}, 403, "needs the agent privileges"),
        ({"goal": "x", "environment": "moon"}, 400, "environment"),
        ({"goal": "x", "source_branch": "nowhere"}, 400, "`nowhere` has no merge request"),
    ],
)
def test_what_cannot_be_is_refused_as_gitlab_does(desk: Desk, asked: dict[str, Any], status: int, words: str) -> None:
    answer = create(desk, **asked)
    assert answer.status_code == status, answer.text
    told = answer.json()
    assert len(told) == 1
    assert words in (told.get("message") or told.get("error"))


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'"x"', b"[" * 100_000, b"\xff"])
def test_a_malformed_body_is_a_bad_request(desk: Desk, body: bytes) -> None:
    for kind in ("application/json", "application/x-www-form-urlencoded", "text/plain"):
        assert ask(desk, "POST", content=body, headers={"content-type": kind}).status_code == 400


@pytest.mark.parametrize(("by", "status"), [("rita", 403), ("bob, reading", 403), ("mallory", 404), ("", 401)])
def test_who_may_not_is_told_so_in_gitlabs_words(desk: Desk, by: str, status: int) -> None:
    answer = ask(desk, "POST", by=by, json={"project_id": PROJECT, "goal": "x"})
    assert answer.status_code == status
    assert answer.json()["message"].startswith(f"{status} ")


@pytest.mark.parametrize("through", ["the forge", "the server"])
def test_a_token_that_is_for_flows_alone_does(desk: Desk, through: str) -> None:
    served = desk.place.stage.served
    served.use_agents(desk.place.server.url)
    answer = httpx2.post(
        f"{served.url if through == 'the forge' else desk.place.server.url}{API}",
        json={"project_id": PROJECT, "goal": "Say hello"},
        headers={"Authorization": f"Bearer {served.seed_token('bob', scopes=['ai_workflows'])}"},
        trust_env=False,
        timeout=30,
        verify=False,
    )
    assert answer.status_code == 201, answer.text


async def test_only_what_failed_or_was_stopped_is_restarted_and_as_a_new_one(desk: Desk) -> None:
    told = create(desk, goal="Say hello", client_reference="job 8").json()
    assert ask(desk, "POST", f"/{told['id']}/restart").status_code == 403
    kept = await desk.store.find(str(told["id"]))
    await desk.store.update(kept.id, status=Status.FAILED, reason="for the test")
    again = ask(desk, "POST", f"/{told['id']}/restart")
    assert again.status_code == 201, again.text
    assert again.json()["id"] != told["id"]
    assert again.json()["client_reference"] == "job 8"
    assert ask(desk, "POST", f"/{told['id']}/restart").status_code == 409
    assert ask(desk, "POST", "/999999/restart").status_code == 404


async def test_the_trace_has_what_was_said_and_done(desk: Desk) -> None:
    told = create(desk, goal="Say hello").json()
    kept = await desk.store.find(str(told["id"]))
    for kind, data in (
        (EventKind.MESSAGE, {"role": "system", "text": "rules"}),
        (EventKind.MESSAGE, {"role": "user", "text": "Say hello"}),
        (EventKind.MESSAGE, {"role": "assistant", "text": "I look"}),
        (EventKind.TOOL_RESULT, {"id": "1", "name": "run", "text": "no", "ok": False, "seconds": 1}),
        (EventKind.MESSAGE, {"role": "user", "text": "Louder", "note": "person", "by": "bob"}),
        (EventKind.MESSAGE, {"role": "user", "text": "Louder", "note": "heard", "of": 5}),
    ):
        await desk.store.append(kept.id, kind, data, turn=1)
    await desk.store.update(kept.id, status=Status.FINISHED, reason="said it")
    for thread in ("latest", str(told["id"])):
        trace = ask(desk, "GET", f"/{told['id']}/trace.jsonl?thread={thread}")
        assert trace.headers["content-type"].startswith("application/x-ndjson")
        lines = [json.loads(line) for line in trace.text.splitlines()]
        assert [(one["message_type"], one["content"], one["status"]) for one in lines] == [
            ("human", "Say hello", "success"),
            ("ai", "I look", "success"),
            ("tool", "no", "failed"),
            ("human", "Louder", "success"),
            ("workflow_end", "said it", "finished"),
        ]
    assert ask(desk, "GET", f"/{told['id']}/trace.jsonl?thread=77777").status_code == 404
    assert ask(desk, "GET", f"/{told['id']}/trace.jsonl", by="mallory").status_code == 404


def test_sessions_are_listed_page_by_page(desk: Desk) -> None:
    made = [create(desk, goal=f"Say {number}").json()["id"] for number in range(3)]
    first = ask(desk, "GET", "?per_page=2")
    assert [one["id"] for one in first.json()] == made[:0:-1]
    assert first.headers["x-next-page"] == "2"
    second = ask(desk, "GET", f"?per_page=2&page=2&project_id={project_id(desk)}")
    assert second.json()[0]["id"] == made[0]
    assert ask(desk, "GET", by="mallory").json() == []


def test_the_privileges_have_gitlabs_numbers(desk: Desk) -> None:
    told = ask(desk, "GET", "/agent_privileges").json()["all_privileges"]
    assert [(one["id"], one["name"]) for one in told] == [
        (1, "read_write_files"), (2, "read_only_gitlab"), (3, "read_write_gitlab"), (4, "run_commands"),
        (5, "use_git"), (6, "run_mcp_tools"),
    ]  # fmt: skip


def test_the_forge_itself_passes_the_api_on(desk: Desk) -> None:
    desk.place.stage.served.use_agents(desk.place.server.url)
    answer = httpx2.post(
        f"{desk.place.stage.served.url}{API}",
        json={"project_id": project_id(desk), "goal": "Say hello", "start_workflow": False},
        headers={"PRIVATE-TOKEN": desk.place.stage.tokens["bob"]},
        trust_env=False,
        timeout=30,
        verify=False,
    )
    assert answer.status_code == 201, answer.text
    assert answer.json()["project_id"] == project_id(desk)
