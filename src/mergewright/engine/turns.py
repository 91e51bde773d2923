"""Durable turns on DBOS: each turn is one workflow, each step a checkpoint in the database."""

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from mergewright.domain.engine import RunTurn
from mergewright.domain.errors import MergewrightError
from mergewright.engine import workers as table
from mergewright.engine.failures import TurnFailed, stored
from mergewright.engine.steps import DbosSteps

if TYPE_CHECKING:
    from dbos import DBOS, DBOSConfig, WorkflowStatus

VERSION = "1"
"""Raised by hand when running turns of the old code must not be continued by the new one."""

QUEUE = "mergewright-turns"
_NAME = "mergewright"
_LOOK = 0.2
"""Seconds between two looks at the queue, or at a turn that another process runs."""


@dataclass(frozen=True)
class _Running:
    """A turn that runs in this process, and the task that DBOS has around it."""

    outer: "asyncio.Task[Any]"
    task: "asyncio.Task[None]"
    steps: DbosSteps


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
            "name": _NAME,
            "system_database_engine": self._database,
            "application_version": VERSION,
            "executor_id": self._executor,
            "serializer": dbos.DBOSPortableJSONSerializer(),
            "enable_otlp": False,
            "log_level": "WARNING",
            "use_listen_notify": False,
            "max_executor_threads": 64,
            # Nothing of ours waits for notifications; stopping waits for this.
            "notification_listener_polling_interval_sec": 0.05,
        }
        instance = self._dbos(config=config)
        if instance._launched:
            raise MergewrightError("A durable engine runs in this process already")

        async def turn(session_id: str, number: int) -> None:
            await self._run(session_id, number)

        portable = dbos.WorkflowSerializationFormat.PORTABLE
        self._turn = self._dbos.workflow(name="turn", serialization_type=portable)(turn)
        # A queue that is registered the public way is a row that all processes share, with one size for all of them.
        own = instance._registry._register_internal_queue
        if self._workers:
            own(QUEUE, worker_concurrency=self._workers, polling_interval_sec=_LOOK)
        own("_dbos_internal_queue", polling_interval_sec=_LOOK)
        # Launched on the event loop's own thread, because that is how DBOS learns where turns shall run.
        self._dbos.launch()
        self._beat = asyncio.create_task(table.keep_signing(self._database, self._executor))

    async def stop(self) -> None:
        """End at once; what still ran stays queued for whoever recovers it."""
        await self._end_tasks()
        self._beat.cancel()
        await asyncio.wait({self._beat})
        # DBOS has made its own threads the loop's, and takes them along.
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(thread_name_prefix="asyncio"))
        await asyncio.to_thread(self._dbos.destroy, destroy_registry=True)
        # The queue may have begun one more turn in the meantime.
        await self._end_tasks()
        await asyncio.to_thread(table.sign_off, self._database, [self._executor])
        if not self._beat.cancelled():
            self._beat.result()

    async def _end_tasks(self) -> None:
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(set(self._tasks))

    async def enqueue(self, session_id: str, turn: int) -> None:
        from dbos import SetWorkflowID

        with SetWorkflowID(_key(session_id, turn)):
            if self._workers:
                await self._dbos.enqueue_workflow_async(QUEUE, self._turn, session_id, turn)
            else:
                await self._dbos.start_workflow_async(self._turn, session_id, turn)

    def enqueue_with(self, connection: sa.Connection, session_id: str, turn: int) -> None:
        """Queue a turn within a transaction on the engine's database; it takes effect with its commit."""
        from dbos import DBOSClient, DBOSPortableJSONSerializer, EnqueueOptions

        client = DBOSClient(
            system_database_engine=self._database,
            serializer=DBOSPortableJSONSerializer(),
            use_listen_notify=False,
            lazy=True,
        )
        options: EnqueueOptions = {"workflow_name": "turn", "queue_name": QUEUE, "workflow_id": _key(session_id, turn)}
        options |= {"app_version": VERSION, "application_name": _NAME}
        client.enqueue_in_transaction(connection, options, session_id, turn)

    async def wait(self, session_id: str, turn: int) -> None:
        key = _key(session_id, turn)
        looks = 0
        while (status := await self._status(key)).status in {"PENDING", "ENQUEUED", "DELAYED"}:
            running = self._running.get(key)
            if running is not None:
                await asyncio.wait({running.outer})
                if running.outer.cancelled():
                    raise MergewrightError(f"The engine was stopped in turn {turn} of session `{session_id}`")
                # A turn whose end could not be recorded would look unfinished for ever.
                unrecorded = running.outer.exception()
                if unrecorded is not None and (await self._status(key)).status == "PENDING":
                    raise unrecorded
                continue
            # Somebody else has it, living or dead.
            if looks % 10 == 0:
                await self.recover(session_id)
            looks += 1
            await asyncio.sleep(_LOOK)
        if status.status == "MAX_RECOVERY_ATTEMPTS_EXCEEDED":
            raise MergewrightError(f"Turn {turn} of session `{session_id}` was killed too often to be tried again")
        if status.status == "ERROR":
            if key in self._errors:
                raise self._errors[key]
            raise stored(status.error or MergewrightError("The turn failed and left no reason"))

    async def cancel(self, session_id: str, turn: int) -> None:
        from dbos import error as errors

        key = _key(session_id, turn)
        await self._dbos.cancel_workflow_async(key)
        if running := self._running.get(key):
            running.steps.ended = running.steps.ended or errors.DBOSWorkflowCancelledError(f"Turn {key} was cancelled")
            running.task.cancel()
            await asyncio.wait({running.task})

    async def recover(self, session_id: str | None = None) -> int:
        """Queue again the turns whose worker has died: all, or those of workers that held this session."""
        beginning = "" if session_id is None else f"{session_id}:"
        pending = await self._flows("PENDING", beginning)
        holders = {flow.executor_id for flow in pending if flow.executor_id} - {self._executor}
        lost = await asyncio.to_thread(table.dead, self._database, holders, self._gone) if holders else []
        recovered = await asyncio.to_thread(self._dbos._recover_pending_workflows, lost)
        await asyncio.to_thread(table.sign_off, self._database, lost)
        turns = {handle.get_workflow_id() for handle in recovered}
        if not self._workers:
            # What came from the queue has gone back there, where this process does not look; a turn that
            # was asked for by name is taken even if it never left the queue.
            queued = [flow.workflow_id for flow in await self._flows("ENQUEUED", beginning) if flow.queue_name == QUEUE]
            for key in queued if session_id is not None else turns.intersection(queued):
                await self._dbos.resume_workflow_async(key)
                turns.add(key)
        return len(turns)

    async def _flows(self, status: str, beginning: str) -> "list[WorkflowStatus]":
        return await self._dbos.list_workflows_async(
            status=status, workflow_id_prefix=beginning, load_input=False, load_output=False
        )

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
        steps = DbosSteps(self._dbos)
        task = asyncio.ensure_future(self._run_turn(session_id, turn, steps))
        self._running[key] = _Running(outer, task, steps)
        try:
            await asyncio.wait({task})
        finally:
            # Cancelled only by `stop`, and then nothing is recorded: the turn stays as unfinished as it is.
            task.cancel()
            await asyncio.wait({task})
            del self._running[key]
        if steps.ended is not None:
            raise steps.ended
        if task.cancelled():
            raise TurnFailed(MergewrightError(f"Turn {turn} of session `{session_id}` stopped itself"))
        if error := task.exception():
            self._errors[key] = error
            raise TurnFailed(error)


def _key(session_id: str, turn: int) -> str:
    return f"{session_id}:{turn}"


def _import() -> Any:
    # A handler that is there keeps DBOS from printing on its own; what it says goes to the program's log.
    logging.getLogger("dbos").addHandler(logging.NullHandler())
    import dbos

    return dbos
