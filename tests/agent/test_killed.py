"""A real process, really killed in the middle of a command."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from mergewright.agent.calls import INTERRUPTED
from mergewright.domain.agent import Role
from mergewright.domain.sandbox import Sandbox
from mergewright.store.sql import open_store
from tests.support.agents import ASSIGNMENT, SESSION, agent_on
from tests.support.scripted_model import ScriptedModel, call, says

PROGRAM = """
import asyncio, sys
from dataclasses import replace
from pathlib import Path
from mergewright.sandbox.bubblewrap import Bubblewrap
from mergewright.store.sql import open_store
from tests.support.agents import ASSIGNMENT, SESSION, agent_on
from tests.support.scripted_model import ScriptedModel, call, says

async def main(root):
    store = open_store(root / "mergewright.db")
    assignment = replace(ASSIGNMENT, session=await store.create(SESSION))
    slow = call("run", command="echo begun >> begun; sleep 4321; echo ended >> begun")
    model = ScriptedModel([says(call("read", path="app.py")), says(slow)])
    sandbox = Bubblewrap(root / "work", outputs=root / "outputs")
    await agent_on(model, store, sandbox).run(assignment)

asyncio.run(main(Path(sys.argv[1])))
"""


def sleepers() -> list[str]:
    """Processes that still sleep for the command's time, wherever they hang."""
    found: list[str] = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                words = (folder / "cmdline").read_bytes().split(b"\0")
            except (FileNotFoundError, ProcessLookupError):
                continue
            if words[:2] == [b"sleep", b"4321"]:
                found.append(folder.name)
    return found


def wait_until(so: Callable[[], bool]) -> bool:
    """Look again until it is so, for twenty seconds."""
    deadline = time.monotonic() + 20
    while not so() and time.monotonic() < deadline:
        time.sleep(0.02)
    return so()


def run_and_kill(root: Path) -> None:
    """Run the program above and kill it in the middle of its command."""
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": os.getcwd()}
    process = subprocess.Popen([sys.executable, "-c", PROGRAM, str(root)], env=environment)
    assert wait_until((root / "work" / "begun").exists)
    process.send_signal(signal.SIGKILL)
    process.wait()


async def test_after_a_kill_the_run_goes_on_at_the_step_that_was_cut(
    tree: Path, tmp_path: Path, sandbox: Sandbox
) -> None:
    run_and_kill(tmp_path)
    assert wait_until(lambda: not sleepers()), "a process of the command is left over"

    store = open_store(tmp_path / "mergewright.db")
    model = ScriptedModel([says(call("finish", summary="done"))])
    session = await store.session(SESSION.id)
    outcome = await agent_on(model, store, sandbox).run(replace(ASSIGNMENT, session=session))
    await store.close()
    assert outcome.answer == {"summary": "done"}
    (_, messages, _) = model.requests[0]
    read, ran = (message.text for message in messages if message.role is Role.TOOL)
    assert read.startswith("app.py · lines 1-2 of 2")
    assert ran == INTERRUPTED
    assert (tree / "begun").read_text() == "begun\n"
