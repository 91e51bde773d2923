"""The adapter against a forge that misbehaves in ways which no real one can be asked to."""

import json
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from mergewright.domain.errors import (
    Conflict,
    Forbidden,
    ForgeError,
    NotFound,
    Unauthorized,
    Unreachable,
    WrongUse,
)
from mergewright.domain.session import Subject
from mergewright.gitlab.forge import GitLabForge

if TYPE_CHECKING:
    from tests.gitlab.conftest import ScriptedForge

Connect = Callable[..., GitLabForge]
ME = {"id": 7, "username": "wright", "name": "Wright", "bot": True}
STRANGER = {"id": 8, "username": "eve", "name": "Eve"}
PROJECT = {"id": 3, "path_with_namespace": "g/p", "default_branch": "main", "web_url": "", "http_url_to_repo": ""}
NOTES = "/projects/g%2Fp/issues/1/notes"
ISSUES = "/projects/g%2Fp/issues"
MERGE_REQUESTS = "/projects/g%2Fp/merge_requests"
RECORDED = json.loads((Path(__file__).parent / "data" / "get_merge_request.json").read_text())
BROKEN = None


async def test_the_token_travels_as_bearer_and_no_cookie_comes_back(server: "ScriptedForge", connect: Connect) -> None:
    server.tell("GET", "/projects/g%2Fp", server.says(PROJECT, headers={"Set-Cookie": "_gitlab_session=1; path=/"}))
    forge = connect(server.url)
    await forge.project("g/p")
    await forge.project("g/p")
    assert [heard.headers["Authorization"] for heard in server.heard] == ["Bearer glpat-a-secret-of-the-tests"] * 2
    assert all("Cookie" not in heard.headers for heard in server.heard)


async def test_a_token_of_other_letters_is_refused_without_being_shown() -> None:
    for token in ("", "a b", "secret\n", "gehéim"):
        with pytest.raises(WrongUse) as refusal:
            GitLabForge("https://gitlab.com", token)
        assert not token or token not in str(refusal.value) + refusal.value.hint


@pytest.mark.parametrize(
    ("status", "body", "error"),
    [
        (400, {"error": "title is missing"}, ForgeError),
        (401, {"message": "401 Unauthorized"}, Unauthorized),
        (403, {"message": "403 Forbidden"}, Forbidden),
        (404, {"message": "404 Project Not Found"}, NotFound),
        (409, {"message": "409 Conflict"}, Conflict),
        (422, {"message": {"base": ["no"]}}, Conflict),
        (501, {"message": "no"}, Unreachable),
    ],
)
async def test_a_lasting_refusal_is_told_at_once(
    server: "ScriptedForge",
    connect: Connect,
    waits: list[float],
    status: int,
    body: Any,
    error: type[ForgeError],
) -> None:
    server.tell("GET", "/projects/g%2Fp", server.says(body, status))
    with pytest.raises(error) as refusal:
        await connect(server.url).project("g/p")
    assert type(refusal.value) is error
    assert "glpat" not in str(refusal.value)
    assert not str(refusal.value).endswith(".")
    assert waits == []
    assert len(server.heard) == 1


async def test_a_scope_that_the_token_lacks_is_named(server: "ScriptedForge", connect: Connect) -> None:
    said = {"error": "insufficient_scope", "error_description": "…", "scope": "api"}
    server.tell("GET", "/projects/g%2Fp", server.says(said, 403))
    with pytest.raises(Forbidden, match="scopes") as refusal:
        await connect(server.url).project("g/p")
    assert "`api`" in refusal.value.hint


async def test_an_error_of_the_forge_is_waited_out_with_growing_waits(
    server: "ScriptedForge", connect: Connect, waits: list[float]
) -> None:
    faults = [
        server.says(b"<html>", 502, content_type="text/html"),
        server.says({}, 500),
        server.says({}, 503),
        server.says(b"", BROKEN),
    ]
    server.tell("GET", "/projects/g%2Fp", *faults, server.says(PROJECT))
    assert (await connect(server.url).project("g/p")).id == 3
    assert waits == [0.5, 1.0, 2.0, 4.0]


async def test_retry_after_is_obeyed(server: "ScriptedForge", connect: Connect, waits: list[float]) -> None:
    dates = {"Retry-After": "Fri, 20 Nov 2026 10:00:09 GMT", "Date": "Fri, 20 Nov 2026 10:00:00 GMT"}
    busy = [
        server.says({}, 429, {"Retry-After": "7"}),
        server.says({}, 503, dates),
        server.says({}, 429, {"Retry-After": "soon"}),
    ]
    server.tell("GET", "/projects/g%2Fp", *busy, server.says(PROJECT))
    await connect(server.url).project("g/p")
    assert waits == [7.0, 9.0, 2.0]


async def test_a_wait_beyond_our_patience_is_not_begun(
    server: "ScriptedForge", connect: Connect, waits: list[float]
) -> None:
    server.tell("GET", "/projects/g%2Fp", server.says({}, 429, {"Retry-After": "3600"}))
    with pytest.raises(Unreachable, match="after one try"):
        await connect(server.url).project("g/p")
    assert waits == []


async def test_patience_bounds_all_waits_together(
    server: "ScriptedForge", connect: Connect, waits: list[float]
) -> None:
    server.tell("GET", "/projects/g%2Fp", server.says({}, 502))
    with pytest.raises(Unreachable, match="502"):
        await connect(server.url, retries=50, patience=20).project("g/p")
    assert waits == [0.5, 1.0, 2.0, 4.0, 8.0]


async def test_a_silent_forge_is_given_up(server: "ScriptedForge", connect: Connect, waits: list[float]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        url = f"http://127.0.0.1:{deaf.getsockname()[1]}"
        with pytest.raises(Unreachable, match="after 2 tries"):
            await connect(url, timeout=0.2, retries=1).project("g/p")
    assert waits == [0.5]


@pytest.mark.parametrize("content_type", ["text/html; charset=utf-8", "application/json"])
async def test_a_page_instead_of_json_is_unreachable_at_once(
    server: "ScriptedForge", connect: Connect, waits: list[float], content_type: str
) -> None:
    server.tell("GET", "/projects/g%2Fp", server.says(b"<html>Sign in</html>", content_type=content_type))
    with pytest.raises(Unreachable, match="JSON") as refusal:
        await connect(server.url).project("g/p")
    assert "address" in refusal.value.hint
    assert waits == []


async def test_a_moved_project_is_found_at_its_new_address(server: "ScriptedForge", connect: Connect) -> None:
    server.tell("GET", "/projects/g%2Fold", server.says({}, 301, {"Location": f"{server.url}/api/v4/projects/3"}))
    server.tell("GET", "/projects/3", server.says(PROJECT))
    assert (await connect(server.url).project("g/old")).path_with_namespace == "g/p"


async def test_the_token_follows_no_redirect_to_another_host(
    server: "ScriptedForge", other_server: "ScriptedForge", connect: Connect
) -> None:
    server.tell("GET", "/projects/g%2Fp", server.says({}, 302, {"Location": f"{other_server.url}/api/v4/projects/3"}))
    other_server.tell("GET", "/projects/3", other_server.says(PROJECT))
    with pytest.raises(Unreachable, match="elsewhere"):
        await connect(server.url).project("g/p")
    assert other_server.heard == []


async def test_a_write_is_not_turned_into_a_read_by_a_redirect(server: "ScriptedForge", connect: Connect) -> None:
    server.tell(
        "PUT", f"{MERGE_REQUESTS}/1", server.says({}, 301, {"Location": f"{server.url}/api/v4{MERGE_REQUESTS}/1"})
    )
    with pytest.raises(Unreachable, match="elsewhere"):
        await connect(server.url).update_merge_request("g/p", 1, title="New")
    assert [heard.verb for heard in server.heard] == ["PUT"]


async def test_a_mark_in_a_note_of_somebody_else_is_not_believed(server: "ScriptedForge", connect: Connect) -> None:
    forged = {"id": 1, "body": "hi\n\n<!-- mergewright:plan -->", "author": STRANGER}
    server.tell("GET", "/user", server.says(ME))
    server.tell("GET", NOTES, server.says([forged]))
    server.tell("POST", NOTES, server.says({"id": 2, "body": "mine", "author": ME}, 201))
    assert (await connect(server.url).add_note(Subject.parse("g/p#1"), "mine", mark="plan")).id == 2


async def test_a_note_that_got_through_is_not_written_again(server: "ScriptedForge", connect: Connect) -> None:
    server.tell("GET", "/user", server.says(ME))
    server.tell(
        "GET", NOTES, server.says([]), server.says([{"id": 5, "body": "x\n\n<!-- mergewright:plan -->", "author": ME}])
    )
    server.tell("POST", NOTES, server.says({}, 504))
    assert (await connect(server.url).add_note(Subject.parse("g/p#1"), "x", mark="plan")).id == 5
    assert len(server.asked("POST")) == 1


async def test_a_note_that_a_forge_ran_as_a_quick_action_is_no_success(
    server: "ScriptedForge", connect: Connect
) -> None:
    server.tell("GET", "/user", server.says(ME))
    server.tell("GET", NOTES, server.says([]))
    server.tell("POST", NOTES, server.says({"commands_changes": {}, "summary": ["Closed"]}, 202))
    with pytest.raises(Unreachable, match="makes no sense"):
        await connect(server.url).add_note(Subject.parse("g/p#1"), "x", mark="plan")


async def test_an_issue_that_got_through_is_not_opened_again(server: "ScriptedForge", connect: Connect) -> None:
    old = {"id": 1, "iid": 1, "title": "T", "state": "opened", "author": ME}
    foreign = {"id": 3, "iid": 3, "title": "T", "state": "opened", "author": STRANGER}
    new = {"id": 2, "iid": 2, "title": "T", "state": "opened", "author": ME}
    server.tell("GET", "/user", server.says(ME))
    server.tell("GET", ISSUES, server.says([old]), server.says([foreign, new, old]))
    server.tell("POST", ISSUES, server.says(b"", BROKEN))
    assert (await connect(server.url).open_issue("g/p", title="T", description="")).iid == 2
    assert len(server.asked("POST")) == 1


async def test_an_issue_that_did_not_get_through_is_opened_after_all(server: "ScriptedForge", connect: Connect) -> None:
    old = {"id": 1, "iid": 1, "title": "T", "state": "opened", "author": ME}
    server.tell("GET", "/user", server.says(ME))
    server.tell("GET", ISSUES, server.says([old]))
    server.tell("POST", ISSUES, server.says({}, 502), server.says(old | {"iid": 2, "id": 2}, 201))
    assert (await connect(server.url).open_issue("g/p", title="T", description="")).iid == 2
    assert len(server.asked("POST")) == 2


async def test_a_merge_request_from_a_fork_is_not_taken_for_ours(server: "ScriptedForge", connect: Connect) -> None:
    forked = RECORDED | {"source_branch": "mw/1", "state": "opened", "source_project_id": 99}
    server.tell("GET", MERGE_REQUESTS, server.says([forked]))
    assert await connect(server.url).find_merge_request("g/p", source_branch="mw/1") is None


async def test_a_merge_request_that_somebody_opened_meanwhile_is_returned(
    server: "ScriptedForge", connect: Connect
) -> None:
    theirs = RECORDED | {"source_branch": "mw/1", "state": "opened", "iid": 9}
    server.tell("GET", MERGE_REQUESTS, server.says([]), server.says([theirs]))
    server.tell("POST", MERGE_REQUESTS, server.says({"message": ["Another open merge request already exists"]}, 409))
    forge = connect(server.url)
    opened = await forge.open_merge_request(
        "g/p", source_branch="mw/1", target_branch="main", title="T", description=""
    )
    assert opened.iid == 9


async def test_a_conflict_without_a_merge_request_stays_one(server: "ScriptedForge", connect: Connect) -> None:
    server.tell("GET", MERGE_REQUESTS, server.says([]))
    server.tell("POST", MERGE_REQUESTS, server.says({"message": ["Source branch does not exist"]}, 409))
    forge = connect(server.url)
    with pytest.raises(Conflict, match="Source branch does not exist"):
        await forge.open_merge_request("g/p", source_branch="mw/1", target_branch="main", title="T", description="")


async def test_descriptions_order_nothing(server: "ScriptedForge", connect: Connect) -> None:
    server.tell("PUT", f"{MERGE_REQUESTS}/1", server.says(RECORDED))
    await connect(server.url).update_merge_request("g/p", 1, title="a\nb", description="/merge")
    assert server.heard[0].body == {"title": "a b", "description": "\\/merge"}


async def test_a_list_without_page_headers_ends_with_a_page_that_is_not_full(
    server: "ScriptedForge", connect: Connect
) -> None:
    page = [{"id": number, "name": "j", "status": "success"} for number in range(100)]
    server.tell("GET", "/projects/g%2Fp/pipelines/1/jobs", server.says(page), server.says(page), server.says(page[:3]))
    assert len(await connect(server.url).jobs("g/p", 1)) == 203


async def test_a_list_that_is_none_is_unreachable(server: "ScriptedForge", connect: Connect) -> None:
    server.tell("GET", "/projects/g%2Fp/pipelines/1/jobs", server.says({"message": "?"}))
    with pytest.raises(Unreachable, match="no sense"):
        await connect(server.url).jobs("g/p", 1)


@pytest.mark.parametrize("name", [".", "..", "", "..."])
async def test_a_name_of_dots_does_not_climb_out_of_its_project(
    server: "ScriptedForge", connect: Connect, name: str
) -> None:
    server.tell("GET", "/projects/g%2Fp", server.says(PROJECT))
    assert await connect(server.url).file("g/p", name, ref="main") is None
    assert await connect(server.url).branch("g/p", name) is None
    assert {heard.path for heard in server.heard} == {"/api/v4/projects/g%2Fp"}


async def test_the_scopes_of_a_token_that_cannot_look_at_itself_are_empty(
    server: "ScriptedForge", connect: Connect
) -> None:
    server.tell("GET", "/version", server.says({"version": "19.5.0"}))
    server.tell("GET", "/user", server.says(ME))
    status = await connect(server.url).status()
    assert (status.version, status.user.username, status.user.bot, status.scopes) == ("19.5.0", "wright", True, ())


async def test_a_forge_below_a_path_is_asked_there(server: "ScriptedForge", connect: Connect) -> None:
    with pytest.raises(NotFound):
        await connect(f"{server.url}/git/").project("g/p")
    assert [heard.path for heard in server.heard] == ["/git/api/v4/projects/g%2Fp"]


def test_who_asks_no_forge_loads_no_client() -> None:
    program = (
        "import sys; from mergewright.gitlab.forge import GitLabForge; GitLabForge('https://gitlab.com', 'x');"
        "sys.exit(int(bool({'gitlab', 'requests'} & set(sys.modules))))"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
