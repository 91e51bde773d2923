"""A started forge with a project, a few people of each level, and a git client."""

import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx2
import pytest

from mergewright.localforge.server import ForgeSettings, LocalForge

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
        return httpx2.Client(base_url=f"{self.forge.url}/api/v4", headers=headers, timeout=30, trust_env=False)

    def remote(self, username: str) -> str:
        return f"http://oauth2:{self.tokens[username]}@{self.forge.url.removeprefix('http://')}/{PROJECT}.git"

    @property
    def path(self) -> str:
        return f"/projects/{self.id}"


FILES = {
    "README.md": "# Shop\n",
    "src/app.py": "".join(f"line {n}\n" for n in range(1, 31)),
}


def build_world(home: Path, **settings: object) -> World:
    forge = LocalForge(ForgeSettings(home=home / "forge", hook_waits=(0.05, 0.1), **settings))  # type: ignore[arg-type]
    source = make_source(home / "source", FILES)
    forge.seed_user("root", admin=True)
    for username in (*LEVELS, "eve"):
        forge.seed_user(username)
    project = forge.seed_project(PROJECT, source=source)
    for username, level in LEVELS.items():
        forge.seed_member(PROJECT, username, level)
    tokens = {username: forge.seed_token(username) for username in ("root", *LEVELS, "eve")}
    return World(forge, tokens, project)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """A forge of its own, started."""
    world = build_world(tmp_path)
    world.forge.start()
    yield world
    world.forge.stop()
