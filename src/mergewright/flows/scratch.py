"""The `/tmp` and home that checks run with: as they were before an agent could lay anything there."""

import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from mergewright.domain.errors import MergewrightError
from mergewright.flows.world import Workspace


def keep(workspace: Workspace) -> None:
    """Remember the scratch folder as it is now; checks will begin with it from now on."""
    shutil.rmtree(workspace.prepared, ignore_errors=True)
    try:
        _copy(workspace.scratch, workspace.prepared)
    except (OSError, RecursionError) as error:
        raise MergewrightError(
            "what the project's own set-up or checks left in `/tmp` or the home folder cannot be copied",
            hint="let them take away what they made there",
        ) from error


@contextmanager
def fresh(workspace: Workspace) -> Iterator[Workspace]:
    """Give the workspace with a copy of the remembered scratch folder, gone at the end.

    A start-up file in the agent's own home could otherwise let every check pass.
    """
    folder = Path(tempfile.mkdtemp(prefix="checks-", dir=workspace.folder))
    try:
        _copy(workspace.prepared, folder)
        yield replace(workspace, scratch_name=folder.name)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _copy(source: Path, target: Path) -> None:
    target.mkdir(exist_ok=True)
    if source.is_dir():
        shutil.copytree(source, target, symlinks=True, ignore=_not_copied, dirs_exist_ok=True)


def _not_copied(folder: str, names: list[str]) -> set[str]:
    """Name the sockets, pipes and unreadable files that a command left behind."""
    left = set()
    for name in names:
        path = os.path.join(folder, name)
        mode = os.lstat(path).st_mode
        plain = stat.S_ISDIR(mode) or stat.S_ISREG(mode)
        if not stat.S_ISLNK(mode) and not (plain and os.access(path, os.R_OK)):
            left.add(name)
    return left
