"""The session's clone, read and committed from outside the sandbox."""

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from mergewright import git
from mergewright.domain.forge import ForgeStatus
from mergewright.flows.world import Workspace


@dataclass(frozen=True, slots=True)
class Numbers:
    """How many lines of a file a change added and removed; None for a file that is not text."""

    path: str
    added: int | None
    removed: int | None


def clone_of(workspace: Workspace) -> git.Repository:
    """Give the session's clone, which `prepare_workspace` has made."""
    return git.Repository(workspace.git_dir.absolute(), workspace.work_tree.absolute())


async def texts_at(repository: git.Repository, ref: str, paths: Sequence[str]) -> dict[str, str]:
    """Give the texts of those of these files that are there at a commit or tree."""
    found = await repository.show_files(ref, paths)
    return {path: data.decode("utf-8", "replace") for path, data in found.items()}


def identity(status: ForgeStatus) -> git.Identity:
    """Give the author of our commits, with the address that GitLab keeps for users who show none."""
    user = status.user
    host = urlsplit(status.url).hostname or "localhost"
    return user.name or user.username, f"{user.id}-{user.username}@users.noreply.{host}"


def numbers(diff: str) -> list[Numbers]:
    """Count a unified diff's lines by file."""
    found: list[Numbers] = []
    path, added, removed, text, in_hunk = "", 0, 0, True, False

    def close() -> None:
        if path:
            found.append(Numbers(path, added if text else None, removed if text else None))

    for line in diff.split("\n"):
        if line.startswith("diff --git "):
            close()
            # The half behind the last ` b/` is right but for names that hold ` b/` themselves; `+++` mends those.
            path, added, removed, text, in_hunk = line.rpartition(" b/")[2], 0, 0, True, False
        elif in_hunk:
            added += line.startswith("+")
            removed += line.startswith("-")
        elif line.startswith("@@ "):
            in_hunk = True
        elif line.startswith("+++ b/"):
            path = line.removeprefix("+++ b/").rstrip("\t")
        elif line.startswith("--- a/"):
            path = line.removeprefix("--- a/").rstrip("\t")
        elif line.startswith("Binary files "):
            text = False
    close()
    return found
