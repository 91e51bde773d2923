"""Delivering webhooks and the questions to status checks: in order for each, tried again when that fails."""

import asyncio
import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from anyio import to_thread
from sqlalchemy import select
from sqlalchemy.orm import Session

from mergewright.localforge.instance import Instance
from mergewright.localforge.settings import VERSION
from mergewright.localforge.tables import Delivery, Hook, StatusCheck, StatusCheckDelivery

REASON_LIMIT = 500


Kind = Literal["hook", "check"]
Line = tuple[Kind, int]
"""Whom the deliveries of one queue go to: a webhook or an external status check, by number."""
Waiting = Delivery | StatusCheckDelivery


@dataclass(frozen=True, slots=True)
class Parcel:
    """A delivery with what is needed to send it."""

    kind: Kind
    id: int
    url: str
    headers: Mapping[str, str]
    body: bytes
    verify: bool


class Courier:
    """Sends what waits in the deliveries tables; a restart goes on where it stopped."""

    def __init__(self, instance: Instance) -> None:
        self.instance = instance
        self.wake = asyncio.Event()
        self.drains: dict[Line, asyncio.Task[None]] = {}

    async def run(self) -> None:
        """Work until cancelled."""
        try:
            while True:
                self.wake.clear()
                for line in await to_thread.run_sync(self._waiting):
                    running = self.drains.get(line)
                    if running is None or running.done():
                        self.drains[line] = asyncio.create_task(self._drain(line))
                await self.wake.wait()
        finally:
            for task in self.drains.values():
                task.cancel()
            await asyncio.gather(*self.drains.values(), return_exceptions=True)

    def _waiting(self) -> list[Line]:
        hooks = select(Delivery.hook_id).where(Delivery.state == "pending").distinct()
        checks = select(StatusCheckDelivery.status_check_id).where(StatusCheckDelivery.state == "pending").distinct()
        with self.instance.read() as session:
            lines: list[Line] = [("hook", number) for number in session.scalars(hooks)]
            return [*lines, *(("check", number) for number in session.scalars(checks))]

    async def _drain(self, line: Line) -> None:
        while parcel := await to_thread.run_sync(self._next, line):
            await self._deliver(parcel)

    def _next(self, line: Line) -> Parcel | None:
        kind, number = line
        with self.instance.read() as session:
            return self._next_hook(session, number) if kind == "hook" else self._next_check(session, number)

    def _next_hook(self, session: Session, hook_id: int) -> Parcel | None:
        rows = select(Delivery).where(Delivery.hook_id == hook_id, Delivery.state == "pending")
        delivery = session.scalar(rows.order_by(Delivery.id).limit(1))
        hook = session.get(Hook, hook_id)
        if delivery is None or hook is None:
            return None
        headers = self._headers(delivery) | {
            "X-Gitlab-Event": delivery.event,
            "X-Gitlab-Webhook-UUID": hook.uuid,
            "X-Gitlab-Event-UUID": delivery.event_uuid,
        }
        if hook.token:
            headers["X-Gitlab-Token"] = hook.token
        return Parcel("hook", delivery.id, hook.url, headers, _body(delivery), hook.enable_ssl_verification)

    def _next_check(self, session: Session, check_id: int) -> Parcel | None:
        rows = select(StatusCheckDelivery).where(
            StatusCheckDelivery.status_check_id == check_id, StatusCheckDelivery.state == "pending"
        )
        delivery = session.scalar(rows.order_by(StatusCheckDelivery.id).limit(1))
        check = session.get(StatusCheck, check_id)
        if delivery is None or check is None:
            return None
        headers, body = self._headers(delivery), _body(delivery)
        if check.shared_secret:
            headers["X-Gitlab-Signature"] = hmac.digest(check.shared_secret.encode(), body, "sha256").hex()
        return Parcel("check", delivery.id, check.external_url, headers, body, verify=True)

    def _headers(self, delivery: Waiting) -> dict[str, str]:
        return {
            "Content-Type": "application/json",
            "User-Agent": f"GitLab/{VERSION}",
            "X-Gitlab-Instance": self.instance.url,
            "Idempotency-Key": delivery.idempotency_key,
        }

    async def _deliver(self, parcel: Parcel) -> None:
        waits = self.instance.settings.hook_waits
        for attempt in range(len(waits) + 1):
            status, error = await self._send(parcel)
            arrived = status is not None and 200 <= status < 300
            last = attempt == len(waits)
            state = "delivered" if arrived else "failed" if last else "pending"
            await to_thread.run_sync(self._record, parcel, state, status, error)
            if arrived or last:
                return
            await asyncio.sleep(waits[attempt])

    async def _send(self, parcel: Parcel) -> tuple[int | None, str | None]:
        # Here, not above: the import is slow and a forge without webhooks never needs it.
        import httpx2

        timeout = self.instance.settings.hook_timeout
        # Reading the machine's certificates takes long: only where there is something to check with them.
        verify = parcel.verify and not parcel.url.startswith("http:")
        try:
            # No proxy and no credentials of the machine's owner, and no redirect to somewhere else.
            async with httpx2.AsyncClient(trust_env=False, verify=verify, timeout=timeout) as client:
                answer = await client.post(parcel.url, content=parcel.body, headers=dict(parcel.headers))
        except (httpx2.HTTPError, httpx2.InvalidURL, OSError) as error:
            return None, f"{type(error).__name__}: {error}"[:REASON_LIMIT]
        return answer.status_code, None

    def _record(self, parcel: Parcel, state: str, status: int | None, error: str | None) -> None:
        with self.instance.write() as session:
            hook = session.get(Delivery, parcel.id) if parcel.kind == "hook" else None
            row = hook or (session.get(StatusCheckDelivery, parcel.id) if parcel.kind == "check" else None)
            if row is not None:
                row.state, row.attempts = state, row.attempts + 1
                row.response_status, row.error = status, error


def _body(delivery: Waiting) -> bytes:
    return json.dumps(delivery.payload, separators=(",", ":")).encode()
