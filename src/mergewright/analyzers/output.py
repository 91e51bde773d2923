"""Runs a program in the sandbox and takes all that it prints, within measure."""

import json
import posixpath
import shlex
from collections.abc import Sequence
from urllib.parse import unquote

from mergewright.domain.errors import MergewrightError
from mergewright.domain.sandbox import CommandResult, Ended, Sandbox
from mergewright.domain.session import JSON

MOST_OUTPUT = 32 * 1024**2
"""Bytes of a report."""
BATCH = 200
"""Files that one run of a program is given."""


async def run(sandbox: Sandbox, command: str, *, name: str) -> tuple[CommandResult, bytes]:
    """Give how it ended and its standard output; raises MergewrightError when it was ended or printed too much."""
    chunks: list[bytes] = []
    size = 0

    def keep(chunk: bytes) -> None:
        nonlocal size
        size += len(chunk)
        if size <= MOST_OUTPUT:
            chunks.append(chunk)

    result = await sandbox.run(f"{{ {command}\n}} 2>/dev/null", on_output=keep)
    if result.ended is not Ended.EXITED:
        raise MergewrightError(f"the analyzer `{name}` was ended: {result.ended.value}")
    if size > MOST_OUTPUT:
        raise MergewrightError(f"the analyzer `{name}` printed more than {MOST_OUTPUT // 1024**2} MB")
    return result, b"".join(chunks)


def report(data: bytes, *, name: str) -> JSON:
    """Read a report; raises MergewrightError when it is no JSON."""
    try:
        return json.loads(data.decode("utf-8", "replace"))
    except (ValueError, RecursionError) as error:
        said = data[:120].decode("utf-8", "replace").strip()
        raise MergewrightError(
            f"the analyzer `{name}` printed no JSON" + (f", but: {said}" if said else ""),
            hint="run its command by hand in a clone of the project",
        ) from error


def in_tree(name: str, root: str) -> str:
    """Give a file's path in the work tree, however an analyzer writes it; what lies outside keeps its name."""
    path = unquote(name.removeprefix("file://")) if name.startswith("file://") else name
    return posixpath.normpath(path.removeprefix(f"{root}/"))


def batches(paths: Sequence[str]) -> list[str]:
    """Give the paths as arguments of a shell's command line, so many at a time; none begins like an option."""
    safe = [shlex.quote(path if not path.startswith("-") else f"./{path}") for path in paths]
    return [" ".join(safe[start : start + BATCH]) for start in range(0, len(safe), BATCH)]
