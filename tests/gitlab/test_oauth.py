"""What GitLab's answers to a sign-in mean, also where they make no sense."""

import json
import threading
from collections.abc import Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from mergewright.domain.errors import MergewrightError, Unauthorized, Unreachable, WrongUse
from mergewright.gitlab.oauth import OAuth, challenge

BACK = "https://agents.example.com/sign-in/callback"


class GitLab:
    """A server that gives the answer a test wants, and keeps what it was asked."""

    def __init__(self) -> None:
        self.status, self.body, self.headers = 200, b"{}", {"Content-Type": "application/json"}
        self.asked: list[tuple[str, dict[str, list[str]]]] = []
        outer = self

        class Answers(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                sent = self.rfile.read(int(self.headers["Content-Length"])).decode()
                outer.asked.append((self.path, parse_qs(sent)))
                self.send_response(outer.status)
                for name, value in outer.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(outer.body)))
                self.end_headers()
                self.wfile.write(outer.body)

            def log_message(self, *_: Any) -> None:
                return

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def says(self, status: int, body: object) -> None:
        self.status = status
        self.body = body if isinstance(body, bytes) else json.dumps(body).encode()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def gitlab() -> Iterator[GitLab]:
    with closing(GitLab()) as made:
        yield made


def test_the_address_asks_for_the_least_and_tells_no_secret() -> None:
    oauth = OAuth("https://gitlab.example.com", "id", "s3cret", allow_http=False)
    address = oauth.address(redirect_uri=BACK, state="st", verifier="v" * 64)
    query = parse_qs(urlsplit(address).query)
    assert query["scope"] == ["read_api"]
    assert query["code_challenge"] == [challenge("v" * 64)]
    assert query["code_challenge_method"] == ["S256"]
    assert "s3cret" not in address
    assert "v" * 64 not in address


def test_the_challenge_is_that_of_the_standard() -> None:
    # RFC 7636, appendix B.
    assert challenge("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk") == "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"


async def test_a_code_becomes_tokens(gitlab: GitLab) -> None:
    gitlab.says(200, {"access_token": "t0ken", "refresh_token": "r3fresh", "expires_in": 7200, "token_type": "Bearer"})
    got = await OAuth(gitlab.url, "id", "s", allow_http=False).redeem("c", redirect_uri=BACK, verifier="v")
    assert (got.token, got.refresh) == ("t0ken", "r3fresh")
    assert "t0ken" not in repr(got)
    assert "r3fresh" not in repr(got)
    (path, sent) = gitlab.asked[0]
    assert path == "/oauth/token"
    assert sent["code_verifier"] == ["v"]
    assert sent["client_secret"] == ["s"]


@pytest.mark.parametrize(
    ("status", "body", "error"),
    [
        (400, {"error": "invalid_grant"}, Unauthorized),
        (401, {"error": "invalid_client"}, WrongUse),
        (500, b"oops", Unreachable),
        (429, {}, Unreachable),
        (200, b"<html>", Unreachable),
        (200, [], Unreachable),
        (200, {"access_token": 5}, Unreachable),
        (200, b"x" * 100_000, Unreachable),
        (302, {}, Unauthorized),
    ],
)
async def test_an_answer_that_is_no_token_signs_nobody_in(
    gitlab: GitLab, status: int, body: object, error: type[MergewrightError]
) -> None:
    gitlab.says(status, body)
    gitlab.headers["Location"] = "https://evil.example/"
    with pytest.raises(error) as refused:
        await OAuth(gitlab.url, "id", "s3cret", allow_http=False).renew("r", redirect_uri=BACK)
    assert "s3cret" not in str(refused.value)
    assert len(gitlab.asked) == 1


async def test_a_forge_that_is_gone_is_told_as_such(gitlab: GitLab) -> None:
    gitlab.close()
    with pytest.raises(Unreachable):
        await OAuth(gitlab.url, "id", "", allow_http=False).revoke("t")


def test_secrets_do_not_go_over_plain_http_to_another_machine() -> None:
    with pytest.raises(WrongUse):
        OAuth("http://gitlab.example.com", "id", "s", allow_http=False)
