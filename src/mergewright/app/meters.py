"""What the server counts for Prometheus: of sessions from their logs, whoever works on them, and of itself."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from mergewright.domain.session import Event, EventKind, Session, Status

if TYPE_CHECKING:
    from mergewright.store.census import Census

NAMES = 60
"""Different values of one label: models, tools and flows may be named by anybody, and each costs memory for good."""
SECONDS = (0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
LONG = (1, 5, 15, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200)


class Meters:
    """Counters and gauges; their labels take values from short lists only, and never a project or a person."""

    def __init__(self) -> None:
        from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

        self.registry: CollectorRegistry = CollectorRegistry()
        self._known: dict[str, set[str]] = {}
        self._began: dict[str, float] = {}
        """When the turn began that a session is in."""
        self._errors: dict[str, str] = {}

        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(f"mergewright_{name}", text, labels, registry=self.registry)

        def gauge(name: str, text: str, *labels: str) -> Gauge:
            return Gauge(f"mergewright_{name}", text, labels, registry=self.registry)

        def histogram(name: str, text: str, *labels: str, buckets: tuple[float, ...] = SECONDS) -> Histogram:
            return Histogram(f"mergewright_{name}", text, labels, buckets=buckets, registry=self.registry)

        self.sessions = gauge("sessions", "Sessions that are kept, by where they stand.", "flow", "status")
        self.turns = counter(
            "session_turns", "Turns of sessions that ended or wait, by why.", "flow", "status", "reason"
        )
        self.turn_seconds = histogram("session_turn_seconds", "How long a turn took.", "flow", "status", buckets=LONG)
        self.requests = counter("model_requests", "Requests that a model answered.", "model")
        self.model_seconds = histogram("model_request_seconds", "How long a model took.", "model", buckets=LONG)
        self.tokens = counter("model_tokens", "Tokens, by what they were paid for.", "model", "type")
        self.cost = counter("model_cost_dollars", "US dollars, where the price is known.", "model")
        self.model_errors = counter("model_errors", "Sessions that a model's failure stopped.", "model", "kind")
        self.tools = counter("tool_calls", "Calls of tools.", "tool", "outcome")
        self.tool_seconds = histogram("tool_call_seconds", "How long a tool took.", "tool")
        self.checks = counter("checks", "Runs of the projects' own checks.", "outcome")
        self.forge = counter("forge_calls", "Requests of this process to the forge.", "method", "status")
        self.forge_seconds = histogram("forge_call_seconds", "How long the forge took.", "method")
        self.deliveries = counter("webhook_deliveries", "Deliveries of webhooks to this process.", "event", "outcome")
        self.delivery_seconds = histogram("webhook_delivery_seconds", "How long a delivery waited for its answer.")
        self.http = counter("http_requests", "Requests to this process.", "method", "route", "status")
        self.http_seconds = histogram("http_request_seconds", "How long an answer took.", "route")
        self.waiting = gauge("triggers_waiting", "Pieces of work that wait.", "kind")
        self.oldest = gauge("triggers_oldest_seconds", "How long the oldest of them has waited.")
        self.workers = gauge("workers", "Processes that take up work.")
        self.watchers = gauge("sse_watchers", "People who watch a session live from this process.")
        self.reviews = gauge("reviews", "Reviews that are kept, by their verdict.", "verdict")
        self.findings = gauge("findings", "Findings that are kept.", "severity", "state")

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Count somebody who watches a session live, for as long as they do."""
        self.watchers.inc()
        try:
            yield
        finally:
            self.watchers.dec()

    def forge_call(self, verb: str, path: str, status: int, seconds: float) -> None:
        """Take an answer of the forge; status 0 is none."""
        self.forge.labels(verb.upper(), str(status or "none")).inc()
        self.forge_seconds.labels(verb.upper()).observe(seconds)

    def delivery(self, event: str, outcome: str, seconds: float) -> None:
        """Take a delivery of a webhook and what it was answered."""
        self.deliveries.labels(self._bounded("event", event), outcome).inc()
        self.delivery_seconds.observe(seconds)

    def request(self, method: str, route: str, status: int, seconds: float) -> None:
        """Take an answered request; `route` is the template of its path."""
        self.http.labels(self._bounded("method", method), self._bounded("route", route), str(status)).inc()
        self.http_seconds.labels(self._bounded("route", route)).observe(seconds)

    def event(self, session: Session, event: Event) -> None:
        """Take one line of a session's log."""
        data, model = event.data, self._bounded("model", session.model)
        match event.kind:
            case EventKind.STATUS:
                self._status(session, event)
            case EventKind.USAGE:
                self.requests.labels(model).inc(data.get("requests") or 1)
                cached = data.get("cached_tokens") or 0
                self.tokens.labels(model, "input").inc(max((data.get("input_tokens") or 0) - cached, 0))
                self.tokens.labels(model, "cached").inc(cached)
                self.tokens.labels(model, "output").inc(data.get("output_tokens") or 0)
                self.cost.labels(model).inc(data.get("cost") or 0)
                if data.get("seconds") is not None:
                    self.model_seconds.labels(model).observe(data["seconds"])
            case EventKind.TOOL_RESULT:
                # A model may call what there is not, by any name.
                name = "unknown" if data.get("fault") == "unknown tool" else self._bounded("tool", str(data["name"]))
                self.tools.labels(name, "ok" if data["ok"] else "error").inc()
                self.tool_seconds.labels(name).observe(data.get("seconds") or 0)
            case EventKind.CHECK:
                self.checks.labels("passed" if data.get("exit_code") == 0 else "failed").inc()
            case EventKind.ERROR:
                kind = self._bounded("kind", str(data.get("kind") or "fault"))
                self._errors[session.id] = kind
                if kind.startswith(("Model", "ContextOverflow", "ReplayDiverged")):
                    self.model_errors.labels(model, kind).inc()

    def _status(self, session: Session, event: Event) -> None:
        status, flow = Status(event.data["status"]), self._bounded("flow", session.flow)
        if status is Status.RUNNING:
            self._began[session.id] = event.at
            self._errors.pop(session.id, None)
        elif status.ended or status.waiting:
            error = self._errors.pop(session.id, "other")
            reason = error if status is Status.FAILED else "asked" if status.waiting else status.value
            self.turns.labels(flow, status.value, reason).inc()
            if (began := self._began.pop(session.id, None)) is not None:
                self.turn_seconds.labels(flow, status.value).observe(max(event.at - began, 0.0))

    def take(self, census: "Census") -> None:
        """Set what is counted in the database as it is now."""
        for gauge in (self.sessions, self.waiting, self.reviews, self.findings):
            gauge.clear()
        for (flow, status), count in census.sessions.items():
            self.sessions.labels(self._bounded("flow", flow), status).inc(count)
        for kind, count in census.triggers.items():
            self.waiting.labels(kind).set(count)
        for verdict, count in census.verdicts.items():
            self.reviews.labels(verdict).set(count)
        for (severity, state), count in census.findings.items():
            self.findings.labels(severity, state).set(count)
        self.oldest.set(max(time.time() - census.oldest, 0.0) if census.oldest else 0.0)
        self.workers.set(census.workers)

    def text(self) -> bytes:
        """Give everything as Prometheus reads it."""
        from prometheus_client import generate_latest

        return generate_latest(self.registry)

    def _bounded(self, label: str, value: str) -> str:
        known = self._known.setdefault(label, set())
        if value not in known:
            if len(known) >= NAMES or not value.isprintable() or len(value) > 100:
                return "other"
            known.add(value)
        return value
