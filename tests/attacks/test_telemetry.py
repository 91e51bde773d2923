"""Words of strangers in logs, numbers and traces.

Titles, names of tools that a model makes up, paths and headers are written by strangers. Whoever reads a log, a
dashboard or a trace trusts it: a forged line, a label for each guess, or code in a span would each be a way in.
"""

import io
import json
import logging
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from mergewright.app.ids import DerivedIds
from mergewright.app.logs import begin_logs, working_on
from mergewright.app.meters import Meters
from mergewright.app.settings import Settings, read_settings
from mergewright.app.spans import Spans, route_of
from mergewright.domain.session import JSON, Event, EventKind, Session, Subject

EVIL = 'x"} 1\nmergewright_forged 1\r\n\x1b]0;owned\x07\u202e2026-11-21T00:00:00.000Z ERROR forged'
SESSION = Session("0123456789ab", "developer", Subject("g/p", "#", 1), EVIL, "ann", "openai:x", turn=1)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return read_settings({"MERGEWRIGHT_HOME": str(tmp_path)})


@pytest.fixture
def written() -> Iterator[io.StringIO]:
    root, ours = logging.getLogger(), logging.getLogger("mergewright")
    before = (root.level, ours.level, list(root.handlers))
    yield io.StringIO()
    root.setLevel(before[0])
    ours.setLevel(before[1])
    root.handlers[:] = before[2]


def events(*told: tuple[EventKind, dict[str, JSON]]) -> list[Event]:
    return [
        Event(SESSION.id, seq, 1_000.0 + seq, 1, kind, "implement:1", data) for seq, (kind, data) in enumerate(told)
    ]


def called(name: str, **more: JSON) -> list[Event]:
    call = {"id": EVIL, "name": name, "arguments": {"command": "cat secret-code.py"}}
    result = {"id": EVIL, "name": name, "text": "secret-code", "ok": False, "seconds": 0.1, **more}
    error = {"message": "secret-code in a message", "hint": "", "kind": "ToolError"}
    return events((EventKind.TOOL_CALL, call), (EventKind.TOOL_RESULT, result), (EventKind.ERROR, error))


def test_a_tool_that_a_model_makes_up_names_no_metric_and_no_span() -> None:
    meters, exporter, ids = Meters(), InMemorySpanExporter(), DerivedIds()
    provider = TracerProvider(id_generator=ids, shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    spans = Spans(provider, ids, version="0")
    spans.begin(SESSION, [])
    for event in called(EVIL, fault="unknown tool"):
        meters.event(SESSION, event)
        spans.event(event)
    text = meters.text().decode()
    assert 'mergewright_tool_calls_total{outcome="error",tool="unknown"} 1.0' in text
    assert "forged" not in text
    made: tuple[ReadableSpan, ...] = exporter.get_finished_spans()
    assert [span.name for span in made] == ["execute_tool unknown"]
    assert "secret-code" not in "".join(span.to_json() for span in made)
    assert "\x1b" not in str([span.attributes for span in made])


def test_numbers_stay_one_line_each_whatever_flows_and_models_are_called() -> None:
    meters = Meters()
    for event in events((EventKind.USAGE, {"requests": 1, "input_tokens": 1, "output_tokens": 1, "seconds": 0.1})):
        meters.event(replace(SESSION, flow=EVIL, model=EVIL), event)
    lines = meters.text().decode().splitlines()
    assert not any(line.startswith("mergewright_forged") for line in lines)
    assert 'mergewright_model_requests_total{model="other"} 1.0' in lines


@pytest.mark.parametrize("form", ["text", "json"])
def test_a_subject_and_a_message_of_a_stranger_stay_on_their_line(
    form: str, settings: Settings, written: io.StringIO
) -> None:
    begin_logs(replace(settings, log=form), written)
    with working_on(replace(SESSION, flow=EVIL, subject=Subject(EVIL, "#", 1))):
        logging.getLogger("mergewright.x").warning("said: %s", EVIL, extra={EVIL: "1", "title": EVIL})
    lines = written.getvalue().splitlines()
    assert len(lines) == 1
    assert lines[0].isprintable()
    if form == "json":
        assert json.loads(lines[0])["level"] == "warning"


def test_a_path_that_holds_names_tells_none_of_them() -> None:
    for path in (
        "/projects/secret%2Fproject/merge_requests/7/notes",
        "/projects/12/repository/branches/secret-branch",
        "/projects/12/repository/files/secret.py/raw?ref=secret",
        "/projects/12/repository/commits/0123456789abcdef0123456789abcdef01234567",
        "/groups/secret/members/all/5",
        "/users?username=secret",
    ):
        assert "secret" not in route_of(path)
        assert not any(letter.isdigit() for letter in route_of(path))
