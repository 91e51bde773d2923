"""A session's trace, made from its log: turn, component, model request, tool call, forge call.

Ids are derived from the session's id, so that a session that goes on in another process goes on in the same trace.
"""

import json
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from threading import Lock
from typing import TYPE_CHECKING

from mergewright.app.logs import scrub, session_at_work, trace_id
from mergewright.domain.session import JSON, Event, EventKind, Session, Status

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.util.types import AttributeValue

    from mergewright.app.ids import DerivedIds

MOST_CONTENT = 8_000
"""Characters of one text, where texts are wanted."""
PROVIDERS: Mapping[str, str] = {
    "google-gla": "gcp.gemini",
    "google-vertex": "gcp.vertex_ai",
    "azure": "azure.ai.openai",
    "bedrock": "aws.bedrock",
    "mistral": "mistral_ai",
    "openai-chat": "openai",
    "openai-responses": "openai",
}
"""The names that OpenTelemetry has for those who serve models, where they are not ours."""
_VARIABLE = re.compile(r"\d+|[0-9a-f]{7,64}|.*[%.].*", re.IGNORECASE)
_NAMED = frozenset({"projects", "groups", "branches", "protected_branches", "files", "commits", "tags", "members"})
_WORDS = frozenset({"all", "raw", "self"})


@dataclass(slots=True)
class _Turn:
    """A turn that is worked on here."""

    session: Session
    start: float
    components: dict[str, tuple[str, float]] = field(default_factory=dict)
    """What has begun and not ended: its kind, and since when."""
    latest: str = ""
    """The component that wrote to the log last: forge calls count as its own."""
    calls: dict[tuple[str, str], tuple[float, JSON]] = field(default_factory=dict)
    errors: dict[str, tuple[str, str]] = field(default_factory=dict)
    """The kind and the text of what went wrong in a component."""

    def key(self, component: str = "") -> str:
        """Name the span of the turn or of a component in it: its id is derived from that."""
        return f"turn {self.session.turn} {component}".rstrip()


class Spans:
    """Makes spans of what the log of a session tells while it is worked on in this process."""

    def __init__(
        self,
        provider: "TracerProvider",
        ids: "DerivedIds",
        *,
        version: str,
        content: bool = False,
        secrets: tuple[str, ...] = (),
    ) -> None:
        self._provider = provider
        self._tracer = provider.get_tracer("mergewright", version)
        self._ids = ids
        self._content = content
        self._secrets = secrets
        self._turns: dict[str, _Turn] = {}
        self._lock = Lock()

    def begin(self, session: Session, events: Sequence[Event]) -> None:
        """Make spans of this session from here on; `events` is what its log has of the turn already."""
        of_turn = [event for event in events if event.turn == session.turn]
        turn = _Turn(session, of_turn[0].at if of_turn else time.time())
        for event in of_turn:
            if event.kind is EventKind.COMPONENT:
                self._component(turn, event, known=True)
        self._turns[session.id] = turn

    def end(self, session: Session) -> None:
        """Make no more spans of it: where the log does not say that the turn ended, it has no span yet."""
        self._turns.pop(session.id, None)

    def event(self, event: Event) -> None:
        """Take what the log was just told."""
        turn = self._turns.get(event.session)
        if turn is None or event.turn != turn.session.turn:
            return
        if event.component and event.kind is not EventKind.COMPONENT:
            turn.latest = event.component
            turn.components.setdefault(event.component, ("", event.at))
        match event.kind:
            case EventKind.COMPONENT:
                self._component(turn, event)
            case EventKind.USAGE:
                self._request(turn, event)
            case EventKind.TOOL_CALL:
                turn.calls[event.component, str(event.data["id"])] = (event.at, event.data["arguments"])
            case EventKind.TOOL_RESULT:
                self._tool(turn, event)
            case EventKind.CHECK:
                self._check(turn, event)
            case EventKind.ERROR:
                error = (str(event.data.get("kind", "")) or "error", str(event.data["message"]))
                turn.errors[event.component] = turn.errors[""] = error
            case EventKind.STATUS:
                status = Status(event.data["status"])
                if status.ended or status.waiting:
                    self._turn(turn, event, status)

    def forge(self, verb: str, path: str, status: int, seconds: float) -> None:
        """Take an answer of the forge; it belongs to whatever session is worked on where it was asked."""
        session = session_at_work()
        turn = self._turns.get(session.id) if session else None
        if turn is None:
            return
        now, template = time.time(), route_of(path)
        attributes: dict[str, AttributeValue] = {"http.request.method": verb.upper(), "url.template": template}
        if status:
            attributes["http.response.status_code"] = status
        error = "" if 0 < status < 400 else str(status or "no_answer")
        self._emit(
            turn,
            f"{verb.upper()} {template}",
            now - seconds,
            now,
            attributes,
            under=turn.key(turn.latest),
            error=error,
            client=True,
        )

    def _component(self, turn: _Turn, event: Event, *, known: bool = False) -> None:
        if event.data["phase"] == "begin":
            turn.latest = event.component
            turn.components[event.component] = (str(event.data.get("type", "")), event.at)
        elif known:
            turn.components.pop(event.component, None)
        else:
            self._close(turn, event.component, event.at)

    def _close(self, turn: _Turn, component: str, at: float) -> None:
        kind, start = turn.components.pop(component, ("", at))
        if turn.latest == component:
            turn.latest = ""
        name = component.partition(":")[0]
        attributes: dict[str, AttributeValue] = {"mergewright.component": component}
        agent = kind == "AgentComponent"
        if agent:
            attributes |= {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": name}
        error, text = turn.errors.get(component, ("", ""))
        self._emit(
            turn, f"{'invoke_agent' if agent else 'step'} {name}", start, at, attributes,
            error=error, text=text, key=turn.key(component), under=turn.key(),
        )  # fmt: skip

    def _turn(self, turn: _Turn, event: Event, status: Status) -> None:
        for component in list(turn.components):
            self._close(turn, component, event.at)
        self._turns.pop(event.session, None)
        error, text = turn.errors.get("", ("failed", str(event.data["reason"])))
        attributes: dict[str, AttributeValue] = {
            "gen_ai.operation.name": "invoke_workflow",
            "gen_ai.workflow.name": turn.session.flow,
            "mergewright.subject": str(turn.session.subject),
            "mergewright.turn": event.turn,
            "mergewright.status": status.value,
        }
        self._emit(
            turn, f"session {turn.session.flow}", turn.start, event.at, attributes,
            error=error if status is Status.FAILED else "", text=text,
            key=turn.key(), under="turn 1" if event.turn > 1 else "",
        )  # fmt: skip

    def _request(self, turn: _Turn, event: Event) -> None:
        data, (provider, name) = event.data, provider_and_name(turn.session.model)
        attributes: dict[str, AttributeValue] = {
            "gen_ai.operation.name": "chat",
            "gen_ai.provider.name": provider,
            "gen_ai.request.model": name,
            "gen_ai.usage.input_tokens": int(data.get("input_tokens") or 0),
            "gen_ai.usage.output_tokens": int(data.get("output_tokens") or 0),
            "gen_ai.usage.cache_read.input_tokens": int(data.get("cached_tokens") or 0),
        }
        if data.get("cost") is not None:
            attributes["mergewright.cost"] = float(data["cost"])
        start = event.at - float(data.get("seconds") or 0)
        self._emit(turn, f"chat {name}", start, event.at, attributes, client=True, under=turn.key(event.component))

    def _tool(self, turn: _Turn, event: Event) -> None:
        data = event.data
        start, arguments = turn.calls.pop((event.component, str(data["id"])), (event.at, None))
        name = "unknown" if data.get("fault") == "unknown tool" else str(data["name"])
        attributes: dict[str, AttributeValue] = {
            "gen_ai.operation.name": "execute_tool",
            "gen_ai.tool.name": name,
            "gen_ai.tool.call.id": self._clean(str(data["id"]))[:100],
            "gen_ai.tool.type": "function",
        }
        if self._content:
            attributes["gen_ai.tool.call.arguments"] = self._clean(json.dumps(arguments))
            attributes["gen_ai.tool.call.result"] = self._clean(str(data["text"]))
        error = "" if data["ok"] else "tool_error"
        self._emit(
            turn, f"execute_tool {name}", start, event.at, attributes, error=error, under=turn.key(event.component)
        )

    def _check(self, turn: _Turn, event: Event) -> None:
        code = event.data.get("exit_code")
        attributes: dict[str, AttributeValue] = {} if code is None else {"process.exit.code": int(code)}
        if self._content:
            attributes["process.command_line"] = self._clean(str(event.data.get("command", "")))
        start = event.at - float(event.data.get("seconds") or 0)
        error = "" if code == 0 else "check_failed"
        self._emit(turn, "check", start, event.at, attributes, error=error, under=turn.key(event.component))

    def _emit(
        self,
        turn: _Turn,
        name: str,
        start: float,
        end: float,
        attributes: "dict[str, AttributeValue]",
        *,
        under: str,
        key: str = "",
        error: str = "",
        text: str = "",
        client: bool = False,
    ) -> None:
        """Make a span under another one; with a key, others find it as what they belong under."""
        from opentelemetry.context import Context
        from opentelemetry.sdk.trace.sampling import Decision
        from opentelemetry.trace import NonRecordingSpan, SpanContext, SpanKind, Status, StatusCode, TraceFlags
        from opentelemetry.trace.propagation import set_span_in_context

        trace = int(trace_id(turn.session.id), 16)
        context = Context()
        if under:
            # What is above has no span yet: whether it will be kept is decided by the trace's id alone.
            kept = self._provider.sampler.should_sample(None, trace, name).decision is Decision.RECORD_AND_SAMPLE
            flags = TraceFlags(TraceFlags.SAMPLED if kept else TraceFlags.DEFAULT)
            above = SpanContext(trace, span_id(turn.session.id, under), is_remote=True, trace_flags=flags)
            context = set_span_in_context(NonRecordingSpan(above), context)
        attributes |= {"mergewright.session.id": turn.session.id, "gen_ai.conversation.id": turn.session.id}
        if error:
            attributes["error.type"] = error
        with self._lock:
            self._ids.trace, self._ids.span = trace, span_id(turn.session.id, key) if key else 0
            span = self._tracer.start_span(
                name,
                context,
                kind=SpanKind.CLIENT if client else SpanKind.INTERNAL,
                attributes=attributes,
                start_time=_nanoseconds(min(start, end)),
            )
        if error:
            span.set_status(Status(StatusCode.ERROR, self._clean(text) if self._content and text else error))
        span.end(_nanoseconds(end))

    def _clean(self, text: str) -> str:
        return scrub(text[:MOST_CONTENT], self._secrets)


def span_id(session: str, key: str) -> int:
    """Give the id of a session's span that others belong under."""
    return int(sha256(f"mergewright session {session} {key}".encode()).hexdigest()[:16], 16)


def provider_and_name(model: str) -> tuple[str, str]:
    """Give who serves a model, as OpenTelemetry calls them, and its name there."""
    kind, _, name = model.partition(":")
    return PROVIDERS.get(kind, kind or "none"), name or kind or "none"


def route_of(path: str) -> str:
    """Give a path of the forge's API without names, numbers and queries: `/projects/:id/issues/:id`."""
    parts = path.partition("?")[0].strip("/").split("/")
    told = []
    for before, part in zip(["", *parts], parts, strict=False):
        variable = _VARIABLE.fullmatch(part) or (before in _NAMED and part not in _WORDS)
        told.append(":id" if variable or not part.replace("_", "").replace("-", "").isalpha() else part)
    return "/" + "/".join(told)


def _nanoseconds(seconds: float) -> int:
    return int(seconds * 1e9)
