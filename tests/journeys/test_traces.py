"""What a session's trace tells a collector, across processes, and what it never tells."""

import json
import os
import signal
import threading
import time
from typing import Any

import pytest

from mergewright.app.logs import trace_id
from tests.journeys.conftest import Serve
from tests.journeys.place import Place
from tests.journeys.test_resume import only_session
from tests.support.model_stub import Answer, Fault, ModelStub, call
from tests.support.otlp import Received, Receiver, receiver

SECRET_WORDS = "the-heron-stands-in-the-reed"
FILES = {"README.md": "# A project without tests\n"}
KEY = "a-key-of-no-known-shape-0815"


def writes(request: dict[str, Any]) -> Answer:
    """A model that writes two files, one call a reply."""
    if "edit" not in {tool["function"]["name"] for tool in request["tools"]}:
        return call("finish", {"outcome": "plan", "summary": f"Write {SECRET_WORDS}.", "tasks": ["Write"]})
    done = [c["function"]["arguments"] for m in request["messages"] for c in m.get("tool_calls") or ()]
    number = f"call_{len(done)}"
    for name in ("one", "two"):
        if not any(f"{name}.txt" in one for one in done):
            return call("write", {"path": f"{name}.txt", "content": f"{SECRET_WORDS} {name}\n"}, id=number)
    return call("finish", {"summary": "Write two files", "tests_run": [], "open_points": []}, id=number)


def env_of(stub: ModelStub, taken: Receiver, **more: str) -> dict[str, str]:
    return {
        "OPENAI_BASE_URL": stub.base_url,
        "OPENAI_API_KEY": KEY,
        "MERGEWRIGHT_MODEL": "openai:stub",
        "OTEL_EXPORTER_OTLP_ENDPOINT": taken.url,
        **more,
    }


@pytest.fixture(scope="module")
def place(serve_shared: Serve) -> Place:
    return serve_shared(FILES)


def open_issue(place: Place) -> str:
    return place.open_issue("Write two files", f"Write `one.txt` and `two.txt` with {SECRET_WORDS}.")


def parent_of(span: Received, spans: list[Received]) -> Received:
    (found,) = [one for one in spans if one.id == span.parent]
    return found


def test_a_session_that_was_killed_goes_on_in_its_trace_and_each_span_comes_once(serve: Serve) -> None:
    place = serve(FILES)
    issue, gone_on = open_issue(place), threading.Event()

    def slow(request: dict[str, Any]) -> Answer:
        answer = writes(request)
        if "two.txt" in json.dumps(answer):
            gone_on.wait(60)  # killed here, between two calls
        return answer

    with ModelStub(slow) as stub, receiver() as taken:
        env = env_of(stub, taken, OTEL_SERVICE_NAME="our-agents", OTEL_BSP_SCHEDULE_DELAY="50")
        process = place.spawn("develop", issue, env=env)
        ends = time.monotonic() + 60
        while not taken.named("execute_tool write") and time.monotonic() < ends:
            time.sleep(0.05)
        os.kill(process.pid, signal.SIGKILL)
        process.communicate(timeout=30)
        gone_on.set()
        before = len(taken.spans)
        assert before, "what had ended before the kill was sent"
        session = only_session(place)
        done = place.work("sessions", "resume", session, env=env)
        assert done.exit_code == 0, done.stderr
    spans = taken.spans
    assert {span.trace for span in spans} == {trace_id(session)}
    assert len({span.id for span in spans}) == len(spans)
    assert {span.resource["service.name"] for span in spans} == {"our-agents"}
    assert {span.attributes["mergewright.session.id"] for span in spans} == {session}

    root = taken.one("session developer")
    assert root.parent == ""
    assert root.attributes["mergewright.subject"] == issue
    assert root.attributes["mergewright.status"] == "finished"
    agent = taken.one("invoke_agent implement")
    assert parent_of(agent, spans) == root
    assert agent.attributes["gen_ai.operation.name"] == "invoke_agent"
    assert agent.start < spans[before].start, "it began in the process that was killed"
    for step in ("step prepare_workspace", "invoke_agent plan", "step open_merge_request"):
        assert parent_of(taken.one(step), spans) == root
    requests = taken.named("chat stub")
    assert {parent_of(span, spans).name for span in requests} == {"invoke_agent plan", "invoke_agent implement"}
    for span in requests:
        assert span.attributes["gen_ai.provider.name"] == "openai"
        assert span.attributes["gen_ai.request.model"] == "stub"
        assert span.attributes["gen_ai.usage.input_tokens"] >= 0
        assert span.end >= span.start
    tools = taken.named("execute_tool write")
    assert len(tools) == 2
    assert {parent_of(span, spans).name for span in tools} == {"invoke_agent implement"}
    opened = taken.one("POST /projects/:id/merge_requests")
    assert opened.attributes["http.response.status_code"] == 201
    assert parent_of(opened, spans).name == "step open_merge_request"
    assert all(span.start <= span.end for span in spans)


def test_no_prompt_code_token_or_key_is_in_a_trace_unless_it_was_asked_for(place: Place) -> None:
    issue = open_issue(place)
    with ModelStub(writes) as stub, receiver() as taken:
        assert place.develop(issue, env=env_of(stub, taken)).exit_code == 0
        assert taken.named("execute_tool write")
        for hidden in (SECRET_WORDS, "one.txt", "Write two files", KEY, *place.connection.values()):
            if len(hidden) > 8 and not hidden.startswith(("http", "mergewright")):
                assert hidden.encode() not in taken.bytes
    issue = open_issue(place)
    with ModelStub(writes) as stub, receiver() as taken:
        wanted = {"OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT": "true", "OTEL_EXPORTER_OTLP_HEADERS": "a=b%20c"}
        assert place.develop(issue, env=env_of(stub, taken, **wanted)).exit_code == 0
        (first, _) = taken.named("execute_tool write")
        assert SECRET_WORDS in first.attributes["gen_ai.tool.call.arguments"]
        assert KEY.encode() not in taken.bytes
        assert place.connection["bot_token"].encode() not in taken.bytes
        assert {headers["a"] for headers in taken.headers} == {"b c"}


def test_a_session_that_fails_says_so_and_its_second_turn_stays_in_the_trace(place: Place) -> None:
    issue = open_issue(place)
    with ModelStub([Fault(status=401)]) as stub, receiver() as taken:
        failed = place.develop(issue, env=env_of(stub, taken))
        assert failed.exit_code == 1
        root, agent = taken.one("session developer"), taken.one("invoke_agent plan")
        assert root.failed
        assert agent.failed
        assert root.attributes["error.type"] == agent.attributes["error.type"] == "ModelRefused"
        assert root.said == "ModelRefused", "the text of an error may quote what nobody is to read"
        with ModelStub(writes) as better:
            assert place.work("sessions", "resume", failed.told["session"], env=env_of(better, taken)).exit_code == 0
        first, second = taken.named("session developer")
        assert (second.trace, second.parent, second.failed) == (first.trace, first.id, False)
        assert second.attributes["mergewright.turn"] == 2
        assert len({span.id for span in taken.spans}) == len(taken.spans)


def test_a_collector_that_is_down_holds_up_no_command_for_long(place: Place) -> None:
    issue = open_issue(place)
    with ModelStub(writes) as stub, receiver() as gone:
        gone.close()
        began = time.monotonic()
        done = place.develop(issue, env=env_of(stub, gone))
        assert done.exit_code == 0
        assert time.monotonic() - began < 30


def test_without_an_address_nothing_of_it_is_loaded() -> None:
    import subprocess
    import sys

    code = (
        "import sys, mergewright.app.runtime, mergewright.app.telemetry\n"
        "print([name for name in sys.modules if name.startswith('opentelemetry')])"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "[]"
