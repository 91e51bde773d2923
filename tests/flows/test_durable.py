"""The developer flow on the durable engine, with a wait for a person between its turns."""

from mergewright.domain.session import Status
from mergewright.engine.turns import DbosEngine
from mergewright.flows.run import Runner
from mergewright.store.process import is_gone, this_process
from mergewright.store.sql import SqlStore
from tests.flows.conftest import SetUp
from tests.flows.scripts import IMPLEMENT, PLAN


async def test_turns_of_a_session_run_on_the_durable_engine(stage: SetUp) -> None:
    on = stage({"plan:1": PLAN, "implement:1": IMPLEMENT})
    assert isinstance(on.store, SqlStore)
    runner = Runner(on.world, on.registry)
    engine = DbosEngine(on.store.database, run_turn=runner.run_turn, executor=this_process(), gone=is_gone, workers=0)
    await engine.start()
    try:
        await on.begin(approve_plan=True)
        await engine.enqueue(on.session_id, 1)
        await engine.wait(on.session_id, 1)
        assert (await on.store.session(on.session_id)).status is Status.PLAN_APPROVAL_REQUIRED
        await on.answer("approve")
        await engine.enqueue(on.session_id, 2)
        await engine.wait(on.session_id, 2)
        session = await on.store.session(on.session_id)
        assert (session.status, session.reason) == (Status.FINISHED, "opened !1; no pipeline")
        assert "def subtract" in on.show("calc.py")
    finally:
        await engine.stop()
