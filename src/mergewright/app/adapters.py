"""Chooses the adapters that a flow runs with: model, sandbox, store, engine."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from mergewright.app.settings import FIRST_SERVED, Settings
from mergewright.domain.agent import Model
from mergewright.domain.approval import ReviewForge
from mergewright.domain.errors import ModelUnavailable
from mergewright.domain.sandbox import Sandbox
from mergewright.domain.session import EventKind, Session, Store

if TYPE_CHECKING:
    from mergewright.flows.world import Workspace, World
    from mergewright.models.select import ModelSettings
    from mergewright.review.world import ReviewWorld
    from mergewright.sandbox.cgroups import Cgroups
    from mergewright.sandbox.settings import SandboxSettings


def model_settings(settings: Settings, name: str) -> "ModelSettings":
    """Give what a model of this name is reached with: each key goes to its own provider only."""
    from mergewright.models.select import ModelSettings

    kind = name.partition(":")[0]
    key, base_url = settings.model_api_key, settings.model_base_url
    if kind in {"openai", "openai-chat", "openai-responses", "local"}:
        key, base_url = key or settings.openai_api_key, base_url or settings.openai_base_url
    elif kind == "anthropic":
        key = key or settings.anthropic_api_key
    return ModelSettings(base_url=base_url, api_key=key, silence=settings.silence)


async def model_name(settings: Settings) -> str:
    """Give the model's full name; with a server and no name, it is the first model that the server lists."""
    name = settings.require_model()
    if name != FIRST_SERVED:
        return name
    import httpx2

    url = f"{settings.openai_base_url}/models"
    headers = {"Authorization": f"Bearer {settings.openai_api_key}"} if settings.openai_api_key else {}
    try:
        # Reading the machine's certificates takes long: only where there is something to check with them.
        async with httpx2.AsyncClient(timeout=10.0, verify=not url.startswith("http:")) as client:
            answer = (await client.get(url, headers=headers)).raise_for_status().json()
        return f"{FIRST_SERVED}{answer['data'][0]['id']}"
    except (httpx2.HTTPError, httpx2.InvalidURL, ValueError, LookupError, TypeError) as error:
        from mergewright.models.redact import redact

        raise ModelUnavailable(
            redact(f"`{url}` lists no model: {error}"), hint="start the server, or name the model in MERGEWRIGHT_MODEL"
        ) from error


async def check_model(settings: Settings, name: str) -> None:
    """Open a model and close it unasked; raises WrongUse for a name, a key or a recording that cannot be used."""
    from mergewright.models.select import open_model

    await open_model(name, model_settings(settings, name)).close()


class Models:
    """Opens the model of a session, and tells its log when the model's server makes us wait."""

    def __init__(self, settings: Settings, store: Store, *, record: Path | None) -> None:
        self._settings = settings
        self._store = store
        self._record = record
        self._telling: set[asyncio.Task[object]] = set()

    def open(self, session: Session) -> Model:
        """Open the session's model; raises WrongUse when it cannot be had."""
        from mergewright.models.select import open_model

        def tell(text: str) -> None:
            said = self._store.append(session.id, EventKind.PROGRESS, {"text": text}, turn=session.turn)
            task = asyncio.ensure_future(said)
            self._telling.add(task)
            task.add_done_callback(self._telling.discard)

        name = self._settings.other_model or session.model
        return open_model(name, replace(model_settings(self._settings, name), on_wait=tell), record=self._record)


def sandbox_settings(settings: Settings, *, scratch: Path | None = None) -> "SandboxSettings":
    """Give what every sandbox of this installation is opened with."""
    from mergewright.sandbox.settings import SandboxSettings

    return SandboxSettings(
        limits=settings.sandbox,
        toolchains=settings.toolchains,
        # Two edits of one size within a second would leave stale bytecode behind, which looks fresh to Python.
        environment={"PYTHONDONTWRITEBYTECODE": "1"},
        scratch=scratch,
        private=(settings.home,),
    )


class Sandboxes:
    """Opens the sandboxes of sessions; what this machine offers is tried out once."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    @cached_property
    def _machine(self) -> "tuple[Path, Cgroups]":
        # A later command finds out by itself, and fails, should the machine no longer offer what it did.
        from mergewright.sandbox.availability import find_bubblewrap
        from mergewright.sandbox.cgroups import find_cgroups

        return find_bubblewrap(), find_cgroups()

    def check(self) -> None:
        """Try out what this machine offers; raises NoSandbox where that is nothing."""
        _ = self._machine

    def open(self, workspace: "Workspace") -> Sandbox:
        """Open a session's sandbox; raises NoSandbox where this machine offers none."""
        for folder in (workspace.scratch, workspace.outputs):
            folder.mkdir(parents=True, exist_ok=True)
        return self.open_tree(
            workspace.work_tree,
            outputs=workspace.outputs,
            settings=sandbox_settings(self._settings, scratch=workspace.scratch),
            git_dir=workspace.git_dir,
        )

    def open_tree(
        self, tree: Path, *, outputs: Path, settings: "SandboxSettings", git_dir: Path | None = None
    ) -> Sandbox:
        """Open a sandbox on any folder; raises NoSandbox where this machine offers none."""
        from mergewright.sandbox.bubblewrap import Bubblewrap

        bubblewrap, cgroups = self._machine
        return Bubblewrap(
            tree, outputs=outputs, settings=settings, git_dir=git_dir, bubblewrap=bubblewrap, cgroups=cgroups
        )


def make_world(
    settings: Settings,
    store: Store,
    forge: ReviewForge,
    sandboxes: Sandboxes,
    *,
    record: Path | None,
    open_review: "Callable[[Session], ReviewWorld] | None" = None,
    may_go_on: Callable[[Session], Awaitable[str]] | None = None,
) -> "World":
    """Tie the adapters together for the flows."""
    from mergewright.flows.world import FlowSettings, World

    return World(
        forge=forge,
        store=store,
        open_model=Models(settings, store, record=record).open,
        open_sandbox=sandboxes.open,
        settings=FlowSettings(
            sessions=settings.session_folders,
            limits=settings.limits,
            command_seconds=settings.sandbox.seconds,
            pipeline_patience=settings.pipeline_patience,
        ),
        open_review=open_review,
        may_go_on=may_go_on,
    )
