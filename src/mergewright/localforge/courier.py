"""Delivering webhooks: in order for each hook, tried again when that fails."""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass

from anyio import to_thread
from sqlalchemy import select

from mergewright.localforge.instance import Instance
from mergewright.localforge.settings import VERSION
from mergewright.localforge.tables import Delivery, Hook

REASON_LIMIT = 500


@dataclass(frozen=True, slots=True)
class Parcel:
    """A delivery with what is needed to send it."""

    id: int
    url: str
    headers: Mapping[str, str]
    body: bytes
    verify: bool


class Courier:
    """Sends what waits in the deliveries table; a restart goes on where it stopped."""

    def __init__(self, instance: Instance) -> None:
        self.instance = instance
        self.wake = asyncio.Event()
        self.drains: dict[int, asyncio.Task[None]] = {}

    async def run(self) -> None:
        """Work until cancelled."""
        try:
            while True:
                self.wake.clear()
                for hook_id in await to_thread.run_sync(self._waiting):
                    running = self.drains.get(hook_id)
                    if running is None or running.done():
                        self.drains[hook_id] = asyncio.create_task(self._drain(hook_id))
                await self.wake.wait()
        finally:
            for task in self.drains.values():
                task.cancel()
            await asyncio.gather(*self.drains.values(), return_exceptions=True)

    def _waiting(self) -> list[int]:
        with self.instance.read() as session:
            return list(session.scalars(select(Delivery.hook_id).where(Delivery.state == "pending").distinct()))

    async def _drain(self, hook_id: int) -> None:
        while parcel := await to_thread.run_sync(self._next, hook_id):
            await self._deliver(parcel)

    def _next(self, hook_id: int) -> Parcel | None:
        with self.instance.read() as session:
            rows = select(Delivery).where(Delivery.hook_id == hook_id, Delivery.state == "pending")
            delivery = session.scalar(rows.order_by(Delivery.id).limit(1))
            hook = session.get(Hook, hook_id)
            if delivery is None or hook is None:
                return None
            headers = {
                "Content-Type": "application/json",
                "User-Agent": f"GitLab/{VERSION}",
                "X-Gitlab-Event": delivery.event,
                "X-Gitlab-Instance": self.instance.url,
                "X-Gitlab-Webhook-UUID": hook.uuid,
                "X-Gitlab-Event-UUID": delivery.event_uuid,
                "Idempotency-Key": delivery.idempotency_key,
            }
            if hook.token:
                headers["X-Gitlab-Token"] = hook.token
            body = json.dumps(delivery.payload, separators=(",", ":")).encode()
            return Parcel(delivery.id, hook.url, headers, body, hook.enable_ssl_verification)

    async def _deliver(self, parcel: Parcel) -> None:
        waits = self.instance.settings.hook_waits
        for attempt in range(len(waits) + 1):
            status, error = await self._send(parcel)
            arrived = status is not None and 200 <= status < 300
            last = attempt == len(waits)
            state = "delivered" if arrived else "failed" if last else "pending"
            await to_thread.run_sync(self._record, parcel.id, state, status, error)
            if arrived or last:
                return
            await asyncio.sleep(waits[attempt])

    async def _send(self, parcel: Parcel) -> tuple[int | None, str | None]:
        # Here, not above: the import is slow and a forge without webhooks never needs it.
        import httpx2

        timeout = self.instance.settings.hook_timeout
        # Reading the machine's certificates takes long: only where there is something to check with them.
        verify = parcel.verify and parcel.url.startswith("https:")
        try:
            # No proxy and no credentials of the machine's owner, and no redirect to somewhere else.
            async with httpx2.AsyncClient(trust_env=False, verify=verify, timeout=timeout) as client:
                answer = await client.post(parcel.url, content=parcel.body, headers=dict(parcel.headers))
        except (httpx2.HTTPError, httpx2.InvalidURL, OSError) as error:
            return None, f"{type(error).__name__}: {error}"[:REASON_LIMIT]
        return answer.status_code, None

    def _record(self, delivery_id: int, state: str, status: int | None, error: str | None) -> None:
        with self.instance.write() as session:
            row = session.get(Delivery, delivery_id)
            if row is not None:
                row.state, row.attempts = state, row.attempts + 1
                row.response_status, row.error = status, error
