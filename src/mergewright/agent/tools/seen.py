"""Which files the agent has looked at, so that it overwrites none unseen."""

import posixpath
from collections.abc import Mapping
from pathlib import Path

from mergewright.domain.session import JSON


def in_tree(path: str, root: Path) -> str:
    """One name for each file: relative to the work tree, without `.` and `..`."""
    top = str(root)
    inside = path[len(top) :].lstrip("/") if path == top or path.startswith(f"{top}/") else path
    return posixpath.normpath(inside or ".")


class Seen:
    """The files that were read or written in this run; told again from the log when a run goes on."""

    def __init__(self) -> None:
        self.paths: set[str] = set()

    def recall(self, facts: Mapping[str, JSON]) -> None:
        """Take in what an earlier result in the log says."""
        if path := facts.get("path"):
            self.paths.add(path)
