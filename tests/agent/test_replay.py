"""A run that was recorded is played back over the real wire, difficult replies included."""

from dataclasses import replace
from pathlib import Path

import pytest

from mergewright.agent.loop import Outcome
from mergewright.domain.agent import Model, Reply, ToolCall
from mergewright.domain.errors import ContextOverflow
from mergewright.domain.sandbox import Sandbox
from mergewright.models.recording import Recording
from mergewright.models.select import ModelSettings, open_model
from mergewright.store.sql import open_store
from tests.support.agents import ASSIGNMENT, SESSION, agent_on
from tests.support.scripted_model import ScriptedModel, call, says

DONE = says(call("finish", summary="done"))
LOOK = says(call("read", path="app.py"), text="I look at \u201capp.py\u201d.")

RUNS: dict[str, list[Reply | Exception]] = {
    "plain": [LOOK, says(call("run", command="echo $$; date +%s%N >/dev/null")), DONE],
    "empty reply": [says(), LOOK, says(), DONE],
    "text alone": [says(text="I think."), LOOK, DONE],
    "unknown tool": [says(ToolCall("x", "open", "{}")), LOOK, DONE],
    "arguments that are not JSON": [says(ToolCall("x", "read", '{"path": "app.py')), LOOK, DONE],
    "arguments that are no object": [says(ToolCall("x", "read", '["app.py"]')), LOOK, DONE],
    "no arguments": [says(ToolCall("x", "read", "")), LOOK, DONE],
    "finish refused": [LOOK, DONE, DONE],
    "conversation made shorter": [
        *(says(call("read", path="big", start=n)) for n in range(1, 8)),
        says(call("write", path="x", content="y" * 900)), says(call("read", path="app.py")),
        ContextOverflow("too long"), DONE,
    ],
}  # fmt: skip


async def play(model: Model, database: Path, sandbox: Sandbox, *, gated: bool) -> Outcome:
    store = open_store(database)
    session = await store.create(SESSION)
    try:
        return await agent_on(model, store, sandbox).run(replace(ASSIGNMENT, session=session, gated=gated))
    finally:
        await model.close()
        await store.close()


@pytest.mark.parametrize("name", RUNS)
async def test_a_recorded_run_plays_back_to_the_same_end(
    name: str, sandbox: Sandbox, tree: Path, tmp_path: Path
) -> None:
    (tree / "big").write_text("a line of a big file\n" * 300)
    (tree / ".gitignore").write_text("big\nx\n.gitignore\n")
    recording = tmp_path / "session.jsonl"
    gated = name == "finish refused"
    model = Recording(ScriptedModel(RUNS[name]), recording)
    recorded = await play(model, tmp_path / "first.db", sandbox, gated=gated)
    (tree / "x").unlink(missing_ok=True)
    again = open_model(f"recorded:{recording}", ModelSettings())
    replayed = await play(again, tmp_path / "second.db", sandbox, gated=gated)
    assert replayed.answer == recorded.answer == {"summary": "done"}
