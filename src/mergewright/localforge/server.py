"""The local forge as its owner holds it: start, stop, and what to put in."""

import asyncio
import re
import socket
import threading
import time
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import func, select
from sqlalchemy.orm import Session
from starlette.applications import Starlette

from mergewright.localforge import access
from mergewright.localforge.api.projects import new_project
from mergewright.localforge.ci.runner import JobOrder, JobOutcome, RunJob, Runner
from mergewright.localforge.courier import Courier
from mergewright.localforge.errors import LocalForgeError, Refused
from mergewright.localforge.gitcmd import run_git
from mergewright.localforge.instance import Instance
from mergewright.localforge.login_tables import Application
from mergewright.localforge.logins import link_of
from mergewright.localforge.merge_requests import refresh
from mergewright.localforge.oauth import new_application
from mergewright.localforge.pushes import protect_default
from mergewright.localforge.settings import LOOPBACK, ForgeSettings
from mergewright.localforge.tables import Hook, Member, MergeRequest, Project, User
from mergewright.localforge.web import build_app

if TYPE_CHECKING:
    from mergewright.localforge.listening import Server

__all__ = ["ForgeSettings", "JobOrder", "JobOutcome", "LocalForge", "RunJob"]
START_SECONDS = 60.0


class LocalForge:
    """A small GitLab on this machine: real git repositories, a database, webhooks and pipelines."""

    def __init__(self, settings: ForgeSettings, *, run_job: RunJob | None = None) -> None:
        if settings.host not in LOOPBACK:
            raise LocalForgeError(
                f"The local forge serves this machine only, not `{settings.host}`", hint="use the host 127.0.0.1"
            )
        self.settings = settings
        self.instance = Instance(settings)
        self.instance.runs_jobs = run_job is not None
        self.app = build_app(self.instance, self._lifespan)
        self._run_job = run_job
        self._thread: threading.Thread | None = None
        self._server: Server | None = None

    @property
    def url(self) -> str:
        """The forge's address; with port 0 it is known once the forge has started."""
        return self.instance.url

    @asynccontextmanager
    async def _lifespan(self, app: Starlette) -> AsyncIterator[None]:
        """Deliver webhooks and run jobs while the application serves."""
        loop = asyncio.get_running_loop()
        courier = Courier(self.instance)
        runner = Runner(self.instance, self._run_job) if self._run_job else None
        workers: list[Courier | Runner] = [courier, runner] if runner else [courier]

        def wake() -> None:
            for worker in workers:
                loop.call_soon_threadsafe(worker.wake.set)

        tasks = [asyncio.create_task(worker.run()) for worker in workers]
        self.instance.wakers.append(wake)
        try:
            yield
        finally:
            self.instance.wakers.remove(wake)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def start(self) -> None:
        """Serve in the background; returns once the forge answers."""
        import uvicorn

        from mergewright.localforge.listening import Server

        if self._thread is not None:
            raise LocalForgeError("The local forge runs already")
        family = socket.AF_INET6 if ":" in self.settings.host else socket.AF_INET
        # The protocol must be named: asyncio sends small answers without delay only where it is.
        listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((self.settings.host, self.settings.port))
        except OSError as error:
            listener.close()
            raise LocalForgeError(
                f"Port {self.settings.port} on {self.settings.host} cannot be used: {error.strerror}",
                hint="choose another port, or 0 for a free one",
            ) from error
        listener.listen(128)
        host = f"[{self.settings.host}]" if family == socket.AF_INET6 else self.settings.host
        self.instance.url = f"http://{host}:{listener.getsockname()[1]}"
        config = uvicorn.Config(
            self.app,
            log_config=None,
            access_log=False,
            server_header=False,
            lifespan="on",
            loop="asyncio",
            http="h11",
            ws="none",
        )
        server = self._server = Server(config)
        self._thread = threading.Thread(
            target=server.run, kwargs={"sockets": [listener]}, name="localforge", daemon=True
        )
        self._thread.start()
        deadline = time.monotonic() + START_SECONDS
        while not server.started:
            if not self._thread.is_alive() or time.monotonic() > deadline:
                listener.close()
                raise LocalForgeError("The local forge did not start")
            time.sleep(0.005)

    def stop(self) -> None:
        """Stop serving; what waits to be delivered or run goes on at the next start."""
        if self._thread is not None and self._server is not None:
            self._server.end()
            self._thread.join(START_SECONDS)
            self._thread = self._server = None
        self.instance.close()

    def use_agents(self, url: str) -> None:
        """Say where the agents' server is: GitLab's flows API and the pages' buttons lead there from now on."""
        self.instance.agents_url = url.rstrip("/")

    # --- what to put in ------------------------------------------------------------------------

    def seed_user(self, username: str, *, name: str = "", admin: bool = False, bot: bool = False) -> int:
        """Make a user if there is none of this name, and return the id."""
        if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]*", username):
            raise LocalForgeError(f"`{username}` is not a user name", hint="use letters, digits, `_`, `-` and `.`")
        with self.instance.write() as session:
            user = session.scalar(select(User).where(User.username == username))
            if user is None:
                email = f"{username}@localhost.localdomain"
                user = User(username=username, name=name or username, email=email, admin=admin, bot=bot)
                session.add(user)
                session.flush()
            return user.id

    def seed_token(self, username: str, *, scopes: Sequence[str] = ("api",), name: str = "token") -> str:
        """Make a token for a user; it is shown this once."""
        if unknown := set(scopes) - set(access.SCOPES):
            raise LocalForgeError(f"There is no scope `{sorted(unknown)[0]}`", hint=", ".join(access.SCOPES))
        with self.instance.write() as session:
            _, value = access.new_token(session, _user(session, username), scopes=scopes, name=name)
            return value

    def seed_application(self, name: str, redirect_uri: str, *, scopes: Sequence[str] = ("read_api",)) -> str:
        """Register an application of the forge's own owner, which asks nobody for leave, and return its id."""
        with self.instance.write() as session:
            row = session.scalar(select(Application).where(Application.name == name, Application.trusted))
            if row is None:
                row, _ = new_application(
                    session, name, [redirect_uri], scopes=list(scopes), confidential=False, trusted=True
                )
            row.redirect_uris, row.scopes = [redirect_uri], list(scopes)
            return row.uid

    def sign_in_link(self, username: str) -> str:
        """Make an address that signs a user in with a browser, once, within a day."""
        with self.instance.write() as session:
            return f"{self.url}/users/sign_in?once={link_of(session, _user(session, username))}"

    def seed_project(
        self, full_path: str, *, source: Path | None = None, default_branch: str = "main", visibility: str = "private"
    ) -> int:
        """Make a project if there is none, bring it up to an existing repository if one is given, and return its id."""
        with self.instance.write() as session:
            project = _project(session, full_path)
            if project is None:
                try:
                    project = new_project(
                        self.instance,
                        session,
                        full_path,
                        creator=None,
                        default_branch=default_branch,
                        visibility=visibility,
                    )
                except Refused as refused:
                    raise LocalForgeError(f"The project `{full_path}` cannot be made: {refused.body}") from refused
            if source is not None:
                self._fetch(session, project, source)
            return project.id

    def project_id(self, full_path: str) -> int:
        """Give the number of a project."""
        with self.instance.read() as session:
            project = _project(session, full_path)
            if project is None:
                raise LocalForgeError(f"There is no project `{full_path}`")
            return project.id

    def _fetch(self, session: Session, project: Project, source: Path) -> None:
        """Take over branches and tags of another repository, where ours can fast-forward."""
        repository = self.instance.repository(project)
        top = run_git(
            ["rev-parse", "--absolute-git-dir"], directory=source, home=self.settings.home, accept=frozenset({0, 128})
        )
        if top.returncode:
            raise LocalForgeError(f"`{source}` is not a git repository", hint="run `git init` there and commit")
        origin = Path(top.stdout.decode().removesuffix("\n"))
        repository.git(
            "fetch",
            "-q",
            "--no-write-fetch-head",
            # The source may belong to another user of this machine.
            "--upload-pack=git -c safe.directory='*' upload-pack",
            "--end-of-options",
            origin.as_uri(),
            "refs/heads/*:refs/heads/*",
            "refs/tags/*:refs/tags/*",
            accept=frozenset({0, 1}),
        )
        for merge_request in session.scalars(
            select(MergeRequest).where(MergeRequest.project_id == project.id, MergeRequest.state == "opened")
        ):
            refresh(self.instance, session, merge_request)
        branches = repository.refs()
        if project.default_branch not in branches:
            head = run_git(
                ["symbolic-ref", "-q", "--short", "HEAD"],
                directory=source,
                home=self.settings.home,
                accept=frozenset({0, 1}),
            )
            named = head.stdout.decode().strip()
            if branches and named not in branches:
                named = sorted(branches)[0]
            project.default_branch = named or project.default_branch
            repository.git("symbolic-ref", "HEAD", f"refs/heads/{project.default_branch}")
            protect_default(session, project)

    def seed_hook(self, full_path: str, *, name: str, url: str, token: str, events: Sequence[str]) -> None:
        """Make or change the project's webhook of this name."""
        with self.instance.write() as session:
            project = _project(session, full_path)
            if project is None:
                raise LocalForgeError(f"There is no project `{full_path}`")
            known = session.scalar(select(Hook).where(Hook.project_id == project.id, Hook.name == name))
            hook = known or Hook(project_id=project.id, name=name, uuid=str(uuid.uuid4()))
            hook.url, hook.token, hook.events = url, token, list(events)
            hook.enable_ssl_verification = True
            session.add(hook)

    def seed_member(self, full_path: str, username: str, access_level: int) -> None:
        """Give a user an access level in a project: 10, 20, 30, 40 or 50."""
        with self.instance.write() as session:
            user, project = _user(session, username), _project(session, full_path)
            if project is None:
                raise LocalForgeError(f"There is no project `{full_path}`")
            known = select(Member).where(Member.project_id == project.id, Member.user_id == user.id)
            member = session.scalar(known) or Member(project_id=project.id, user_id=user.id)
            member.access_level = access_level
            session.add(member)


def _user(session: Session, username: str) -> User:
    user = session.scalar(select(User).where(User.username == username))
    if user is None:
        raise LocalForgeError(f"There is no user `{username}`")
    return user


def _project(session: Session, full_path: str) -> Project | None:
    return session.scalar(select(Project).where(func.lower(Project.path_with_namespace) == full_path.lower()))
