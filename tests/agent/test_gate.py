"""A finish that leaves something undone is refused once."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from mergewright.agent.gate import Changes, find_changes
from mergewright.domain.agent import Reply, Role
from mergewright.domain.sandbox import Sandbox
from mergewright.sandbox.bubblewrap import Bubblewrap
from tests.support.agents import ASSIGNMENT, agent_on
from tests.support.memory_store import Killed, MemoryStore
from tests.support.scripted_model import ScriptedModel, call, says

GATED = replace(ASSIGNMENT, gated=True)
DONE = says(call("finish", summary="done"))
EDIT = says(call("edit", path="app.py", edits=[{"old": "a - b", "new": "a + b"}]))
TEST = says(call("run", command="python3 -B -m unittest"))


async def refusals(steps: Sequence[Reply], sandbox: Sandbox) -> list[str]:
    """What each refused finish was answered with."""
    model = ScriptedModel([*steps, DONE, DONE])
    outcome = await agent_on(model, MemoryStore(), sandbox).run(GATED)
    assert outcome.answer == {"summary": "done"}
    return [m.text for m in model.requests[-1][1] if m.role is Role.TOOL and m.text.startswith("Not finished")]


async def test_a_finish_without_any_change_is_refused_once(sandbox: Sandbox) -> None:
    (text,) = await refusals([], sandbox)
    assert "No file is changed" in text
    assert text.endswith("If it is meant so, call finish again.")


async def test_an_edit_that_was_not_tested_is_refused_once(sandbox: Sandbox) -> None:
    (text,) = await refusals([TEST, EDIT], sandbox)
    assert "run the tests" in text


async def test_an_agent_that_cannot_run_commands_is_not_asked_for_tests(sandbox: Sandbox) -> None:
    model = ScriptedModel([EDIT, DONE])
    await agent_on(model, MemoryStore(), sandbox, ["read", "edit"]).run(GATED)
    assert len(model.requests) == 2


async def test_changes_are_seen_where_the_git_directory_is_elsewhere_and_only_for_reading(
    tree: Path, tmp_path: Path
) -> None:
    (tree / ".git").rename(tmp_path / "repo.git")
    (tmp_path / "outputs").mkdir()
    sandbox = Bubblewrap(tree, outputs=tmp_path / "outputs", git_dir=tmp_path / "repo.git")
    assert await find_changes(sandbox) == Changes((), ())
    (tree / "app.py").write_text("x = 1\n")
    (tree / "caf\u00e9 \n x").write_text("x = 1\n")
    assert await find_changes(sandbox) == Changes(("app.py",), ("caf\u00e9 ? x",))


async def test_a_new_file_counts_as_a_change(sandbox: Sandbox) -> None:
    assert await refusals([says(call("write", path="new.py", content="x = 1\n")), TEST], sandbox) == []


async def test_a_tested_edit_is_taken_at_once(sandbox: Sandbox) -> None:
    assert await refusals([EDIT, TEST], sandbox) == []


async def test_scratch_files_are_named(sandbox: Sandbox) -> None:
    litter = says(call("run", command="touch app.py.orig debug_add.py 'a b.log'; mkdir d; touch d/tmp2; pytest"))
    (text,) = await refusals([EDIT, litter], sandbox)
    assert "a b.log, app.py.orig, d/tmp2, debug_add.py" in text


async def test_the_second_finish_is_taken_even_after_a_crash(sandbox: Sandbox) -> None:
    store = MemoryStore()
    store.dies_after = 7
    with pytest.raises(Killed):
        await agent_on(ScriptedModel([DONE, DONE]), store, sandbox).run(GATED)
    store.dies_after = None
    model = ScriptedModel([DONE])
    await agent_on(model, store, sandbox).run(GATED)
    assert "No file is changed" in model.requests[0][1][-1].text


async def test_an_edit_that_a_crash_cut_counts_as_one_that_was_not_tested(sandbox: Sandbox) -> None:
    store = MemoryStore()
    store.dies_after = 5
    with pytest.raises(Killed):
        await agent_on(ScriptedModel([EDIT]), store, sandbox).run(GATED)
    store.dies_after = None
    model = ScriptedModel([DONE, DONE])
    await agent_on(model, store, sandbox).run(GATED)
    assert "run the tests" in model.requests[1][1][-1].text


async def test_an_agent_that_plans_is_not_asked_for_changes(sandbox: Sandbox) -> None:
    model = ScriptedModel([DONE])
    await agent_on(model, MemoryStore(), sandbox).run(ASSIGNMENT)
    assert len(model.requests) == 1


async def test_without_a_repository_only_the_edits_are_looked_at(tmp_path: Path) -> None:
    from tests.support.plain_sandbox import PlainSandbox

    (tmp_path / "app.py").write_text("a - b")
    assert await refusals([], PlainSandbox(tmp_path)) == []
    (text,) = await refusals([EDIT], PlainSandbox(tmp_path))
    assert "run the tests" in text


@pytest.mark.parametrize(
    ("path", "scratch"),
    [
        ("x.rej", True), ("pkg/__pycache__/a.pyc", True), ("tmp.py", True), ("tmp_fix.py", True), ("debug.log", True),
        ("repro.py", True), ("scratch.txt", True), ("notes~", True), ("nohup.out", True),
        ("src/template.py", False), ("debugger.py", False), ("changelog", False), ("core/models.py", False),
        ("temperature.py", False), ("tests/test_log.py", False), ("CHANGELOG.md", False),
    ],
)  # fmt: skip
def test_scratch_is_known_by_its_name(path: str, scratch: bool) -> None:
    assert bool(Changes((), (path,)).scratch) == scratch
