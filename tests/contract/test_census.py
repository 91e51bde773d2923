"""What is counted in the database, on each kind of it."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from mergewright.app.meters import Meters
from mergewright.domain.review import Finding, FindingState, Place, Review, Severity, Verdict
from mergewright.domain.session import Event, EventKind, Session, Status, Subject
from mergewright.domain.trigger import Trigger, TriggerKind
from mergewright.store.census import Counting
from mergewright.store.reviews import SqlReviewStore
from mergewright.store.sql import SqlStore, open_store
from mergewright.store.triggers import SqlTriggerStore
from mergewright.store.workers import counted

SESSION = Session("", "developer", Subject.parse("g/p#1"), "goal", "ann", "openai:x", turn=1)


@pytest.fixture
async def store(database: str) -> AsyncIterator[SqlStore]:
    opened = open_store(database)
    yield opened
    await opened.close()


async def worked(store: SqlStore, session: Session, status: Status) -> None:
    await store.update(session.id, status=Status.RUNNING, turn=session.turn)
    used = {"requests": 1, "input_tokens": 100, "cached_tokens": 40, "output_tokens": 7, "cost": 0.5, "seconds": 2.0}
    await store.append(session.id, EventKind.USAGE, used, turn=session.turn, component="implement:1")
    for name, ok, more in (("read", True, {}), ("rm -rf", False, {"fault": "unknown tool"})):
        result = {"id": "1", "name": name, "text": "", "ok": ok, "seconds": 0.1, **more}
        await store.append(session.id, EventKind.TOOL_RESULT, result, turn=session.turn, component="implement:1")
    if status is Status.FAILED:
        error = {"message": "m", "hint": "", "kind": "ModelUnavailable"}
        await store.append(session.id, EventKind.ERROR, error, turn=session.turn)
    await store.update(session.id, status=status, reason="it is so")


async def test_each_event_is_counted_once_whoever_writes_it_and_none_from_before(
    store: SqlStore, database: str
) -> None:
    early = await store.create(SESSION)
    await worked(store, early, Status.FINISHED)
    await asyncio.sleep(0.01)
    counting, meters = Counting(store), Meters()
    other = open_store(database)
    for number, status in ((2, Status.FINISHED), (3, Status.FAILED)):
        session = await other.create(replace(SESSION, subject=Subject("g/p", "#", number)))
        await worked(other, session, status)
        await counting.read_on(meters.event)
        await counting.read_on(meters.event)
    again = replace(session, turn=2)
    await worked(other, again, Status.FINISHED)
    await counting.read_on(meters.event)
    await other.close()
    text = meters.text().decode()
    for line in (
        'mergewright_model_requests_total{model="openai:x"} 3.0',
        'mergewright_model_tokens_total{model="openai:x",type="input"} 180.0',
        'mergewright_model_tokens_total{model="openai:x",type="cached"} 120.0',
        'mergewright_model_tokens_total{model="openai:x",type="output"} 21.0',
        'mergewright_model_cost_dollars_total{model="openai:x"} 1.5',
        'mergewright_model_errors_total{kind="ModelUnavailable",model="openai:x"} 1.0',
        'mergewright_tool_calls_total{outcome="ok",tool="read"} 3.0',
        'mergewright_tool_calls_total{outcome="error",tool="unknown"} 3.0',
        'mergewright_session_turns_total{flow="developer",reason="finished",status="finished"} 2.0',
        'mergewright_session_turns_total{flow="developer",reason="ModelUnavailable",status="failed"} 1.0',
        'mergewright_session_turn_seconds_count{flow="developer",status="finished"} 2.0',
        'mergewright_model_request_seconds_sum{model="openai:x"} 6.0',
    ):
        assert line in text.splitlines()


async def test_a_log_of_any_length_is_read_to_its_end(store: SqlStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mergewright.store.census.PIECE", 10)
    counting = Counting(store)
    session = await store.create(SESSION)
    for number in range(35):
        await store.append(session.id, EventKind.PROGRESS, {"text": str(number)}, turn=1)
    seen: list[Event] = []
    await counting.read_on(lambda _, event: seen.append(event))
    assert [event.data["text"] for event in seen] == [str(number) for number in range(35)]


async def test_the_census_says_what_stands_and_what_waits(store: SqlStore, tmp_path: Path) -> None:
    for number, status in ((1, Status.RUNNING), (2, Status.FINISHED), (3, Status.FINISHED)):
        session = await store.create(replace(SESSION, subject=Subject("g/p", "#", number)))
        await store.update(session.id, status=status)
    reviews = SqlReviewStore(store, tmp_path / "audit.key")
    for number, verdict in ((1, Verdict.APPROVED), (2, Verdict.REQUESTED_CHANGES), (3, None)):
        await reviews.open_review(Review("", f"s{number}", "g/p", number, 1, "a" * 40, verdict=verdict))
    found = Finding("", "f", Place("a.py", 1), Severity.CRITICAL, "correctness", "A title", 'A body \0 "severity":"x"')
    await reviews.save_findings("g/p", 1, [found, replace(found, fingerprint="g", state=FindingState.DISMISSED)])
    triggers = SqlTriggerStore(store)
    await triggers.deliver("", [Trigger(TriggerKind.REVIEW, Subject("g/p", "!", 1), "ann", at=1_000_000.0)])
    async with counted(store):
        census = await Counting(store).census()
    assert census.sessions == {("developer", "running"): 1, ("developer", "finished"): 2}
    assert (census.triggers, census.oldest, census.workers) == ({"review": 1}, 1_000_000.0, 1)
    assert census.verdicts == {"approved": 1, "requested_changes": 1, "none": 1}
    assert census.findings == {("critical", "open"): 1, ("critical", "dismissed"): 1}
    assert (await Counting(store).census()).workers == 0, "it has gone, and said so"
    meters = Meters()
    meters.take(census)
    text = meters.text().decode().splitlines()
    assert 'mergewright_sessions{flow="developer",status="finished"} 2.0' in text
    assert 'mergewright_findings{severity="critical",state="open"} 1.0' in text
    assert 'mergewright_triggers_waiting{kind="review"} 1.0' in text
    assert "g/p" not in meters.text().decode()


def test_names_that_strangers_choose_cannot_fill_the_memory() -> None:
    meters = Meters()
    for number in range(500):
        meters.delivery(f"event {number}", "taken", 0.001)
        meters.request(f"VERB{number}", f"/path/{number}", 404, 0.001)
    meters.delivery("x\ny", "taken", 0.001)
    text = meters.text().decode()
    assert text.count("mergewright_webhook_deliveries_total{") <= 61
    assert text.count("mergewright_http_requests_total{") <= 200
    assert 'event="other"' in text
