"""A started forge with a project, a few people of each level, and a git client."""

import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest

from mergewright.localforge.server import ForgeSettings, LocalForge, RunJob

LEVELS = {"owen": 50, "mia": 40, "dev": 30, "rita": 20, "gus": 10}
PROJECT = "acme/shop"


def git(directory: Path, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    """A git client of somebody with no configuration."""
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(directory),
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_AUTHOR_NAME": "Ada",
        "GIT_AUTHOR_EMAIL": "ada@example.com",
        "GIT_COMMITTER_NAME": "Ada",
        "GIT_COMMITTER_EMAIL": "ada@example.com",
    }
    return subprocess.run(
        ["git", "-C", str(directory), *arguments], env=environment, capture_output=True, text=True, check=check
    )


def make_source(path: Path, files: dict[str, str]) -> Path:
    """A repository with one commit on main."""
    path.mkdir(parents=True)
    git(path, "init", "-q", "--initial-branch=main", ".")
    for name, text in files.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_text(text)
    git(path, "add", "-A")
    git(path, "commit", "-q", "-m", "First commit")
    return path


@dataclass(frozen=True)
class World:
    """A running forge and the tokens of its people."""

    forge: LocalForge
    tokens: dict[str, str]
    id: int

    def client(self, username: str | None) -> httpx2.Client:
        headers = {"PRIVATE-TOKEN": self.tokens[username]} if username else {}
        return httpx2.Client(
            base_url=f"{self.forge.url}/api/v4", headers=headers, timeout=30, trust_env=False, verify=False
        )

    def remote(self, username: str) -> str:
        return f"http://oauth2:{self.tokens[username]}@{self.forge.url.removeprefix('http://')}/{PROJECT}.git"

    @property
    def path(self) -> str:
        return f"/projects/{self.id}"


FILES = {
    "README.md": "# Shop\n",
    "src/app.py": "".join(f"line {n}\n" for n in range(1, 31)),
}


def build_world(home: Path, *, run_job: RunJob | None = None, **settings: Any) -> World:
    forge = LocalForge(ForgeSettings(home=home / "forge", hook_waits=(0.05, 0.1), **settings), run_job=run_job)
    source = make_source(home / "source", FILES)
    forge.seed_user("root", admin=True)
    for username in (*LEVELS, "eve"):
        forge.seed_user(username)
    project = forge.seed_project(PROJECT, source=source)
    for username, level in LEVELS.items():
        forge.seed_member(PROJECT, username, level)
    tokens = {username: forge.seed_token(username) for username in ("root", *LEVELS, "eve")}
    return World(forge, tokens, project)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A started forge that the tests of one file share."""
    world = build_world(tmp_path_factory.mktemp("world"))
    world.forge.start()
    yield world
    world.forge.stop()


@dataclass(frozen=True)
class People:
    """One API client for each person; `nobody` has no token."""

    root: httpx2.Client
    owen: httpx2.Client
    mia: httpx2.Client
    dev: httpx2.Client
    rita: httpx2.Client
    gus: httpx2.Client
    eve: httpx2.Client
    nobody: httpx2.Client


def clients_of(world: World, stack: ExitStack) -> People:
    clients = {name: world.client(name) for name in ("root", *LEVELS, "eve")} | {"nobody": world.client(None)}
    for client in clients.values():
        stack.enter_context(client)
    return People(**clients)


@pytest.fixture(scope="module")
def people(world: World) -> Iterator[People]:
    with ExitStack() as stack:
        yield clients_of(world, stack)


@dataclass(frozen=True)
class Tiered:
    """A forge of one tier, its people, and their numbers."""

    world: World
    people: People
    ids: dict[str, int]

    @property
    def path(self) -> str:
        return self.world.path

    @property
    def name(self) -> str:
        return self.world.forge.settings.tier

    def graphql(self, client: httpx2.Client, document: str, **variables: Any) -> dict[str, Any]:
        url = f"{self.world.forge.url}/api/graphql"
        answer = client.post(url, json={"query": document, "variables": variables})
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def opened(self, branch: str, *reviewers: str, **fields: Any) -> str:
        """Open a merge request by `dev` and return its path."""
        asked = {"reviewer_ids": [self.ids[name] for name in reviewers]} if reviewers else {}
        row = open_merge_request(self.people.dev, self.path, branch, **asked, **fields)
        return f"{self.path}/merge_requests/{row['iid']}"

    def status(self, path: str) -> str:
        return str(self.people.dev.get(path).json()["detailed_merge_status"])

    def states(self, path: str) -> dict[str, str]:
        """Each reviewer's state by name."""
        rows = self.people.dev.get(f"{path}/reviewers").json()
        return {row["user"]["username"]: row["state"] for row in rows}

    def said(self, path: str) -> list[str]:
        """The forge's own notes, newest first."""
        rows = self.people.dev.get(f"{path}/notes", params={"activity_filter": "only_activity", "per_page": 100})
        return [str(row["body"]) for row in rows.json()]


OnTier = Callable[[str], Tiered]


@pytest.fixture(scope="session")
def on_tier(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OnTier]:
    """A started forge of the tier that a test asks for, shared by all tests."""
    started: dict[str, Tiered] = {}
    with ExitStack() as stack:

        def of(tier: str) -> Tiered:
            if tier not in started:
                world = build_world(tmp_path_factory.mktemp(tier), tier=tier)
                world.forge.start()
                stack.callback(world.forge.stop)
                people = clients_of(world, stack)
                rows = people.root.get("/users", params={"per_page": 100}).json()
                started[tier] = Tiered(world, people, {row["username"]: row["id"] for row in rows})
            return started[tier]

        yield of


def commit(
    client: httpx2.Client, project: str, branch: str, files: dict[str, str], *, start: str | None = "main"
) -> str:
    """Commit files to a branch over the API and return the commit's id."""
    actions = [{"action": "create", "file_path": name, "content": text} for name, text in files.items()]
    body = {"branch": branch, "commit_message": f"Change {', '.join(files)}", "actions": actions}
    answer = client.post(f"{project}/repository/commits", json=body | ({"start_branch": start} if start else {}))
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


def open_merge_request(client: httpx2.Client, project: str, branch: str, **fields: Any) -> dict[str, Any]:
    """Open a merge request from a branch that changes one file of its own."""
    commit(client, project, branch, {f"{branch.replace('/', '-')}.txt": "one\ntwo\nthree\n"})
    body = {"source_branch": branch, "target_branch": "main", "title": f"Merge {branch}"} | fields
    answer = client.post(f"{project}/merge_requests", json=body)
    assert answer.status_code == 201, answer.text
    return dict(answer.json())
