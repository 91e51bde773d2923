"""A stage for reviews: a real local forge, a real repository, a real store, and a model that follows a script."""

import json
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import httpx2

from mergewright.domain.agent import Limits, Message, Reply, Role, ToolCall, ToolSpec
from mergewright.domain.policy import Policy
from mergewright.domain.review import Analyzer, Candidate, Finding, Review, Severity
from mergewright.domain.sandbox import Sandbox
from mergewright.domain.session import JSON, Event, EventKind, Session, Subject, Usage
from mergewright.gitlab.reviewing import GitLabReviewForge
from mergewright.localforge.server import LocalForge
from mergewright.localforge.settings import ForgeSettings, Tier
from mergewright.review.answer import desk_for
from mergewright.review.override import Desk
from mergewright.review.run import review
from mergewright.review.world import ReviewSettings, ReviewWork, ReviewWorld
from mergewright.store.reviews import SqlReviewStore
from mergewright.store.sql import SqlStore, open_store
from tests.support.plain_sandbox import PlainSandbox

PROJECT = "team/shop"
BASE = {
    "shop/price.py": "def total(prices):\n    return sum(prices)\n\n\ndef first(prices):\n    return prices[0]\n",
    "README.md": "# Shop\n",
}
CHANGE = {
    "shop/price.py": "def total(prices):\n    return sum(prices)\n\n\ndef first(prices):\n    return prices[0]\n\n\n"
    "def mean(prices):\n    return total(prices) / len(prices)\n",
}
MEAN = "    return total(prices) / len(prices)"


def claim(quote: str = MEAN, **more: JSON) -> dict[str, JSON]:
    """A claim as a model makes it."""
    return {
        "path": "shop/price.py",
        "line": 10,
        "quote": quote,
        "severity": "critical",
        "category": "correctness",
        "title": "An empty list ends `mean` with a ZeroDivisionError",
        "body": "`mean([])` divides by zero. Expected: 0.",
        **more,
    }


class Minds:
    """A model by conversation: `find`, `sceptic`, `verify`, `requirements`, each with what `finish` is called with."""

    name = "scripted"

    def __init__(self, *found: Mapping[str, JSON]) -> None:
        self.found: Sequence[Mapping[str, JSON]] = found
        self.sceptic: Callable[[int], Mapping[str, JSON]] = lambda number: {"outcome": "keep", "reason": "it is so"}
        self.verify: Callable[[int], Mapping[str, JSON]] = lambda number: {"outcome": "open", "reason": "still there"}
        self.raw: Callable[[str, Sequence[Message]], Reply | None] = lambda conversation, messages: None
        """Answers before all others where it gives a reply."""
        self.requests: list[tuple[str, str]] = []
        """The conversation and the last message of each request."""
        self.talk = "An answer."

    async def reply(self, conversation: str, messages: Sequence[Message], tools: Sequence[ToolSpec]) -> Reply:
        self.requests.append((conversation, "\n".join(one.text for one in messages if one.role is Role.USER)))
        if (given := self.raw(conversation, messages)) is not None:
            return given
        kind = conversation.rpartition(".")[2].partition(":")[0]
        if kind == "answer":
            return Reply(Message(Role.ASSISTANT, self.talk), Usage(1, 10, 1))
        numbers = range(1, 1 + sum(line.startswith("Number ") for line in messages[1].text.split("\n")))
        answers: JSON = {
            "find": {"findings": list(self.found)},
            "requirements": {"findings": []},
            "sceptic": {"answers": [{"number": number, **self.sceptic(number)} for number in numbers]},
            "verify": {"answers": [{"number": number, **self.verify(number)} for number in numbers]},
        }[kind]
        return finish(answers)

    async def close(self) -> None:
        return None

    def asked(self, kind: str) -> list[str]:
        return [text for conversation, text in self.requests if conversation.rpartition(".")[2].startswith(kind)]


def finish(answer: Mapping[str, JSON]) -> Reply:
    return Reply(Message(Role.ASSISTANT, "", (ToolCall("c1", "finish", json.dumps(answer)),)), Usage(1, 100, 10))


@dataclass
class Lint:
    """An analyzer that reports what it was told to, on files that hold a word."""

    found: list[Candidate] = field(default_factory=list)
    word: str = "len(prices)"
    name: str = "lint"

    def reads(self, path: str) -> bool:
        return path.endswith(".py")

    async def run(self, sandbox: Sandbox, paths: Sequence[str]) -> Sequence[Candidate]:
        found = []
        for path in paths:
            for number, line in enumerate((sandbox.root / path).read_text("utf-8", "replace").splitlines(), start=1):
                if self.word in line:
                    found.append(
                        Candidate(
                            path, number, Severity.CRITICAL, "correctness", "It divides", "By `len`.", quote=line,
                            source="lint", rule="L1",
                        )
                    )  # fmt: skip
        return [*found, *self.found]


@dataclass
class Stage:
    """A merge request on a local forge, and everything that reviews it."""

    folder: Path
    served: LocalForge
    store: SqlStore
    reviews: SqlReviewStore
    forge: GitLabReviewForge
    work_tree: Path
    tokens: dict[str, str]
    mind: Minds | None
    analyzers: list[Analyzer] = field(default_factory=list)
    window: int = 32_000
    runs: int = 0

    @property
    def subject(self) -> Subject:
        return Subject(PROJECT, "!", 1)

    def git(self, *arguments: str) -> str:
        identity = ("-c", "user.name=Ann", "-c", "user.email=ann@example.com", "-c", "commit.gpgsign=false")
        done = subprocess.run(
            ["git", *identity, *arguments], cwd=self.work_tree, capture_output=True, text=True, check=True
        )
        return done.stdout.strip()

    def push(self, files: Mapping[str, str | bytes | None], *, message: str = "Change") -> str:
        """Write files, None takes one away, and push the branch of the merge request."""
        for name, text in files.items():
            target = self.work_tree / name
            if text is None:
                target.unlink()
                continue
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(text if isinstance(text, bytes) else text.encode())
        self.git("add", "--all")
        self.git("commit", "-q", "--allow-empty", "-m", message)
        return self.publish()

    def publish(self) -> str:
        url = self.served.url.replace("http://", f"http://x:{self.tokens['ann']}@")
        self.git("push", "-q", "--force", f"{url}/{PROJECT}.git", "HEAD:change")
        return self.git("rev-parse", "HEAD")

    def api(self, verb: str, path: str, *, by: str = "ann", **body: Any) -> Any:
        """Ask the forge as a person would, without the adapter."""
        answer = httpx2.request(
            verb,
            f"{self.served.url}/api/v4/projects/team%2Fshop{path}",
            headers={"PRIVATE-TOKEN": self.tokens[by]},
            json=body or None,
            trust_env=False,
            timeout=30,
            verify=False,
        )
        assert answer.is_success, f"{verb} {path}: {answer.status_code} {answer.text}"
        return answer.json() if answer.content else None

    def merge_request(self) -> Any:
        return self.api("GET", "/merge_requests/1")

    def threads(self) -> list[Any]:
        """The reviewer's threads on the diff."""
        found = self.api("GET", "/merge_requests/1/discussions?per_page=100")
        # The forge itself notes in a thread when its line has changed.
        said = [{**one, "notes": [note for note in one["notes"] if not note["system"]]} for one in found]
        return [one for one in said if one["notes"] and "finding." in one["notes"][0]["body"]]

    def notes(self, word: str = "") -> list[str]:
        found = self.api("GET", "/merge_requests/1/notes?sort=asc&per_page=100")
        return [one["body"] for one in found if not one["system"] and word in one["body"]]

    def summaries(self) -> list[str]:
        return [note for note in self.notes() if "mergewright:review." in note]

    def say(self, text: str, *, by: str = "ann", thread: str = "") -> int:
        """Write a note, or an answer in a thread; gives its id."""
        path = f"/merge_requests/1/discussions/{thread}/notes" if thread else "/merge_requests/1/notes"
        return int(self.api("POST", path, by=by, body=text)["id"])

    def world(self) -> ReviewWorld:
        mind = self.mind
        return ReviewWorld(
            forge=self.forge,
            store=self.store,
            reviews=self.reviews,
            open_model=None if mind is None else lambda: mind,
            open_sandbox=PlainSandbox,
            open_analysis=PlainSandbox,
            analyzers=lambda policy, paths: self.analyzers,
            settings=ReviewSettings(self.folder / "mirrors", window=self.window, limits=Limits()),
            developer="developer-bot",
        )

    async def review(self, *, session: Session | None = None, explicit: bool = True) -> Review:
        """Review the newest head, as a session of its own unless one is given to go on with."""
        self.runs += 1
        name = f"s{self.runs}"
        session = session or await self.store.create(
            Session(
                "", f"code_review_{name}", self.subject, "", "ann", "scripted", turn=1, inputs={"explicit": explicit}
            )
        )

        async def emit(kind: EventKind, data: Mapping[str, JSON]) -> Event:
            return await self.store.append(session.id, kind, data, turn=1, component="review:1")

        return await review(ReviewWork(self.world(), session, self.folder / session.id, emit))

    async def findings(self) -> Sequence[Finding]:
        return await self.reviews.findings(PROJECT, 1)

    async def policy(self, **values: JSON) -> None:
        """Set values of the project's policy."""
        from mergewright.app.records import set_policy

        await set_policy(self.reviews, PROJECT, values, actor="ann", reason="for the test")

    async def desk(self) -> Desk:
        return await desk_for(self.world(), self.subject)

    async def close(self) -> None:
        await self.store.close()
        self.forge.close()
        self.served.stop()


def open_stage(
    folder: Path, *, tier: Tier = "premium", mind: Minds | None = None, base: Mapping[str, str | bytes] = BASE
) -> Stage:
    """Start a forge with a project in which ann is Maintainer, bob Developer and rita Reporter."""
    work_tree = folder / "clone"
    work_tree.mkdir(parents=True)
    served = LocalForge(ForgeSettings(folder / "forge", tier=tier))
    served.start()
    tokens = {}
    levels = {"ann": 40, "bob": 30, "rita": 20, "reviewer": 30, "developer-bot": 30}
    for name in levels:
        served.seed_user(name, bot=name in {"reviewer", "developer-bot"})
        tokens[name] = served.seed_token(name)
    store = open_store(folder / "m.sqlite3")
    stage = Stage(
        folder,
        served,
        store,
        SqlReviewStore(store, folder / "audit.key"),
        GitLabReviewForge(served.url, tokens["reviewer"], brief=True, retries=1, patience=5.0),
        work_tree,
        tokens,
        mind,
    )
    stage.git("init", "-q", "--initial-branch=main")
    for name, text in base.items():
        target = work_tree / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(text if isinstance(text, bytes) else text.encode())
    stage.git("add", "--all")
    stage.git("commit", "-q", "-m", "Base")
    served.seed_project(PROJECT, source=work_tree)
    for name, level in levels.items():
        served.seed_member(PROJECT, name, level)
    stage.git("checkout", "-q", "-b", "change")
    return stage


def propose(
    stage: Stage, files: Mapping[str, str | bytes | None] | None = None, *, by: str = "ann", **more: Any
) -> Stage:
    """Push a change and open its merge request."""
    stage.push(CHANGE if files is None else files)
    body = {"title": "Add a mean", "description": "", **more}
    stage.api("POST", "/merge_requests", by=by, source_branch="change", target_branch="main", **body)
    return stage


def policy(**values: Any) -> Policy:
    return replace(Policy(), **values)
