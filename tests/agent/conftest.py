"""A small project in a real sandbox, and the tools on it."""

import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from mergewright.agent.tools.toolbox import open_tools
from mergewright.domain.agent import Tool
from mergewright.domain.sandbox import Sandbox
from mergewright.sandbox.bubblewrap import Bubblewrap


@pytest.fixture(scope="session")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with one commit, made once."""
    root = tmp_path_factory.mktemp("project")
    (root / "app.py").write_text("def add(a, b):\n    return a - b\n")
    (root / "src").mkdir()
    (root / "src" / "text.txt").write_text("one\ntwo\nthree\n")
    for command in ("init -q --template=", "add -A", "commit -q -m first"):
        identity = ["-c", "user.name=Ada", "-c", "user.email=ada@example.com"]
        subprocess.run(["git", *identity, *command.split()], cwd=root, check=True)
    return root


@pytest.fixture
def tree(project: Path, tmp_path: Path) -> Path:
    """A work tree of that project."""
    return shutil.copytree(project, tmp_path / "work")


@pytest.fixture
def sandbox(tree: Path, tmp_path: Path) -> Sandbox:
    outputs = tmp_path / "outputs"
    outputs.mkdir()
    return Bubblewrap(tree, outputs=outputs)


@pytest.fixture
def tools(sandbox: Sandbox) -> Mapping[str, Tool]:
    return {tool.spec.name: tool for tool in open_tools(sandbox)}
