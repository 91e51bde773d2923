"""Traces of sessions by OpenTelemetry: nothing of it is loaded unless there is somewhere to send them."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from mergewright import __version__
from mergewright.app.logs import secrets_of, working_on
from mergewright.app.settings import Settings
from mergewright.domain.errors import WrongUse
from mergewright.domain.session import EventKind, Session

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SpanExporter

    from mergewright.app.spans import Spans
    from mergewright.gitlab.forge import GitLabForge
    from mergewright.store.sql import SqlStore

log = logging.getLogger("mergewright.session")
LAST = 2.0
"""Seconds in which the last spans must be gone when the process ends."""


class Telemetry:
    """What watches the sessions that are worked on in this process."""

    def __init__(self, store: "SqlStore", spans: "Spans | None" = None) -> None:
        self._store = store
        self._spans = spans

    @asynccontextmanager
    async def working(self, session: Session) -> AsyncIterator[None]:
        """Name the session in the log and make spans of what is done meanwhile."""
        with working_on(session):
            log.info("the turn begins", extra={"turn": session.turn})
            if self._spans is not None:
                kinds = (EventKind.STATUS, EventKind.COMPONENT)
                self._spans.begin(session, await self._store.events(session.id, kinds=kinds))
            try:
                yield
            finally:
                if self._spans is not None:
                    self._spans.end(session)
            stands = (await self._store.session(session.id)).status
            log.info("the turn is over", extra={"turn": session.turn, "status": stands.value})


@asynccontextmanager
async def open_telemetry(settings: Settings, store: "SqlStore", *forges: "GitLabForge") -> AsyncIterator[Telemetry]:
    """Watch a store and forges; what is still to be sent at the end gets a little time for it."""
    if not settings.otlp_endpoint:
        yield Telemetry(store)
        return
    provider, exporter, spans = await asyncio.to_thread(_open, settings)
    store.watchers.append(spans.event)
    for forge in forges:
        forge.watchers.append(spans.forge)
    try:
        yield Telemetry(store, spans)
    finally:
        store.watchers.remove(spans.event)
        for forge in forges:
            forge.watchers.remove(spans.forge)
        ending = asyncio.ensure_future(asyncio.to_thread(provider.shutdown))
        if not (await asyncio.wait({ending}, timeout=LAST))[0]:
            # A collector that is down is tried again and again: this ends the wait between two tries.
            exporter.shutdown()
        await ending


def _open(settings: Settings) -> "tuple[TracerProvider, SpanExporter, Spans]":
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_VERSION, Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor
    from opentelemetry.util.re import parse_env_headers

    from mergewright.app.ids import DerivedIds
    from mergewright.app.spans import Spans

    if not settings.otlp_endpoint.startswith(("http://", "https://")):
        raise WrongUse(
            f"traces cannot be sent to `{settings.otlp_endpoint}`",
            hint="as in OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:4318",
        )
    headers = parse_env_headers(settings.otlp_headers, liberal=True) if settings.otlp_headers else None
    # A name or an attribute that the standard variables give goes before ours.
    resource = Resource.create({SERVICE_VERSION: __version__})
    if str(resource.attributes.get(SERVICE_NAME, "")).startswith("unknown_service"):
        resource = resource.merge(Resource({SERVICE_NAME: "mergewright"}))
    ids = DerivedIds()
    provider = TracerProvider(resource=resource, id_generator=ids, shutdown_on_exit=False)
    exporter = OTLPSpanExporter(settings.otlp_endpoint, headers=headers)
    provider.add_span_processor(BatchSpanProcessor(exporter))
    content, secrets = settings.trace_content, secrets_of(settings)
    return provider, exporter, Spans(provider, ids, version=__version__, content=content, secrets=secrets)
