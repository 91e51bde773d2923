"""What the guard lets through, and what it refuses before any route looks."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx2
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import Message, Receive, Scope, Send

from mergewright.app.rates import Rate
from mergewright.server.guard import LARGEST, Guard, Rules


async def _echo(request: Request) -> Response:
    body = await request.body()
    return JSONResponse({"from": request.client.host if request.client else "", "size": len(body)})


async def _endless(_: Request) -> Response:
    async def ticks() -> AsyncIterator[str]:
        while True:
            yield "data: tick\n\n"
            await asyncio.sleep(0.01)

    return StreamingResponse(ticks(), media_type="text/event-stream")


async def _own(_: Request) -> Response:
    return PlainTextResponse("x", headers={"Content-Security-Policy": "own", "Cache-Control": "public"})


ROUTES = [
    Route("/api/echo", _echo, methods=["GET", "POST"]),
    Route("/sign-in", _echo, methods=["GET", "POST"]),
    Route("/webhooks/gitlab", _echo, methods=["POST"]),
    Route("/endless", _endless, methods=["GET"]),
    Route("/own", _own),
]


def client(rules: Rules | None = None, *, peer: str = "203.0.113.9") -> httpx2.AsyncClient:
    app = Guard(Starlette(routes=ROUTES), rules or Rules("https://agents.example.com"))
    transport = httpx2.ASGITransport(app=app, client=(peer, 1))
    return httpx2.AsyncClient(transport=transport, base_url="https://agents.example.com")


def proxied(*networks: str) -> Rules:
    return Rules.read(url="https://agents.example.com", hosts=frozenset({"agents"}), proxies=networks)


async def test_every_answer_carries_the_headers_and_a_page_keeps_its_own() -> None:
    async with client() as asked:
        plain, own, missing = await asked.get("/api/echo"), await asked.get("/own"), await asked.get("/nothing")
    for answer in (plain, own, missing):
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["x-frame-options"] == "DENY"
        assert answer.headers["cross-origin-opener-policy"] == "same-origin"
        assert answer.headers["cross-origin-resource-policy"] == "same-origin"
        assert answer.headers["strict-transport-security"] == "max-age=31536000"
        assert answer.headers["referrer-policy"] == "same-origin"
    assert plain.headers["cache-control"] == "no-store"
    assert (own.headers["content-security-policy"], own.headers["cache-control"]) == ("own", "public")
    async with client(Rules("http://127.0.0.1:8930")) as asked:
        assert "strict-transport-security" not in (await asked.get("/own", headers={"Host": "127.0.0.1:8930"})).headers


async def test_a_request_with_two_names_for_the_server_is_refused() -> None:
    async with client() as asked:
        names = [("Host", "agents.example.com"), ("Host", "evil.example")]
        answers = [await asked.get("/api/echo", headers=given) for given in (names, names[::-1])]
    assert [answer.status_code for answer in answers] == [421, 421]


@pytest.mark.parametrize("path", ["/api/v1/x", "/api/v4/x", "/sessions"])
async def test_a_request_that_breaks_the_server_has_an_answer_with_all_headers_and_without_a_secret(
    path: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def breaks(scope: Scope, receive: Receive, send: Send) -> None:
        raise RuntimeError("glpat-secret")

    transport = httpx2.ASGITransport(app=Guard(breaks, Rules("https://agents.example.com")), client=("203.0.113.9", 1))
    async with httpx2.AsyncClient(transport=transport, base_url="https://agents.example.com") as asked:
        answer = await asked.get(path)
    assert answer.status_code == 500
    assert answer.headers["x-frame-options"] == "DENY"
    assert "something broke here" in answer.text
    assert "glpat" not in answer.text
    assert "a request broke" in caplog.text


@pytest.mark.parametrize(
    "host", ["evil.example", "agents.example.com.evil.example", "a b", "", "127.0.0.1.evil.example"]
)
async def test_the_server_is_not_asked_under_a_name_that_is_not_its_own(host: str) -> None:
    async with client(proxied()) as asked:
        assert (await asked.get("/api/echo", headers={"Host": host})).status_code == 421


@pytest.mark.parametrize(
    "host",
    ["agents.example.com", "AGENTS.example.com:443", "localhost:8930", "127.0.0.1:1", "[::1]:8930", "agents:8930"],
)
async def test_the_server_is_asked_under_its_own_names_and_by_number(host: str) -> None:
    async with client(proxied()) as asked:
        assert (await asked.get("/api/echo", headers={"Host": host})).status_code == 200


async def test_a_body_that_says_it_is_too_large_is_not_read() -> None:
    async with client() as asked:
        answer = await asked.post("/api/echo", content=b"x", headers={"Content-Length": str(LARGEST + 1)})
        assert answer.status_code == 413
        wrong = await asked.post("/api/echo", content=b"x", headers={"Content-Length": "-1"})
        assert wrong.status_code == 400


async def test_a_body_that_does_not_say_how_large_it_is_is_cut_off_at_the_limit() -> None:
    read = 0

    async def body() -> AsyncIterator[bytes]:
        nonlocal read
        for _ in range(100):
            read += 1024**2
            yield b"x" * 1024**2

    async with client() as asked:
        assert (await asked.post("/api/echo", content=body())).status_code == 413
        assert read <= 2 * LARGEST + 1024**2
        small = await asked.post("/api/echo", content=b"x" * 1000)
        assert small.json()["size"] == 1000


async def test_an_address_that_asks_too_often_waits_and_others_do_not() -> None:
    rules = Rules("https://agents.example.com", address=Rate(5, 5.0))
    async with client(rules) as asked, client(rules, peer="203.0.113.10") as other:
        codes = [(await asked.get("/api/echo")).status_code for _ in range(7)]
        assert codes == [200] * 5 + [429] * 2
        refused = await asked.get("/api/echo")
        assert refused.headers["retry-after"] == "1"
        assert refused.headers["content-type"] == "application/problem+json"
        assert (await asked.post("/webhooks/gitlab")).status_code == 200
        assert (await other.get("/api/echo")).status_code == 200


async def test_a_network_of_the_newer_kind_counts_as_one_address() -> None:
    rules = Rules("https://agents.example.com", address=Rate(2, 60.0))
    codes = []
    for last in range(4):
        async with client(rules, peer=f"2001:db8::{last}") as asked:
            codes.append((await asked.get("/api/echo")).status_code)
    assert codes == [200, 200, 429, 429]


async def test_sign_ins_are_tried_less_often() -> None:
    async with client() as asked:
        codes = [(await asked.post("/sign-in")).status_code for _ in range(22)]
        assert codes.count(429) == 2
        assert (await asked.get("/sign-in")).status_code == 200


@pytest.mark.parametrize(
    ("peer", "said", "believed"),
    [
        ("203.0.113.9", "198.51.100.1", "203.0.113.9"),
        ("10.0.0.1", "198.51.100.1", "198.51.100.1"),
        ("10.0.0.1", "198.51.100.1, 198.51.100.2", "198.51.100.2"),
        ("10.0.0.1", "198.51.100.2, 10.0.0.7", "198.51.100.2"),
        ("10.0.0.1", "198.51.100.2, nonsense", "10.0.0.1"),
        ("10.0.0.1", "", "10.0.0.1"),
        ("10.0.0.1", "10.0.0.2", "10.0.0.2"),
        ("::ffff:10.0.0.1", "[2001:db8::7]", "2001:db8::7"),
    ],
)
async def test_only_a_trusted_proxy_is_believed_about_addresses(peer: str, said: str, believed: str) -> None:
    async with client(proxied("10.0.0.0/8"), peer=peer) as asked:
        answer = await asked.get("/api/echo", headers={"X-Forwarded-For": said} if said else {})
        assert answer.json()["from"] == believed


async def test_whatever_can_be_read_can_be_asked_about_even_what_never_ends() -> None:
    async with client() as asked:
        whole, about = await asked.get("/api/echo"), await asked.head("/api/echo")
        assert (about.status_code, about.content) == (200, b"")
        assert about.headers["content-type"] == whole.headers["content-type"]
        endless = await asyncio.wait_for(asked.head("/endless"), 5)
        assert endless.headers["content-type"].startswith("text/event-stream")
        assert (await asked.head("/nothing")).status_code == 404


async def test_a_stream_comes_as_it_is_made_and_ends_when_nobody_listens() -> None:
    gone, seen = asyncio.Event(), []

    async def receive() -> Message:
        await gone.wait()
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        seen.append(message)
        if len(seen) == 4:
            gone.set()

    guard = Guard(Starlette(routes=ROUTES), Rules())
    scope: dict[str, Any] = {
        "type": "http", "method": "GET", "path": "/endless", "raw_path": b"/endless", "query_string": b"",
        "headers": [(b"host", b"localhost")], "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 80), "scheme": "http",
        "root_path": "", "http_version": "1.1", "asgi": {"version": "3.0", "spec_version": "2.3"},
    }  # fmt: skip
    await asyncio.wait_for(guard(scope, receive, send), 5)
    assert [one["type"] for one in seen[:3]] == ["http.response.start", "http.response.body", "http.response.body"]


def test_the_guard_costs_little() -> None:
    async def nothing(*_: object) -> None:
        return None

    import time

    guard = Guard(nothing, proxied("10.0.0.0/8"))
    scope: Callable[[], dict[str, Any]] = lambda: {  # noqa: E731
        "type": "http", "method": "GET", "path": "/webhooks/x", "headers": [(b"host", b"agents")],
        "client": ("10.0.0.1", 1),
    }  # fmt: skip

    async def many() -> float:
        started = time.perf_counter()
        for _ in range(2_000):
            await guard(scope(), nothing, nothing)  # type: ignore[arg-type]
        return (time.perf_counter() - started) / 2_000

    assert asyncio.run(many()) < 0.001
