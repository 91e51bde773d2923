"""Runs the proof of a finding: it counts only when it fails on the reviewed head for the reason that was given."""

import os
import shlex
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from mergewright.domain.errors import MergewrightError, ToolError
from mergewright.domain.plain import clip
from mergewright.domain.review import Proof
from mergewright.domain.sandbox import Ended, Sandbox
from mergewright.git.history import History

SECONDS = 60.0
"""What one proof may take."""
TAIL = 2_000
"""Characters of the output that are kept."""
Bench = Callable[[], Awaitable[Sandbox]]


@asynccontextmanager
async def checked_out(
    history: History, sha: str, folder: Path, open_sandbox: Callable[[Path], Sandbox]
) -> AsyncIterator[Bench]:
    """Give what lays out a commit afresh and opens a sandbox on it: what one proof leaves never reaches the next."""
    os.makedirs(folder, exist_ok=True)
    with TemporaryDirectory(dir=folder, ignore_cleanup_errors=True) as made:
        number = 0

        async def fresh() -> Sandbox:
            nonlocal number
            number += 1
            tree = Path(made) / str(number) / "tree"
            await history.checkout(sha, tree)
            return open_sandbox(tree)

        yield fresh


async def prove(proof: Proof, *, sha: str, head: Bench, base: Bench | None = None) -> Proof:
    """Run a proof; with `base` it must not fail there in the same way, or the change has not brought the defect."""
    told = await _run(proof, await head())
    ran = replace(told, sha=sha)
    if ran.holds and base is not None:
        before = await _run(proof, await base())
        if before.holds:
            return replace(ran, holds=False, output=clip(f"{ran.output}\n(it fails on the base in the same way)", TAIL))
    return ran


async def _run(proof: Proof, sandbox: Sandbox) -> Proof:
    try:
        for path, text in proof.files.items():
            await sandbox.write(path, text.encode())
        result = await sandbox.run(proof.command, seconds=SECONDS)
    except ToolError as error:
        return replace(proof, exit_code=None, output=clip(error.message, TAIL), holds=False)
    except MergewrightError as error:
        # A sandbox that does not start proves nothing, one way or the other.
        return replace(proof, exit_code=None, output=clip(error.message, TAIL), holds=False)
    ended = result.ended is Ended.EXITED and result.exit_code is not None
    # Where the work tree lies on this machine is nobody's business, and differs from run to run.
    output = result.output.replace(f"{sandbox.root}/", "")[-TAIL:]
    failed = ended and result.exit_code not in (0, 126, 127)
    holds = bool(failed and proof.expect and proof.expect in result.output)
    return replace(proof, exit_code=result.exit_code if ended else None, output=output, holds=holds)


def shown_command(proof: Proof) -> str:
    """Give the command as a person can repeat it, its files written first."""
    made = [f"cat > {shlex.quote(path)} <<'EOF'\n{text.rstrip()}\nEOF" for path, text in proof.files.items()]
    return "\n".join([*made, proof.command])
