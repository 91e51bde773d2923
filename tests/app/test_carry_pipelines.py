"""Which failed pipelines the developer works on: its own, the newest, each once, and not for ever."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from mergewright.domain.errors import MergewrightError
from mergewright.domain.session import EventKind, Session, Status, Subject
from mergewright.domain.trigger import Trigger, TriggerKind
from tests.app.errand import Errand, errand
from tests.review.stage import PROJECT, propose

CI = {".gitlab-ci.yml": "test:\n  script:\n    - 'false'\n"}
MINE = Subject(PROJECT, "!", 1)


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Errand]:
    async with errand(tmp_path) as made:
        await asyncio.to_thread(propose, made.stage, CI, by="developer-bot")
        yield made


def newest(place: Errand) -> int:
    return int(place.stage.api("GET", "/pipelines")[0]["id"])


async def head(place: Errand) -> str:
    return str((await place.shop.bot.merge_request(PROJECT, 1)).sha)


def failed(pipeline: int) -> Trigger:
    return Trigger(TriggerKind.PIPELINE, MINE, "developer-bot", pipeline=pipeline)


async def mended(place: Errand, session: Session, number: int) -> int:
    """End a session as one that pushed; gives the pipeline of its push."""
    await place.tell(
        session, EventKind.COMPONENT, {"phase": "end", "outputs": {"tool_responses": {"sha": await head(place)}}}
    )
    sha = await asyncio.to_thread(place.stage.push, {"a.py": f"A = {number}\n"})
    await place.tell(session, EventKind.FORGE, {"action": "push", "branch": "change", "sha": sha})
    await place.has(session, Status.RUNNING)
    await place.has(session, Status.FINISHED)
    return newest(place)


async def test_a_pipeline_that_was_answered_is_not_worked_on_again(place: Errand) -> None:
    pipeline = newest(place)
    session = await place.begun(failed(pipeline))
    assert session is not None
    assert (session.flow, session.subject, session.inputs["pipeline"]) == ("feedback", MINE, pipeline)
    await place.has(session, Status.FAILED)
    assert await place.begun(failed(pipeline)) is None


async def test_only_the_newest_commits_pipeline_is_worked_on(place: Errand) -> None:
    old = newest(place)
    await asyncio.to_thread(place.stage.push, {"a.py": "A = 1\n"})
    assert newest(place) != old
    assert await place.begun(failed(old)) is None
    assert await place.begun(failed(newest(place))) is not None


async def test_after_two_in_a_row_a_person_goes_on_until_they_push(place: Errand) -> None:
    pipeline = newest(place)
    for number in range(2):
        session = await place.begun(failed(pipeline))
        assert session is not None, number
        pipeline = await mended(place, session, number)
    with pytest.raises(MergewrightError, match="2 failed pipelines in a row were worked on already"):
        await place.begun(failed(pipeline))
    await asyncio.to_thread(place.stage.push, {"a.py": "A = 'a person was here'\n"})
    assert await place.begun(failed(newest(place))) is not None


async def test_a_push_of_a_person_between_two_begins_the_count_anew(place: Errand) -> None:
    pipeline = newest(place)
    for number in range(3):
        session = await place.begun(failed(pipeline))
        assert session is not None, number
        await mended(place, session, number)
        await asyncio.to_thread(place.stage.push, {"b.py": f"B = {number}\n"})
        pipeline = newest(place)


async def test_a_pipeline_of_a_branch_leads_to_the_merge_request_that_it_belongs_to(place: Errand) -> None:
    branch = Trigger(
        TriggerKind.PIPELINE, Subject(PROJECT, "", 0), "developer-bot", pipeline=newest(place), branch="change"
    )
    assert await place.begun(branch) is None
    assert [(one.subject, one.pipeline) for one in await place.kept()] == [(MINE, newest(place))]
