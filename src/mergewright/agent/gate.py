"""What speaks against an agent's finish: nothing changed, changes not tested, scratch files left."""

import posixpath
import re
from dataclasses import dataclass

from mergewright.domain.sandbox import Sandbox

# One name a line: the sandbox cuts long output at line ends.
_STATUS = (
    "git rev-parse --git-dir >/dev/null 2>&1 || exit 97; "
    "git --no-optional-locks status --porcelain -z --no-renames --untracked-files=all | tr '\\000\\n' '\\n?'"
)
_SCRATCH = re.compile(
    r"(?:^|/)(?:__pycache__|\.pytest_cache|\.mypy_cache|\.ruff_cache)/"
    r"|\.(?:orig|rej|bak|swp|swo|log|pyc|tmp|prof|coverage)$|~$"
    r"|(?:^|/)(?:nohup\.out|core(?:\.\d+)?|\.coverage|a\.out|scratch\w*(?:\.\w+)?)$"
    r"|(?:^|/)(?:tmp|temp|debug|repro|reproduce)(?:[._-][^/]*|\d*)$",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Changes:
    """What git sees in the work tree."""

    changed: tuple[str, ...]
    untracked: tuple[str, ...]

    @property
    def scratch(self) -> list[str]:
        """New files whose names say that they were not meant to stay."""
        return [path for path in self.untracked if _SCRATCH.search(path)]


async def find_changes(sandbox: Sandbox) -> Changes | None:
    """Ask git inside the sandbox; None where the work tree is no repository."""
    result = await sandbox.run(_STATUS, seconds=60)
    if result.exit_code != 0:
        return None
    lines = [line for line in result.output.split("\n") if re.match(r"[ MADRCUT?!]{2} .", line)]
    untracked = tuple(line[3:] for line in lines if line.startswith("??"))
    return Changes(tuple(line[3:] for line in lines if not line.startswith("??")), untracked)


async def objections(sandbox: Sandbox, *, untested: bool) -> list[str]:
    """What an agent that was to change something should hear before its finish is taken."""
    changes = await find_changes(sandbox)
    found: list[str] = []
    if changes and not changes.changed and not changes.untracked:
        found.append("No file is changed, although a change was asked for: make it, or say why none is needed.")
    elif untested:
        found.append("You edited files after the last test run: run the tests that cover them.")
    if changes and changes.scratch:
        names = ", ".join(posixpath.normpath(path) for path in changes.scratch[:10])
        found.append(f"Files that look like scratch are left: {names}. Remove what does not belong to the change.")
    return found
