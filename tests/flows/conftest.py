"""Projects on a stage."""

import json
import shutil
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path

import pytest

from mergewright.domain.session import JSON
from mergewright.store.sql import open_store
from tests.flows.stage import Conversations, Script, SmallForge, Stage, git, make_world

CALC = {
    "calc.py": "def add(a, b):\n    return a + b\n",
    "tests/__init__.py": "",
    "tests/test_calc.py": (
        "import unittest\n\nfrom calc import add\n\n\nclass Add(unittest.TestCase):\n"
        "    def test_add(self):\n        self.assertEqual(add(1, 2), 3)\n        self.assertEqual(add(-1, 1), 0)\n"
    ),
    "AGENTS.md": "Keep functions small.\n",
    ".gitignore": "__pycache__/\n",
}

SetUp = Callable[..., Stage]


@pytest.fixture(scope="session")
def make_repository(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Mapping[str, str]], Path]:
    """Make a bare repository with these files, or give the one that was made of the same before."""
    known: dict[str, Path] = {}

    def make(files: Mapping[str, str]) -> Path:
        key = json.dumps(files)
        if key not in known:
            folder = tmp_path_factory.mktemp("repository")
            bare = folder / "project.git"
            git(folder, "init", "-q", "--bare", "--initial-branch=main", str(bare))
            if files:
                seed(folder / "source", files)
                git(folder / "source", "push", "-q", str(bare), "main")
            known[key] = bare
        return known[key]

    return make


def seed(source: Path, files: Mapping[str, str]) -> None:
    """Make a repository with one commit."""
    for name, text in files.items():
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_text(text)
    git(source, "init", "-q", "--initial-branch=main")
    git(source, "add", "-A")
    git(source, "commit", "-q", "-m", "Begin")


@pytest.fixture
async def stage(tmp_path: Path, make_repository: Callable[[Mapping[str, str]], Path]) -> AsyncIterator[SetUp]:
    """Set a stage up: `stage(script, files, ...)`."""
    store = open_store(tmp_path / "sessions.sqlite3")

    def set_up(script: Script, files: Mapping[str, str] | None = None, **settings: JSON) -> Stage:
        bare = tmp_path / "project.git"
        made = make_repository(CALC if files is None else files)
        shutil.copytree(made, bare)
        forge, model = SmallForge(bare), Conversations(script)
        return Stage(forge, store, model, make_world(tmp_path, forge, store, model, **settings))

    yield set_up
    await store.close()
