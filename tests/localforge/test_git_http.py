"""Clone, fetch and push with a real git client."""

import asyncio
import base64
from pathlib import Path
from typing import Any

import httpx2
import pytest
from starlette.types import Message

from mergewright.localforge.server import LocalForge
from tests.localforge.conftest import PROJECT, People, World, build_world, git, make_source


@pytest.fixture
def clone(world: World, tmp_path: Path) -> Path:
    git(tmp_path, "clone", "-q", world.remote("dev"), "clone")
    return tmp_path / "clone"


def change(clone: Path, branch: str, *, start: str = "origin/main", text: str = "x\n") -> None:
    git(clone, "checkout", "-q", "-B", branch, start)
    (clone / f"{branch.replace('/', '-')}.txt").write_text(text)
    git(clone, "add", "-A")
    git(clone, "commit", "-q", "-m", f"Change on {branch}")


def test_a_push_makes_a_branch_that_the_api_shows(world: World, people: People, clone: Path) -> None:
    change(clone, "pushed/one")
    git(clone, "push", "-q", "origin", "pushed/one")
    head = git(clone, "rev-parse", "HEAD").stdout.strip()
    assert people.dev.get(f"{world.path}/repository/branches/pushed%2Fone").json()["commit"]["id"] == head
    git(clone, "push", "-q", "origin", ":pushed/one")
    assert people.dev.get(f"{world.path}/repository/branches/pushed%2Fone").status_code == 404


def test_a_large_push_in_chunks_arrives_whole(world: World, clone: Path) -> None:
    git(clone, "checkout", "-q", "-b", "large", "origin/main")
    (clone / "large.bin").write_bytes(bytes(range(256)) * 16_000 + world.tokens["dev"].encode())
    git(clone, "add", "-A")
    git(clone, "-c", "user.name=A", "commit", "-q", "-m", "Large")
    git(clone, "-c", "http.postBuffer=4096", "push", "-q", "origin", "large")
    git(clone.parent, "-c", "protocol.version=2", "clone", "-q", "-b", "large", world.remote("rita"), "again")
    assert (clone.parent / "again" / "large.bin").read_bytes() == (clone / "large.bin").read_bytes()


@pytest.mark.parametrize("version", [0, 1, 2])
def test_every_version_of_the_protocol_is_spoken(world: World, clone: Path, version: int) -> None:
    speaking = ("-c", f"protocol.version={version}")
    change(clone, f"spoken-{version}")
    git(clone, *speaking, "push", "-q", "origin", f"spoken-{version}")
    git(clone.parent, *speaking, "clone", "-q", "-b", f"spoken-{version}", world.remote("rita"), "again")
    assert (clone.parent / "again" / f"spoken-{version}.txt").read_text() == "x\n"


def test_what_no_git_client_sends_is_refused(world: World) -> None:
    address = world.remote("dev")
    assert httpx2.post(f"{address}/git-upload-pack", content=b"0000", timeout=30, verify=False).status_code == 415
    assert httpx2.get(f"{address}/git-upload-pack", timeout=30, verify=False).status_code == 405
    assert httpx2.get(f"{address}/info/refs?service=git-archive", timeout=30, verify=False).status_code == 403
    told = httpx2.get(f"{address}/info/refs?service=git-upload-pack", timeout=30, verify=False)
    assert told.headers["content-type"] == "application/x-git-upload-pack-advertisement"
    assert told.headers["cache-control"] == "no-cache, max-age=0, must-revalidate"
    assert told.content.startswith(b"001e# service=git-upload-pack\n0000")


def test_a_developer_may_not_push_to_the_protected_branch(clone: Path) -> None:
    change(clone, "main")
    refused = git(clone, "push", "origin", "main", check=False)
    assert refused.returncode != 0
    assert "GitLab: You are not allowed to push code to protected branches on this project." in refused.stderr
    assert "[remote rejected] main -> main (pre-receive hook declined)" in refused.stderr


def test_one_refused_ref_refuses_the_whole_push(world: World, people: People, clone: Path) -> None:
    change(clone, "innocent")
    git(clone, "branch", "-f", "main", "HEAD")
    assert git(clone, "push", "origin", "innocent", "main", check=False).returncode != 0
    assert people.dev.get(f"{world.path}/repository/branches/innocent").status_code == 404


def test_history_of_a_protected_branch_stays_even_for_its_maintainers(world: World, clone: Path) -> None:
    git(clone, "remote", "set-url", "origin", world.remote("mia"))
    change(clone, "main")
    git(clone, "push", "-q", "origin", "main")
    git(clone, "commit", "-q", "--amend", "-m", "Rewritten")
    refused = git(clone, "push", "--force", "origin", "main", check=False)
    assert refused.returncode != 0
    assert "non-fast-forward" in refused.stderr
    change(clone, "loose")
    git(clone, "push", "-q", "origin", "loose")
    git(clone, "commit", "-q", "--amend", "-m", "Rewritten")
    git(clone, "push", "-q", "--force", "origin", "loose")


def test_the_default_branch_cannot_be_deleted(world: World, clone: Path) -> None:
    git(clone, "remote", "set-url", "origin", world.remote("owen"))
    refused = git(clone, "push", "origin", ":main", check=False)
    assert "The default branch of a project cannot be deleted." in refused.stderr


def test_a_reporter_may_clone_and_not_push(world: World, clone: Path) -> None:
    git(clone, "remote", "set-url", "origin", world.remote("rita"))
    git(clone, "fetch", "-q", "origin")
    change(clone, "by-rita")
    refused = git(clone, "push", "origin", "by-rita", check=False)
    assert refused.returncode != 0
    assert "403" in refused.stderr


def test_a_guest_and_a_stranger_may_not_clone(world: World, tmp_path: Path) -> None:
    assert "403" in git(tmp_path, "clone", world.remote("gus"), "a", check=False).stderr
    assert "not found" in git(tmp_path, "clone", world.remote("eve"), "b", check=False).stderr


def test_git_is_asked_for_a_password_first(world: World, people: People) -> None:
    answer = people.nobody.get(f"{world.forge.url}/{PROJECT}.git/info/refs", params={"service": "git-upload-pack"})
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"].startswith("Basic")


def test_tags_are_pushed_and_the_head_of_a_merge_request_can_be_fetched(
    world: World, people: People, clone: Path
) -> None:
    change(clone, "with-mr")
    git(clone, "tag", "v1.0")
    git(clone, "push", "-q", "origin", "with-mr", "v1.0")
    assert people.dev.get(f"{world.path}/repository/tags").json()[0]["name"] == "v1.0"
    body = {"source_branch": "with-mr", "target_branch": "main", "title": "MR"}
    iid = people.dev.post(f"{world.path}/merge_requests", json=body).json()["iid"]
    git(clone, "fetch", "-q", "origin", f"refs/merge-requests/{iid}/head")
    assert git(clone, "rev-parse", "FETCH_HEAD").stdout == git(clone, "rev-parse", "HEAD").stdout


def test_in_an_empty_project_a_developer_pushes_no_default_branch(world: World, tmp_path: Path) -> None:
    world.forge.seed_project("acme/empty")
    world.forge.seed_member("acme/empty", "dev", 30)
    world.forge.seed_member("acme/empty", "mia", 40)
    source = make_source(tmp_path / "new", {"a.txt": "a"})
    url = world.remote("dev").replace(PROJECT, "acme/empty")
    refused = git(source, "push", url, "main", check=False)
    assert "A default branch (e.g. main) does not yet exist for acme/empty" in refused.stderr
    git(source, "push", "-q", url, "main:feature")
    git(source, "push", "-q", world.remote("mia").replace(PROJECT, "acme/empty"), "main")


def test_the_owner_can_let_developers_push_first(tmp_path: Path) -> None:
    world = build_world(tmp_path, developers_can_push_first=True)
    world.forge.start()
    try:
        world.forge.seed_project("acme/empty")
        world.forge.seed_member("acme/empty", "dev", 30)
        git(tmp_path / "source", "push", "-q", world.remote("dev").replace(PROJECT, "acme/empty"), "main")
    finally:
        world.forge.stop()


def test_a_source_is_taken_over_and_followed_only_where_it_fast_forwards(world: World, tmp_path: Path) -> None:
    forge: LocalForge = world.forge
    source = tmp_path / "their repo"
    source.mkdir()
    git(source, "init", "-q", "--initial-branch=trunk", ".")
    number = forge.seed_project("acme/taken", source=source)
    with world.client("root") as root:
        project = root.get(f"/projects/{number}").json()
    assert (project["default_branch"], project["empty_repo"]) == ("trunk", True)
    git(source, "commit", "-q", "--allow-empty", "-m", "First")
    assert number == forge.seed_project("acme/taken", source=source) == forge.seed_project("acme/taken", source=source)
    world.forge.seed_member("acme/taken", "dev", 30)
    url = world.remote("dev").replace(PROJECT, "acme/taken")

    def heads() -> dict[str, str]:
        lines = git(tmp_path, "ls-remote", "--heads", url).stdout.splitlines()
        return {line.split("refs/heads/")[1]: line.split()[0] for line in lines}

    assert set(heads()) == {"trunk"}
    git(source, "commit", "-q", "--allow-empty", "-m", "More")
    before = git(source, "rev-parse", "HEAD").stdout.strip()
    forge.seed_project("acme/taken", source=source)
    assert heads() == {"trunk": before}
    git(source, "commit", "-q", "--amend", "--allow-empty", "-m", "Rewritten")
    git(source, "branch", "extra")
    forge.seed_project("acme/taken", source=source)
    assert heads()["trunk"] == before
    assert "extra" in heads()
    assert git(source, "status", "--porcelain").stdout == ""


def held(world: World) -> list[str]:
    """The files that this process holds open below the forge's home although nobody can open them any more."""
    files = [path.readlink() for path in Path("/proc/self/fd").iterdir() if path.is_symlink()]
    return [str(one) for one in files if one.is_relative_to(world.forge.settings.home) and "(deleted)" in one.name]


@pytest.mark.parametrize("service", ["git-upload-pack", "info/refs"])
async def test_a_client_that_goes_away_leaves_no_file_open(world: World, service: str) -> None:
    """Once in the middle of its own words, and once before it takes the first word of the answer."""
    basic = base64.b64encode(f"x:{world.tokens['dev']}".encode())
    scope: dict[str, Any] = {
        "type": "http", "method": "GET" if service == "info/refs" else "POST", "path": f"/{PROJECT}.git/{service}",
        "raw_path": f"/{PROJECT}.git/{service}".encode(), "query_string": b"service=git-upload-pack", "scheme": "http",
        "headers": [(b"host", b"127.0.0.1"), (b"authorization", b"Basic " + basic)], "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 80), "root_path": "", "http_version": "1.1",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
    }  # fmt: skip
    said: list[Message] = [{"type": "http.request", "body": b"0000", "more_body": service != "info/refs"}]
    while_open: list[str] = []

    async def receive() -> Message:
        if said:
            return said.pop()
        while_open.extend(held(world))
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        if service == "info/refs":
            await asyncio.sleep(60)

    await asyncio.wait_for(world.forge.app(scope, receive, send), 30)
    assert while_open
    assert held(world) == []
