"""The way to the agents: the forge passes GitLab's flows API on to their server, and asks it in a person's name."""

import json
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from anyio import CancelScope, fail_after, to_thread
from sqlalchemy import delete
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from mergewright.localforge import access
from mergewright.localforge.errors import Refused, unauthorized
from mergewright.localforge.instance import Instance
from mergewright.localforge.tables import Token, User

if TYPE_CHECKING:
    from httpx2 import AsyncClient

FLOWS = re.compile(r"/ai/duo_workflows/workflows(?:/[\w~-][\w.~-]{0,99}){0,4}/?", re.ASCII)
"""What is passed on: nothing in it is encoded, and no part of it climbs."""
WORKFLOWS = "/api/v4/ai/duo_workflows/workflows"
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"})
SENT_ON = ("accept", "content-type", "idempotency-key")
SENT_BACK = re.compile(r"content-type|retry-after|link|x-(?:next-|prev-)?page|x-per-page|x-total(?:-pages)?")
BODY_LIMIT = 1024**2
ANSWER_LIMIT = 32 * 1024**2
SECONDS = 60.0
"""For a whole answer of the agents' server."""
NONE_SET = "no server of agents is set for this forge"


@dataclass(frozen=True, slots=True)
class Heard:
    """What the agents' server answered."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def said(self) -> Any:
        """Its JSON; an empty object where it is none."""
        try:
            return json.loads(self.body)
        except ValueError:
            return {}

    @property
    def reason(self) -> str:
        """Why it refused, in its own words."""
        said = self.said if isinstance(self.said, dict) else {}
        found = [said.get(name) for name in ("detail", "message", "error", "title")]
        return next((text for text in found if isinstance(text, str) and text), f"it answered {self.status}")


async def serve_flows(instance: Instance, request: Request, path: str, body: bytes) -> Response:
    """Pass a request on with the caller's own token; one without a valid token goes no further than here."""
    if FLOWS.fullmatch(path) is None or ".." in path or request.method not in METHODS:
        return JSONResponse({"error": "404 Not Found"}, status_code=404)
    token = access.sent_token(request.headers, request.query_params)
    if token is None:
        raise unauthorized()
    await to_thread.run_sync(_check, instance, token, request.method, path)
    pairs = [(k, v) for k, v in request.query_params.multi_items() if k not in {"private_token", "access_token"}]
    sent = {name: value for name in SENT_ON if (value := request.headers.get(name))}
    heard = await ask(
        instance, token, request.method, f"/api/v4{path}", body=body, headers=sent, params=pairs, limit=ANSWER_LIMIT
    )
    kept = {name: value for name, value in heard.headers.items() if SENT_BACK.fullmatch(name)}
    return Response(heard.body, heard.status, headers={"content-type": "application/json"} | kept)


def _check(instance: Instance, token: str, method: str, path: str) -> None:
    with instance.read() as session:
        access.check_scope(access.find_token(session, token), method=method, path=path)


async def ask(
    instance: Instance,
    token: str,
    method: str,
    path: str,
    *,
    body: bytes = b"",
    headers: Mapping[str, str] | None = None,
    params: Sequence[tuple[str, str]] = (),
    limit: int = ANSWER_LIMIT,
    seconds: float = SECONDS,
) -> Heard:
    """Ask the agents' server with a token; raises Refused with 502, 503 or 504 where it gives no answer."""
    import httpx2

    if not instance.agents_url:
        raise _unavailable(NONE_SET)
    if len(body) > BODY_LIMIT:
        raise Refused(413, {"error": "Request Entity Too Large"})
    try:
        with fail_after(seconds):
            async with _client(instance.agents_url, token, dict(headers or {})) as client:
                return await _answer(client, method, path, body, params, limit)
    except TimeoutError as error:
        text = f"504 Gateway Timeout - the agents' server did not answer within {seconds:g} seconds"
        raise Refused(504, {"message": text}) from error
    except httpx2.HTTPError as error:
        raise _unavailable("the agents' server does not answer") from error


def _client(url: str, token: str, headers: dict[str, str]) -> "AsyncClient":
    import httpx2

    # A redirect is not followed: it would carry the token to wherever it points.
    return httpx2.AsyncClient(
        base_url=url,
        headers=headers | {"private-token": token},
        timeout=SECONDS,
        follow_redirects=False,
        trust_env=False,
        # Reading the machine's certificates takes long: only where there is something to check with them.
        verify=not url.startswith("http:"),
    )


async def _answer(
    client: "AsyncClient", method: str, path: str, body: bytes, params: Sequence[tuple[str, str]], limit: int
) -> Heard:
    async with client.stream(method, path, content=body or None, params=tuple(params)) as answer:
        if 300 <= answer.status_code < 400:
            raise Refused(502, {"message": "502 Bad Gateway - the agents' server wants to send us elsewhere"})
        content = bytearray()
        async for chunk in answer.aiter_bytes():
            content += chunk
            if len(content) > limit:
                raise Refused(502, {"message": "502 Bad Gateway - the agents' server answers more than can be taken"})
        return Heard(answer.status_code, bytes(content), dict(answer.headers))


def _unavailable(reason: str) -> Refused:
    return Refused(503, {"message": f"503 Service Unavailable - {reason}"})


# --- in the name of a person who is signed in ------------------------------------------------------


@asynccontextmanager
async def short_lived(instance: Instance, user_id: int, *, scopes: tuple[str, ...]) -> AsyncIterator[str]:
    """A token of a user that is gone when the block ends."""
    number, value = await to_thread.run_sync(_mint, instance, user_id, scopes)
    try:
        yield value
    finally:
        with CancelScope(shield=True):
            await to_thread.run_sync(_forget, instance, number)


def _mint(instance: Instance, user_id: int, scopes: tuple[str, ...]) -> tuple[int, str]:
    # The date is for a forge that is killed meanwhile: a token's life is counted in days.
    until = (datetime.now(UTC) + timedelta(days=1)).date().isoformat()
    with instance.write() as session:
        user = session.get_one(User, user_id)
        row, value = access.new_token(session, user, scopes=scopes, name="agents, for one request", expires_at=until)
        return row.id, value


def _forget(instance: Instance, number: int) -> None:
    with instance.write() as session:
        session.execute(delete(Token).where(Token.id == number))


async def start_session(instance: Instance, user_id: int, fields: Mapping[str, object]) -> str:
    """Begin a session for a person over the flows API and give its id; raises Refused with the server's reason."""
    body = json.dumps(dict(fields) | {"start_workflow": True}).encode()
    async with short_lived(instance, user_id, scopes=("api",)) as token:
        heard = await ask(instance, token, "POST", WORKFLOWS, body=body, headers={"content-type": "application/json"})
    if not 200 <= heard.status < 300:
        raise Refused(heard.status, {"message": heard.reason})
    said = heard.said
    return str(said.get("id", "")) if isinstance(said, dict) else ""


async def sessions_of(instance: Instance, user_id: int, project: str) -> list[dict[str, Any]]:
    """The sessions of a project that a person may see, newest first; raises Refused with the server's reason."""
    async with short_lived(instance, user_id, scopes=("read_api",)) as token:
        heard = await ask(
            instance,
            token,
            "GET",
            "/api/v1/sessions",
            params=[("project", project)],
            limit=BODY_LIMIT * 4,
            seconds=10.0,
        )
    if heard.status != 200:
        raise Refused(heard.status, {"message": heard.reason})
    said = heard.said
    rows = said.get("sessions", said.get("items", [])) if isinstance(said, dict) else said
    return [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []
