"""Durable turns on DBOS: each turn is one workflow, each step a checkpoint in the database."""

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from mergewright.domain.engine import RunTurn
from mergewright.domain.errors import MergewrightError
from mergewright.domain.session import JSON
from mergewright.engine import workers as table
from mergewright.engine.failures import TurnFailed, decode, encode

if TYPE_CHECKING:
    from dbos import DBOS, DBOSConfig, WorkflowStatus

VERSION = "1"
"""Raised by hand when running turns of the old code must not be continued by the new one."""

QUEUE = "mergewright-turns"
_LOOK = 0.1
"""Seconds between two looks at the queue, or at a turn that another process runs."""


@dataclass
class _Running:
    """A turn that runs in this process."""

    outer: "asyncio.Task[Any]"
    """DBOS's own task around the turn."""
    task: "asyncio.Task[None]"
    stopped: BaseException | None = None
    """What DBOS is told when the turn was stopped from outside."""


class DbosEngine:
    """Runs turns so that they survive this process.

    There is one in a process at a time, between `start` and `stop`. With `workers` at 0 it runs what this process
    enqueues and at once, and takes nothing that others queued.
    """

    def __init__(
        self,
        database: sa.Engine,
        *,
        run_turn: RunTurn,
        executor: str,
        gone: Callable[[str], bool],
        workers: int = 1,
    ) -> None:
        self._database = database
        self._run_turn = run_turn
        self._executor = executor
        self._gone = gone
        self._workers = workers
        self._running: dict[str, _Running] = {}
        self._tasks: set[asyncio.Task[Any]] = set()
        self._errors: dict[str, BaseException] = {}
        self._turn: Callable[[str, int], Any] = self._run
        self._dbos: type[DBOS]
        self._beat: asyncio.Task[None]

    async def start(self) -> None:
        """Open the queue and begin to work; turns that this process left unfinished go on."""
        # The import takes seconds of processor time, which the event loop can spend on something else.
        dbos = await asyncio.to_thread(_import)
        self._dbos = dbos.DBOS
        await asyncio.to_thread(table.prepare, self._database)
        await asyncio.to_thread(table.sign, self._database, self._executor)
        config: DBOSConfig = {
            "name": "mergewright",
            "system_database_engine": self._database,
            "application_version": VERSION,
            "executor_id": self._executor,
            "serializer": dbos.DBOSPortableJSONSerializer(),
            "enable_otlp": False,
            "log_level": "WARNING",
            "use_listen_notify": False,
            "max_executor_threads": 16,
            "notification_listener_polling_interval_sec": 0.5,
        }
        instance = self._dbos(config=config)

        async def turn(session_id: str, number: int) -> None:
            await self._run(session_id, number)

        self._turn = self._dbos.workflow(name="turn", serialization_type=dbos.WorkflowSerializationFormat.PORTABLE)(
            turn
        )
        # A queue that is registered the public way is a row that all processes share, with one size for all of them.
        if self._workers:
            instance._registry._register_internal_queue(
                QUEUE, worker_concurrency=self._workers, polling_interval_sec=_LOOK
            )
        instance._registry._register_internal_queue("_dbos_internal_queue", polling_interval_sec=_LOOK * 2)
        # Launched on the event loop's own thread, because that is how DBOS learns where turns shall run.
        self._dbos.launch()
        self._beat = asyncio.create_task(table.keep_signing(self._database, self._executor))

    async def stop(self) -> None:
        """End at once; what still ran stays queued for whoever recovers it."""
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(set(self._tasks))
        self._beat.cancel()
        await asyncio.wait({self._beat})
        # DBOS has made its own threads the loop's, and takes them along.
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(thread_name_prefix="asyncio"))
        await asyncio.to_thread(self._dbos.destroy, destroy_registry=True)
        await asyncio.to_thread(table.sign_off, self._database, [self._executor])
        if not self._beat.cancelled():
            self._beat.result()

    async def enqueue(self, session_id: str, turn: int) -> None:
        from dbos import SetWorkflowID

        with SetWorkflowID(_key(session_id, turn)):
            if self._workers:
                await self._dbos.enqueue_workflow_async(QUEUE, self._turn, session_id, turn)
            else:
                await self._dbos.start_workflow_async(self._turn, session_id, turn)

    async def wait(self, session_id: str, turn: int) -> None:
        key = _key(session_id, turn)
        looks = 0
        while (status := await self._status(key)).status in {"PENDING", "ENQUEUED", "DELAYED"}:
            running = self._running.get(key)
            if running is not None:
                await asyncio.wait({running.outer})
            else:
                await asyncio.sleep(_LOOK)
            looks += 1
            if looks % 20 == 0:
                await self.recover(session_id)
        if status.status == "MAX_RECOVERY_ATTEMPTS_EXCEEDED":
            raise MergewrightError(f"Turn {turn} of session `{session_id}` was killed too often to be tried again")
        if status.status == "ERROR":
            if key in self._errors:
                raise self._errors[key]
            raise decode(getattr(status.error, "data", None) or encode(status.error or MergewrightError("unknown")))

    async def cancel(self, session_id: str, turn: int) -> None:
        from dbos import error as errors

        key = _key(session_id, turn)
        await self._dbos.cancel_workflow_async(key)
        if running := self._running.get(key):
            running.stopped = running.stopped or errors.DBOSWorkflowCancelledError(f"Turn {key} was cancelled")
            running.task.cancel()
            await asyncio.wait({running.task})

    async def recover(self, session_id: str | None = None) -> int:
        """Queue again the turns whose worker has died: all, or those of workers that held this session."""
        pending = await self._dbos.list_workflows_async(status="PENDING", load_input=False, load_output=False)
        wanted = [flow for flow in pending if session_id is None or flow.workflow_id.startswith(f"{session_id}:")]
        holders = {flow.executor_id for flow in wanted if flow.executor_id} - {self._executor}
        lost = await asyncio.to_thread(table.dead, self._database, holders, self._gone) if holders else []
        if not lost:
            return 0
        recovered = await asyncio.to_thread(self._dbos._recover_pending_workflows, lost)
        await asyncio.to_thread(table.sign_off, self._database, lost)
        return len(recovered)

    async def _status(self, key: str) -> "WorkflowStatus":
        status = await self._dbos.get_workflow_status_async(key)
        if status is None:
            raise MergewrightError(f"Turn `{key}` was never queued")
        return status

    async def _run(self, session_id: str, turn: int) -> None:
        """Be the workflow: run the turn in a task of its own, so that it can be cancelled without DBOS's."""
        key = _key(session_id, turn)
        outer = asyncio.current_task()
        if outer is None:
            raise RuntimeError("a turn runs in a task")
        self._tasks.add(outer)
        outer.add_done_callback(self._tasks.discard)
        task = asyncio.create_task(self._run_whole(session_id, turn))
        running = self._running[key] = _Running(outer, task)
        try:
            await asyncio.wait({task})
        finally:
            # Cancelled only by `stop`, and then nothing is recorded: the turn stays as unfinished as it is.
            task.cancel()
            await asyncio.wait({task})
            del self._running[key]
        if running.stopped is not None:
            raise running.stopped
        if task.cancelled():
            raise TurnFailed(MergewrightError(f"Turn {turn} of session `{session_id}` stopped itself"))
        if error := task.exception():
            self._errors[key] = error
            raise TurnFailed(error)

    async def _run_whole(self, session_id: str, turn: int) -> None:
        await self._run_turn(session_id, turn, _Steps(self, _key(session_id, turn)))

    async def step(self, key: str, name: str, run: Callable[[], Awaitable[JSON]]) -> JSON:
        from dbos import PortableWorkflowError
        from dbos import error as errors

        raised: list[MergewrightError] = []

        async def recorded() -> str:
            # As text in plain ASCII: what a tool prints may hold characters that no database takes.
            try:
                return json.dumps({"value": await run()})
            except MergewrightError as error:
                raised.append(error)
                return json.dumps(encode(error))

        try:
            kept = json.loads(await self._dbos.run_step_async({"name": name, "preemptible": True}, recorded))
        except PortableWorkflowError as error:
            raise decode({"error": error.name, "message": error.message, "hint": ""}) from error
        except errors.DBOSException as error:
            # Cancelled from another process, or taken over by one: this turn ends here, whatever it is doing.
            self._running[key].stopped = error
            raise asyncio.CancelledError from error
        if "value" in kept:
            return kept["value"]
        raise raised[0] if raised else decode(kept)


@dataclass(frozen=True)
class _Steps:
    """The steps of one turn."""

    engine: DbosEngine
    key: str

    async def step(self, name: str, run: Callable[[], Awaitable[JSON]]) -> JSON:
        return await self.engine.step(self.key, name, run)


def _key(session_id: str, turn: int) -> str:
    return f"{session_id}:{turn}"


def _import() -> Any:
    # A handler that is there keeps DBOS from printing on its own; what it says goes to the program's log.
    logging.getLogger("dbos").addHandler(logging.NullHandler())
    import dbos

    return dbos
