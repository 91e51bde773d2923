"""A server without a worker beside a real local forge: sessions are begun and answered, and nothing works on them."""

import asyncio
from pathlib import Path
from typing import Any

import httpx2

from mergewright.domain.session import EventKind, Status
from mergewright.server.serving import Server
from mergewright.store.sql import SqlStore, open_store
from mergewright.store.triggers import SqlTriggerStore
from tests.journeys.place import recorded
from tests.review.stage import PROJECT, propose
from tests.server.test_serving import Place

SESSIONS = "/api/v1/sessions"


class Desk:
    """The server without a worker, the store under it, and an issue for each test."""

    def __init__(self, place: Place) -> None:
        self.place = place
        place.server.stop()
        place.server = Server(place.settings, port=0, worker=False)
        place.server.start()
        place.server.wait()
        self.store: SqlStore = open_store(place.settings.database)
        served = place.stage.served
        served.seed_user("mallory")
        place.stage.tokens["mallory"] = served.seed_token("mallory")
        served.seed_user("gus")
        place.stage.tokens["gus"] = served.seed_token("gus")
        served.seed_member(PROJECT, "gus", 10)
        place.stage.tokens["bob, reading"] = served.seed_token("bob", scopes=["read_api"])

    def close(self) -> None:
        asyncio.run(self.store.close())
        self.place.close()

    def issue(self, **more: Any) -> str:
        made = self.place.stage.api("POST", "/issues", title="Do it", **more)
        return f"{PROJECT}#{made['iid']}"

    def ask(self, verb: str, path: str = "", *, by: str = "bob", **more: Any) -> httpx2.Response:
        return self.place.ask(verb, f"{SESSIONS}{path}", by=by, **more)

    def begin(self, subject: str = "", *, by: str = "bob", **more: Any) -> httpx2.Response:
        asked = {"flow": "developer", "subject": subject or self.issue(), "start": False} | more
        return self.ask("POST", by=by, json=asked)

    def begun(self, **more: Any) -> dict[str, Any]:
        answer = self.begin(**more)
        assert answer.status_code == 201, answer.text
        told: dict[str, Any] = answer.json()
        return told

    async def waiting(self, **more: Any) -> str:
        """Give a session whose plan waits for a person."""
        session = str(self.begun(approve_plan=True, **more)["id"])
        await self.store.update(session, status=Status.RUNNING)
        plan = [{"text": "Write the test", "done": False}]
        await self.store.append(session, EventKind.PLAN, {"tasks": plan}, turn=1)
        await self.store.update(session, status=Status.PLAN_APPROVAL_REQUIRED, reason="the plan waits for approval")
        return session

    async def work(self) -> list[str]:
        """The sessions that the worker is to work on."""
        return [one.session for one in await SqlTriggerStore(self.store).waiting() if one.session]


def open_desk(folder: Path) -> Desk:
    """Serve a project with a merge request; its model is never asked."""
    place = Place(folder, model=f"recorded:{recorded('goal-shout')}")
    propose(place.stage)
    return Desk(place)
