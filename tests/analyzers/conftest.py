"""A real sandbox over a folder, with the analyzers that come with the product."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from mergewright.sandbox.bubblewrap import Bubblewrap
from mergewright.sandbox.settings import SandboxSettings

Make = Callable[[dict[str, str]], Bubblewrap]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """Put files in a work tree and give the sandbox on it."""

    def made(files: dict[str, str]) -> Bubblewrap:
        work, outputs = tmp_path / "work" / "tree", tmp_path / "outputs"
        outputs.mkdir()
        for name, text in files.items():
            (work / name).parent.mkdir(parents=True, exist_ok=True)
            (work / name).write_text(text)
        folders = dict.fromkeys((Path(sys.prefix), Path(sys.base_prefix).resolve()))
        toolchains = tuple(folder for folder in folders if not folder.is_relative_to("/usr"))
        return Bubblewrap(work, outputs=outputs, settings=SandboxSettings(toolchains=toolchains))

    return made
