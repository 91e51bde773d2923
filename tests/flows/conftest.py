"""Projects on a stage."""

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


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[SetUp]:
    """Set a stage up: `stage(script, files, ...)`."""
    store = open_store(tmp_path / "sessions.sqlite3")

    def set_up(script: Script, files: Mapping[str, str] | None = None, **settings: JSON) -> Stage:
        bare = tmp_path / "project.git"
        git(tmp_path, "init", "-q", "--bare", "--initial-branch=main", str(bare))
        contents = CALC if files is None else files
        if contents:
            source = tmp_path / "source"
            git(tmp_path, "init", "-q", "--initial-branch=main", str(source))
            for name, text in contents.items():
                (source / name).parent.mkdir(parents=True, exist_ok=True)
                (source / name).write_text(text)
            git(source, "add", "-A")
            git(source, "commit", "-q", "-m", "Begin")
            git(source, "push", "-q", str(bare), "main")
        forge, model = SmallForge(bare), Conversations(script)
        return Stage(forge, store, model, make_world(tmp_path, forge, store, model, **settings))

    yield set_up
    await store.close()
