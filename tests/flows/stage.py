"""A stage for flows: a forge on a bare repository, a real store, real sandboxes, a model that follows a script."""

import json
import subprocess
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import cast

from mergewright.domain.agent import Message, Reply, Role, ToolCall, ToolSpec
from mergewright.domain.approval import ReviewForge
from mergewright.domain.errors import Forbidden, NotFound
from mergewright.domain.forge import (
    AccessLevel,
    Discussion,
    ForgeStatus,
    Issue,
    Job,
    MergeRequest,
    Note,
    Pipeline,
    Project,
    Remote,
    User,
)
from mergewright.domain.sandbox import Sandbox
from mergewright.domain.session import JSON, Event, EventKind, Session, Status, Store, Subject, Usage
from mergewright.flows.registry import Registry
from mergewright.flows.run import Runner
from mergewright.flows.world import FlowSettings, Workspace, World
from mergewright.sandbox.bubblewrap import Bubblewrap
from mergewright.sandbox.settings import SandboxSettings

BOT = User(1, "wright", "Wright", bot=True)
ANN = User(2, "ann", "Ann")
PROJECT = "group/project"
SUBJECT = Subject(PROJECT, "#", 7)


def git(folder: Path, *arguments: str) -> str:
    """Run the real git on a repository of the test's own."""
    who = {"GIT_AUTHOR_NAME": "Ann", "GIT_AUTHOR_EMAIL": "ann@example.com"}
    who |= {
        "GIT_COMMITTER_NAME": "Ann",
        "GIT_COMMITTER_EMAIL": "ann@example.com",
        "PATH": "/usr/local/bin:/usr/bin:/bin",
    }
    done = subprocess.run(["git", *arguments], cwd=folder, env=who, capture_output=True, text=True, check=True)
    return done.stdout.strip()


@dataclass
class SmallForge:
    """The Forge protocol on one bare repository and a few lists."""

    bare: Path
    title: str = "Add subtraction"
    description: str = "`subtract(a, b)` is missing in `calc.py`."
    notes: list[tuple[User, str]] = field(default_factory=list)
    written: list[tuple[str, str]] = field(default_factory=list)
    """Mark and text of our own notes."""
    merge_requests: list[MergeRequest] = field(default_factory=list)
    pipeline_states: list[str] = field(default_factory=list)
    """What the next looks at a pipeline see; the last one stays. Empty for no pipeline."""
    protected_when_empty: bool = False
    state: str = "opened"
    confidential: bool = False
    visibility: str = "private"
    internal_notes: list[str] = field(default_factory=list)
    asked_levels: list[int] = field(default_factory=list)
    after: Callable[[str], None] = lambda name: None
    """Called behind each write, before its answer gets through."""
    before: Callable[[str], None] = lambda name: None
    """Called before each request."""

    async def status(self) -> ForgeStatus:
        return ForgeStatus("https://forge.example", "19.5", BOT, ("api",))

    async def project(self, path: str) -> Project:
        if path != PROJECT:
            raise NotFound(f"there is no project `{path}`")
        empty = git(self.bare, "for-each-ref") == ""
        url = "https://forge.example/group/project"
        return Project(3, PROJECT, "main", url, "", empty_repo=empty, visibility=self.visibility)

    async def access_level(self, project: str, user_id: int) -> AccessLevel:
        self.asked_levels.append(user_id)
        return AccessLevel.DEVELOPER if user_id in {BOT.id, ANN.id} else AccessLevel.NONE

    async def remote(self, project: str) -> Remote:
        if self.protected_when_empty and git(self.bare, "for-each-ref") == "":
            hook = self.bare / "hooks" / "pre-receive"
            hook.write_text(
                "#!/bin/sh\necho 'GitLab: You are not allowed to push code to protected branches' >&2\nexit 1\n"
            )
            hook.chmod(0o755)
        return Remote(self.bare.as_uri(), "oauth2", "secret")

    async def branch(self, project: str, name: str) -> str | None:
        return git(self.bare, "for-each-ref", "--format=%(objectname)", f"refs/heads/{name}") or None

    async def file(self, project: str, path: str, *, ref: str) -> bytes | None:
        return git(self.bare, "show", f"{ref}:{path}").encode()

    async def issue(self, project: str, iid: int) -> Issue:
        self.before("issue")
        url = "https://forge.example/i/7"
        told = Issue(9, iid, project, self.title, self.description, self.state, ANN, url)
        return replace(told, confidential=self.confidential)

    async def open_issue(self, project: str, *, title: str, description: str) -> Issue:
        raise Forbidden("not here")

    async def discussions(self, subject: Subject) -> Sequence[Discussion]:
        notes = [Note(n, body, author) for n, (author, body) in enumerate(self.notes, 100)]
        system = Note(99, "changed the description", ANN, system=True)
        internal = [Note(n, body, ANN, internal=True) for n, body in enumerate(self.internal_notes, 150)]
        return [Discussion(str(note.id), (note,)) for note in (system, *notes, *internal)]

    async def add_note(self, subject: Subject, body: str, *, mark: str) -> Note:
        self.before("add_note")
        if mark not in [known for known, _ in self.written]:
            self.written.append((mark, body))
        self.after("add_note")
        return Note(200 + len(self.written), body, BOT, web_url="https://forge.example/n")

    async def merge_request(self, project: str, iid: int) -> MergeRequest:
        return self.merge_requests[iid - 1]

    async def find_merge_request(self, project: str, *, source_branch: str) -> MergeRequest | None:
        return next((mr for mr in self.merge_requests if mr.source_branch == source_branch), None)

    async def open_merge_request(
        self, project: str, *, source_branch: str, target_branch: str, title: str, description: str
    ) -> MergeRequest:
        self.before("open_merge_request")
        known = await self.find_merge_request(project, source_branch=source_branch)
        if known:
            return known
        iid = len(self.merge_requests) + 1
        url = f"https://forge.example/group/project/-/merge_requests/{iid}"
        made = MergeRequest(
            iid, iid, project, title, description, "opened", title.startswith("Draft:"), source_branch, target_branch,
            await self.branch(project, source_branch) or "", BOT, url,
        )  # fmt: skip
        self.merge_requests.append(made)
        self.after("open_merge_request")
        return made

    async def update_merge_request(
        self, project: str, iid: int, *, title: str | None = None, description: str | None = None
    ) -> MergeRequest:
        self.before("update_merge_request")
        known = self.merge_requests[iid - 1]
        changed = replace(known, title=title or known.title, description=description or known.description)
        self.merge_requests[iid - 1] = changed
        self.after("update_merge_request")
        return changed

    async def pipelines(self, project: str, *, sha: str) -> Sequence[Pipeline]:
        self.before("pipelines")
        if not self.pipeline_states:
            return []
        state = self.pipeline_states.pop(0) if len(self.pipeline_states) > 1 else self.pipeline_states[0]
        return [Pipeline(5, state, "branch", sha, "https://forge.example/p/5")] if state != "absent" else []

    async def pipeline(self, project: str, pipeline_id: int) -> Pipeline:
        return Pipeline(pipeline_id, "failed", "branch", "", "https://forge.example/p/5")

    async def jobs(self, project: str, pipeline_id: int) -> Sequence[Job]:
        return [Job(6, "unit tests", "test", "failed", ""), Job(7, "lint", "test", "success", "")]

    async def job_trace(self, project: str, job_id: int) -> str:
        return "E   assert 3 == 4\n"


Script = Mapping[str, Sequence[Reply | Exception]]


class Conversations:
    """A model with one list of replies for each conversation; a request is answered by how far its own has come."""

    name = "scripted"

    def __init__(self, script: Script) -> None:
        self.script = script
        self.requests: list[tuple[str, tuple[Message, ...], tuple[ToolSpec, ...]]] = []

    async def reply(self, conversation: str, messages: Sequence[Message], tools: Sequence[ToolSpec]) -> Reply:
        self.requests.append((conversation, tuple(messages), tuple(tools)))
        number = sum(message.role is Role.ASSISTANT for message in messages)
        replies = self.script.get(conversation, ())
        assert number < len(replies), f"`{conversation}` has no reply {number}; last: {messages[-1].text}"
        answer = replies[number]
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def close(self) -> None:
        return None

    def first(self, conversation: str) -> tuple[str, str]:
        """The system's and the first user's message of a conversation."""
        messages = next(messages for name, messages, _ in self.requests if name == conversation)
        return messages[0].text, messages[1].text


def says(name: str, **arguments: JSON) -> Reply:
    """A reply with one tool call."""
    call = ToolCall(f"call_{name}", name, json.dumps(arguments))
    return Reply(Message(Role.ASSISTANT, "", (call,)), Usage(requests=1, input_tokens=100, output_tokens=10))


class Inline:
    """Steps that run at once and are kept, as an engine keeps them; shared by the turns of one test."""

    def __init__(self) -> None:
        self.kept: dict[tuple[int, str], str] = {}
        self.ran: list[str] = []
        self.turn = 0

    async def step(self, name: str, run: Callable[[], Awaitable[JSON]]) -> JSON:
        key = (self.turn, name)
        if key not in self.kept:
            self.ran.append(name)
            self.kept[key] = json.dumps(await run())
        return json.loads(self.kept[key])


@dataclass
class Stage:
    """Everything that a test of a flow needs."""

    forge: SmallForge
    store: Store
    model: Conversations
    world: World
    steps: Inline = field(default_factory=Inline)
    registry: Registry = field(default_factory=Registry)
    session_id: str = "s1"

    async def begin(
        self, flow: str = "developer", *, subject: Subject = SUBJECT, goal: str = "", **inputs: JSON
    ) -> None:
        session = Session("", flow, subject, goal or str(subject), "ann", "scripted", inputs=inputs)
        self.session_id = (await self.store.create(replace(session, id=self.session_id))).id

    async def run(self, turn: int = 1) -> Session:
        """Run one turn and give the session as it stands then."""
        self.steps.turn = turn
        await Runner(self.world, self.registry).run_turn(self.session_id, turn, self.steps)
        return await self.store.session(self.session_id)

    async def answer(self, approval: str, reason: str = "") -> None:
        """Answer as a person does, between two turns."""
        data = {"approval": approval, "by": "ann", "reason": reason}
        await self.store.append(self.session_id, EventKind.APPROVAL, data, turn=1)

    async def events(self, *kinds: EventKind) -> Sequence[Event]:
        return await self.store.events(self.session_id, kinds=kinds)

    @property
    def merge_request(self) -> MergeRequest:
        assert len(self.forge.merge_requests) == 1
        return self.forge.merge_requests[0]

    def show(self, path: str) -> str:
        """A file as it stands on the merge request's branch."""
        return git(self.forge.bare, "show", f"{self.merge_request.source_branch}:{path}")

    def branches(self) -> list[str]:
        return git(self.forge.bare, "for-each-ref", "--format=%(refname:short)").splitlines()


def open_sandbox(workspace: Workspace) -> Sandbox:
    # Scripts edit faster than Python's caches can tell: two edits in one second may leave size and time the same.
    settings = SandboxSettings(environment={"PYTHONDONTWRITEBYTECODE": "1"})
    return Bubblewrap(workspace.work_tree, outputs=workspace.outputs, git_dir=workspace.git_dir, settings=settings)


def make_world(tmp_path: Path, forge: SmallForge, store: Store, model: Conversations, **settings: JSON) -> World:
    """Tie a stage together as the product ties its adapters."""
    clock = [1_700_000_000.0]

    async def sleep(seconds: float) -> None:
        clock[0] += seconds

    return World(
        # A developer's flow asks nothing of a reviewer's forge.
        forge=cast(ReviewForge, forge),
        store=store,
        open_model=lambda session: model,
        open_sandbox=open_sandbox,
        settings=FlowSettings(sessions=tmp_path / "sessions", **settings),
        clock=lambda: clock[0],
        sleep=sleep,
    )


ENDED = {Status.FINISHED, Status.FAILED, Status.STOPPED}
