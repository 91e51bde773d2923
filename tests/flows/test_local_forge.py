"""The developer flow against the local forge, through the adapter for a real GitLab."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from mergewright.domain.session import JSON, Session, Status, Subject
from mergewright.flows.registry import Registry
from mergewright.flows.run import Runner
from mergewright.flows.world import FlowSettings, World
from mergewright.gitlab.reviewing import GitLabReviewForge
from mergewright.localforge.server import JobOrder, JobOutcome, LocalForge
from mergewright.localforge.settings import ForgeSettings
from mergewright.store.sql import SqlStore, open_store
from tests.flows.conftest import CALC
from tests.flows.conftest import seed as seed_repository
from tests.flows.scripts import CHECK, IMPLEMENT, PLAN, QUESTIONS
from tests.flows.stage import Conversations, Inline, Script, open_sandbox, says

PROJECT = "acme/calculator"


async def run_job(job: JobOrder, trace: object) -> JobOutcome:
    return JobOutcome(0, "")


@pytest.fixture
def served(tmp_path: Path) -> LocalForge:
    forge = LocalForge(ForgeSettings(tmp_path / "forge"), run_job=run_job)
    forge.seed_user("ann")
    forge.seed_user("wright", name="Wright", bot=True)
    return forge


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqlStore]:
    opened = open_store(tmp_path / "sessions.sqlite3")
    yield opened
    await opened.close()


def seed(served: LocalForge, tmp_path: Path, *, empty: bool, level: int = 30) -> None:
    source = None
    if not empty:
        source = tmp_path / "source"
        seed_repository(source, {**CALC, ".gitlab-ci.yml": f"unit tests:\n  script:\n    - {CHECK}\n"})
    served.seed_project(PROJECT, source=source)
    served.seed_member(PROJECT, "ann", 40)
    served.seed_member(PROJECT, "wright", level)


async def develop(
    served: LocalForge, store: SqlStore, tmp_path: Path, script: Script, *, description: str, **inputs: JSON
) -> tuple[Session, GitLabReviewForge]:
    served.start()
    people = GitLabReviewForge(served.url, served.seed_token("ann"))
    forge = GitLabReviewForge(served.url, served.seed_token("wright"))
    issue = await people.open_issue(PROJECT, title="Add subtraction", description=description)
    model = Conversations(script)
    world = World(
        forge,
        store,
        open_model=lambda session: model,
        open_sandbox=open_sandbox,
        settings=FlowSettings(tmp_path / "sessions", pipeline_patience=20),
    )
    subject = Subject(PROJECT, "#", issue.iid)
    session = await store.create(Session("", "developer", subject, str(subject), "ann", "scripted", inputs=inputs))
    steps = Inline()
    steps.turn = 1
    await Runner(world, Registry()).run_turn(session.id, 1, steps)
    return await store.session(session.id), forge


async def test_an_issue_on_the_local_forge_becomes_a_linked_draft_with_a_pipeline(
    served: LocalForge, store: SqlStore, tmp_path: Path
) -> None:
    seed(served, tmp_path, empty=False)
    script = {"plan:1": PLAN, "implement:1": IMPLEMENT}
    try:
        session, forge = await develop(served, store, tmp_path, script, description="`subtract` is missing.\n\n/close")
        assert session.status is Status.FINISHED, session.reason
        assert session.reason.startswith("opened !1; pipeline ")
        assert session.reason.endswith(": success")
        merge_request = await forge.merge_request(PROJECT, 1)
        assert merge_request.draft
        assert merge_request.description.startswith("Closes #1\n")
        assert merge_request.sha == await forge.branch(PROJECT, merge_request.source_branch)
        assert b"subtract" in (await forge.file(PROJECT, "calc.py", ref=merge_request.sha) or b"")
        notes = [note for thread in await forge.discussions(session.subject) for note in thread.notes]
        [ours] = [note for note in notes if not note.system and note.author.username == "wright"]
        assert merge_request.web_url in ours.body
        forge.close()
    finally:
        served.stop()


async def test_a_vague_issue_on_the_local_forge_gets_questions(
    served: LocalForge, store: SqlStore, tmp_path: Path
) -> None:
    seed(served, tmp_path, empty=False)
    try:
        session, forge = await develop(served, store, tmp_path, {"plan:1": QUESTIONS}, description="Make it better")
        assert session.status is Status.FINISHED, session.reason
        notes = [note for thread in await forge.discussions(session.subject) for note in thread.notes]
        assert "What should be better?" in notes[-1].body
        assert await forge.find_merge_request(PROJECT, source_branch="mergewright/1-add-subtraction") is None
        forge.close()
    finally:
        served.stop()


@pytest.mark.parametrize(("level", "refused"), [(30, True), (40, False)])
async def test_an_empty_repository_on_the_local_forge(
    served: LocalForge, store: SqlStore, tmp_path: Path, level: int, refused: bool
) -> None:
    seed(served, tmp_path, empty=True, level=level)
    write = [
        says("write", path="calc.py", content="def add(a, b):\n    return a + b\n"),
        says("finish", summary="Begin the calculator"),
        says("finish", summary="Begin the calculator"),
    ]
    script = {"plan:1": PLAN[1:], "implement:1": write}
    try:
        session, forge = await develop(served, store, tmp_path, script, description="A calculator that adds.")
        if refused:
            assert session.status is Status.FAILED
            assert "its first commit on `main` was refused" in session.reason
            assert await forge.branch(PROJECT, "main") is None
        else:
            assert session.status is Status.FINISHED, session.reason
            assert "**Unverified:** no check" in (await forge.merge_request(PROJECT, 1)).description
        forge.close()
    finally:
        served.stop()
