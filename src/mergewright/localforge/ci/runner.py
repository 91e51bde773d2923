"""Running jobs: one after the other, each on a fresh clone of its commit."""

import asyncio
import logging
import re
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from anyio import to_thread
from sqlalchemy import select

from mergewright.localforge.announce import announce_job
from mergewright.localforge.ci.pipelines import advance
from mergewright.localforge.clock import now
from mergewright.localforge.gitcmd import run_git
from mergewright.localforge.instance import Instance
from mergewright.localforge.merging import auto_merge
from mergewright.localforge.tables import Job, Pipeline, Project

logger = logging.getLogger(__name__)
REFERENCE = re.compile(r"\$\$|\$(\w+)|\$\{(\w+)\}")
TEXTS = frozenset({"CI_COMMIT_TITLE", "CI_COMMIT_MESSAGE", "CI_MERGE_REQUEST_TITLE"})
MOST_EXPANDED, DEEPEST = 200_000, 50
"""Characters that variables may put into each other, and how often one may stand in another."""
RETRY_PAUSE = 5.0
"""Seconds before a job that could not even be begun is tried again."""
TRACE_LIMIT = 50 * 1024**2
STUCK = "This job is stuck: this forge runs no jobs, because it was started without a sandbox.\n"


@dataclass(frozen=True, slots=True)
class JobOrder:
    """A job to run: its lines in a shell, at the root of its checkout, the first failure ending it."""

    id: int
    project: str
    sha: str
    ref: str
    script: tuple[str, ...]
    variables: Mapping[str, str]
    checkout: Path
    timeout: float


@dataclass(frozen=True, slots=True)
class JobOutcome:
    """How a job ended; `reason` is GitLab's failure_reason, empty for a script that simply failed."""

    exit_code: int | None
    reason: str = ""


class RunJob(Protocol):
    """What runs a job's script somewhere safe; cancelling the call must end the script."""

    async def __call__(self, job: JobOrder, trace: Callable[[bytes], None]) -> JobOutcome: ...


class Trace:
    """A job's log on disk, readable while it grows."""

    def __init__(self, instance: Instance, job_id: int) -> None:
        self.path = instance.settings.home / "traces" / f"{job_id}.log"

    def start(self) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.write_bytes(b"")

    def write(self, data: bytes) -> None:
        room = TRACE_LIMIT - self.path.stat().st_size
        if room > 0:
            with self.path.open("ab") as log:
                log.write(data[:room])
                if len(data) > room:
                    log.write(b"\nThe log was cut here: it passed the limit of the forge.\n")

    def read(self) -> bytes:
        return self.path.read_bytes() if self.path.exists() else b""


def read_trace(instance: Instance, job: Job) -> bytes:
    """A job's log so far; for a job that cannot run, the reason."""
    if job.status in {"pending", "created"} and not instance.runs_jobs:
        return STUCK.encode()
    return Trace(instance, job.id).read()


class Runner:
    """Takes pending jobs in order and runs them; a cancelled job is stopped."""

    def __init__(self, instance: Instance, run_job: RunJob) -> None:
        self.instance = instance
        self.run_job = run_job
        self.running: dict[int, asyncio.Task[None]] = {}
        self.wake = asyncio.Event()

    async def run(self) -> None:
        """Work until cancelled."""
        await to_thread.run_sync(self._recover)
        try:
            while True:
                self.wake.clear()
                await self._round()
                await self.wake.wait()
        finally:
            for task in self.running.values():
                task.cancel()
            await asyncio.gather(*self.running.values(), return_exceptions=True)

    async def _round(self) -> None:
        self.running = {job_id: task for job_id, task in self.running.items() if not task.done()}
        for job_id in await to_thread.run_sync(self._canceled, list(self.running)):
            self.running[job_id].cancel()
        free = self.instance.settings.jobs_at_once - len(self.running)
        for job_id in await to_thread.run_sync(self._pending, free) if free > 0 else []:
            task = asyncio.create_task(self._run(job_id))
            task.add_done_callback(self._done)
            self.running[job_id] = task

    def _done(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()):
            logger.error("a job could not be run", exc_info=error)
            # The job is pending still: without a pause it would be taken again at once, and for ever.
            asyncio.get_running_loop().call_later(RETRY_PAUSE, self.wake.set)
        else:
            self.wake.set()

    def _recover(self) -> None:
        """Fail the jobs that ran when the forge was last stopped: nobody knows how they ended."""
        with self.instance.write() as session:
            for job in session.scalars(select(Job).where(Job.status == "running", Job.external.is_(False))):
                job.status, job.failure_reason, job.finished_at = "failed", "runner_system_failure", now()
                announce_job(self.instance, session, job)
                advance(self.instance, session, job.pipeline)

    def _canceled(self, ids: list[int]) -> list[int]:
        with self.instance.read() as session:
            return list(session.scalars(select(Job.id).where(Job.id.in_(ids), Job.status == "canceled")))

    def _pending(self, limit: int) -> list[int]:
        with self.instance.read() as session:
            rows = select(Job.id).where(Job.status == "pending", Job.external.is_(False)).order_by(Job.id)
            return [job_id for job_id in session.scalars(rows) if job_id not in self.running][:limit]

    async def _run(self, job_id: int) -> None:
        taken = await to_thread.run_sync(self._take, job_id)
        if taken is None:
            return
        order, after_script = taken
        trace = Trace(self.instance, job_id)
        outcome = JobOutcome(None, "runner_system_failure")
        try:
            await to_thread.run_sync(self._check_out, order)
            async with asyncio.timeout(order.timeout + 5):
                outcome = await self.run_job(order, trace.write)
            if after_script:
                status = "success" if outcome.exit_code == 0 else "failed"
                trace.write(b"Running after_script\n")
                await self.run_job(_after(order, after_script, status), trace.write)
        except TimeoutError:
            outcome = JobOutcome(None, "job_execution_timeout")
        finally:
            await asyncio.shield(to_thread.run_sync(self._end, order, outcome))

    def _take(self, job_id: int) -> tuple[JobOrder, tuple[str, ...]] | None:
        """Mark a pending job as running and say what to run."""
        with self.instance.write() as session:
            job = session.get_one(Job, job_id)
            if job.status != "pending":
                return None
            job.status, job.started_at = "running", now()
            trace = Trace(self.instance, job_id)
            trace.start()
            for line in job.notices:
                trace.write(f"{line}\n".encode())
            announce_job(self.instance, session, job)
            advance(self.instance, session, job.pipeline)
            project = session.get_one(Project, job.project_id)
            checkout = self.instance.settings.home / "builds" / str(job_id)
            variables = job.variables | {
                "CI_JOB_ID": str(job_id),
                "CI_JOB_NAME": job.name,
                "CI_JOB_STAGE": job.stage,
                "CI_PIPELINE_ID": str(job.pipeline_id),
                "CI_PIPELINE_IID": str(job.pipeline.iid),
                "CI_PROJECT_DIR": str(checkout),
                "CI_BUILDS_DIR": str(checkout.parent),
            }
            timeout = min(job.timeout or self.instance.settings.job_timeout, self.instance.settings.job_timeout)
            order = JobOrder(
                job_id,
                project.path_with_namespace,
                job.pipeline.sha,
                job.pipeline.ref,
                tuple(job.script),
                expand(variables),
                checkout,
                timeout,
            )
            return order, tuple(job.after_script)

    def _check_out(self, order: JobOrder) -> None:
        """Make a work tree of the commit that knows neither the forge's folder nor any token."""
        home = self.instance.settings.home
        shutil.rmtree(order.checkout, ignore_errors=True)
        order.checkout.mkdir(parents=True)
        with self.instance.read() as session:
            project = session.get_one(Project, int(order.variables["CI_PROJECT_ID"]))
            source = self.instance.repository(project).path
        for arguments in (
            ["init", "-q", "--initial-branch=job", "."],
            ["fetch", "-q", "--no-tags", "--depth=20", "--", source.as_uri(), order.sha],
            ["checkout", "-q", "--detach", order.sha],
        ):
            run_git(arguments, directory=order.checkout, home=home)
        (order.checkout / ".git" / "FETCH_HEAD").unlink(missing_ok=True)

    def _end(self, order: JobOrder, outcome: JobOutcome) -> None:
        shutil.rmtree(order.checkout, ignore_errors=True)
        with self.instance.write() as session:
            job = session.get_one(Job, order.id)
            if job.status == "canceled":
                return
            job.status = "success" if outcome.exit_code == 0 else "failed"
            if job.status == "failed":
                job.failure_reason = outcome.reason or "script_failure"
            job.finished_at = now()
            verdict = "Job succeeded" if job.status == "success" else f"ERROR: Job failed: {_why(outcome)}"
            Trace(self.instance, order.id).write(f"{verdict}\n".encode())
            announce_job(self.instance, session, job)
            pipeline = session.get_one(Pipeline, job.pipeline_id)
            advance(self.instance, session, pipeline)
            auto_merge(self.instance, session, pipeline)


def expand(variables: Mapping[str, str]) -> dict[str, str]:
    """Put variables into each other as GitLab does: `$NAME`, `${NAME}`, and `$$` for a dollar sign."""
    room = MOST_EXPANDED

    def value(name: str, seen: frozenset[str]) -> str:
        def replaced(found: re.Match[str]) -> str:
            nonlocal room
            inner = found[1] or found[2]
            if found[0] == "$$":
                return "$"
            # What is unknown, goes in a circle or grows beyond measure stays as it is written.
            if inner not in variables or inner in seen or len(seen) > DEEPEST or room <= 0:
                return found[0]
            text = value(inner, seen | {inner})
            room -= len(text) + 1
            return text

        # A commit's message is somebody's text and no place for references.
        text = variables[name]
        return text if name in TEXTS else REFERENCE.sub(replaced, text)

    return {name: value(name, frozenset({name})) for name in variables}


def _why(outcome: JobOutcome) -> str:
    return f"exit code {outcome.exit_code}" if outcome.exit_code is not None else outcome.reason.replace("_", " ")


def _after(order: JobOrder, script: tuple[str, ...], status: str) -> JobOrder:
    return JobOrder(
        order.id,
        order.project,
        order.sha,
        order.ref,
        script,
        {**order.variables, "CI_JOB_STATUS": status},
        order.checkout,
        min(order.timeout, 300.0),
    )
