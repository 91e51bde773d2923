"""Requests that a proxy and the server could read differently, as they come over the wire."""

import re
import socket
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest

from tests.server.test_serving import Place

TAIL = "GET /api/v1/openapi.json HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
CHUNKED = "Transfer-Encoding: chunked\r\n"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    made = Place(tmp_path_factory.mktemp("http"))
    yield made
    made.close()


def statuses(place: Place, request: str) -> list[str]:
    """Send a request as it stands; gives the statuses of all answers."""
    address = urlsplit(place.server.url)
    with socket.create_connection((address.hostname or "", address.port or 0), timeout=10) as one:
        one.sendall(request.encode("latin-1"))
        one.shutdown(socket.SHUT_WR)
        heard = b""
        while data := one.recv(65_536):
            heard += data
    return re.findall(r"HTTP/1\.1 (\d+)", heard.decode("latin-1"))


@pytest.mark.parametrize(
    "lines",
    [
        f"Content-Length: 4\r\n{CHUNKED}\r\n0\r\n\r\n",
        f"{CHUNKED}Content-Length: 4\r\n\r\n0\r\n\r\n",
        "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
        "Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
        "Content-Length: 4\r\nContent-Length: 5\r\n\r\naaaa",
        "Content-Length: +4\r\n\r\naaaa",
        f"Content-Length: {'9' * 23}\r\n\r\naaaa",
        f"X: a\r\n {CHUNKED}\r\n0\r\n\r\n",
        f"X : a\r\n{CHUNKED}\r\n0\r\n\r\n",
        "X: a\0b\r\n\r\n",
        f"{CHUNKED}\r\n{'f' * 17}\r\na",
    ],
)
def test_a_request_whose_end_can_be_read_in_two_ways_is_refused_with_all_that_follows(place: Place, lines: str) -> None:
    """ATTACK: what follows would be another request to the server, and a part of this one to a proxy."""
    host = urlsplit(place.server.url).netloc
    assert statuses(place, f"POST /webhooks/gitlab HTTP/1.1\r\nHost: {host}\r\n{lines}{TAIL}") == ["400"]


def test_who_proves_nothing_is_refused_before_the_body_is_there(place: Place) -> None:
    """ATTACK: many large bodies that come slowly, from whoever can reach the address."""
    address = urlsplit(place.server.url)
    head = f"POST /webhooks/gitlab HTTP/1.1\r\nHost: {address.netloc}\r\nX-Gitlab-Token: wrong\r\n"
    with socket.create_connection((address.hostname or "", address.port or 0), timeout=10) as one:
        one.sendall(f"{head}Content-Length: 10000000\r\n\r\n{{".encode())
        assert one.recv(65_536).startswith(b"HTTP/1.1 401 ")


def test_an_offer_of_another_protocol_is_let_be(place: Place) -> None:
    """Some clients offer HTTP/2 with every request: it is answered as if they had not."""
    host = urlsplit(place.server.url).netloc
    offer = "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA\r\n"
    assert statuses(place, f"GET /health HTTP/1.1\r\nHost: {host}\r\n{offer}\r\n") == ["200"]
    body = f"X-Gitlab-Token: wrong\r\nContent-Length: 2\r\n{offer}\r\n{{}}"
    assert statuses(place, f"POST /webhooks/gitlab HTTP/1.1\r\nHost: {host}\r\n{body}") == ["401"]
