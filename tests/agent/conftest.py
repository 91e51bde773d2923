"""A small project in a real sandbox, and the tools on it."""

import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from mergewright.agent.tools.toolbox import open_tools
from mergewright.domain.agent import Tool
from mergewright.domain.sandbox import Sandbox
from mergewright.sandbox.bubblewrap import Bubblewrap


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A work tree with one commit."""
    root = tmp_path / "work"
    root.mkdir()
    (root / "app.py").write_text("def add(a, b):\n    return a - b\n")
    (root / "src").mkdir()
    (root / "src" / "text.txt").write_text("one\ntwo\nthree\n")
    for command in ("init -q", "add -A", "commit -q -m first"):
        identity = ["-c", "user.name=Ada", "-c", "user.email=ada@example.com"]
        subprocess.run(["git", *identity, *command.split()], cwd=root, check=True)
    return root


@pytest.fixture
def sandbox(tree: Path, tmp_path: Path) -> Sandbox:
    outputs = tmp_path / "outputs"
    outputs.mkdir()
    return Bubblewrap(tree, outputs=outputs)


@pytest.fixture
def tools(sandbox: Sandbox) -> Mapping[str, Tool]:
    return {tool.spec.name: tool for tool in open_tools(sandbox)}
