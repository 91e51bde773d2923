"""Applications act for people who let them."""

import base64
import hashlib
from collections.abc import Iterator
from contextlib import closing
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx2
import pytest
from sqlalchemy import update

from mergewright.localforge.login_tables import Grant, OAuthToken
from tests.localforge.conftest import PROJECT, World
from tests.localforge.test_logins import field

BACK = "http://127.0.0.1:9/back"
VERIFIER = "v" * 64
CHALLENGE = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).decode().rstrip("=")


@pytest.fixture
def browser(world: World) -> Iterator[httpx2.Client]:
    """A browser in which dev is signed in."""
    with closing(httpx2.Client(base_url=world.forge.url, trust_env=False, timeout=30, verify=False)) as client:
        client.get(world.forge.sign_in_link("dev"))
        yield client


@pytest.fixture
def app(world: World) -> dict[str, Any]:
    """An application with a secret."""
    with world.client("root") as root:
        made = root.post("/applications", json={"name": "Clock", "redirect_uri": BACK, "scopes": "read_api api"})
    assert made.status_code == 201
    return dict(made.json())


def asked(client_id: str, **more: str) -> dict[str, str]:
    return {
        "client_id": client_id,
        "redirect_uri": BACK,
        "response_type": "code",
        "scope": "read_api",
        "state": "s1",
        "code_challenge": CHALLENGE,
        "code_challenge_method": "S256",
    } | more


def answer_of(led: httpx2.Response) -> dict[str, str]:
    """What an application is told in its own address."""
    assert led.status_code == 303, led.text
    address = urlsplit(led.headers["location"])
    assert f"{address.scheme}://{address.netloc}{address.path}" == BACK
    return {name: values[0] for name, values in parse_qs(address.query).items()}


def consented(browser: httpx2.Client, app: dict[str, Any], **more: str) -> str:
    page = browser.get("/oauth/authorize", params=asked(app["application_id"], **more))
    assert "form-action 'self' http://127.0.0.1:9" in page.headers["content-security-policy"]
    form = asked(app["application_id"], **more) | {"csrf": field(page), "allow": "1"}
    told = answer_of(browser.post("/oauth/authorize", data=form))
    assert told["state"] == "s1"
    return told["code"]


def redeem(world: World, app: dict[str, Any], code: str, **more: str) -> httpx2.Response:
    given = {
        "grant_type": "authorization_code",
        "client_id": app["application_id"],
        "client_secret": app["secret"],
        "code": code,
        "redirect_uri": BACK,
        "code_verifier": VERIFIER,
    } | more
    return httpx2.post(f"{world.forge.url}/oauth/token", data=given, trust_env=False, timeout=30, verify=False)


def ask(world: World, token: str, path: str = "/api/v4/user", verb: str = "GET") -> httpx2.Response:
    headers = {"Authorization": f"Bearer {token}"}
    return httpx2.request(verb, f"{world.forge.url}{path}", headers=headers, trust_env=False, timeout=30, verify=False)


def test_a_person_lets_an_application_read_for_them(world: World, browser: httpx2.Client, app: dict[str, Any]) -> None:
    got = redeem(world, app, consented(browser, app))
    assert got.status_code == 200
    assert got.headers["cache-control"] == "no-store"
    told = got.json()
    assert (told["token_type"], told["expires_in"], told["scope"]) == ("Bearer", 7200, "read_api")
    token = told["access_token"]
    assert ask(world, token).json()["username"] == "dev"
    assert ask(world, token, "/oauth/userinfo").json()["nickname"] == "dev"
    info = ask(world, token, "/oauth/token/info").json()
    assert (info["scope"], info["application"]["uid"]) == (["read_api"], app["application_id"])
    refused = ask(world, token, f"/api/v4/projects/{PROJECT.replace('/', '%2F')}/issues", "POST")
    assert refused.status_code == 403
    assert refused.json()["error"] == "insufficient_scope"


def test_a_token_is_renewed_once_and_then_the_old_one_ends_all(
    world: World, browser: httpx2.Client, app: dict[str, Any]
) -> None:
    first = redeem(world, app, consented(browser, app)).json()
    second = redeem(world, app, "", grant_type="refresh_token", refresh_token=first["refresh_token"]).json()
    assert ask(world, first["access_token"]).status_code == 401
    assert ask(world, second["access_token"]).status_code == 200
    again = redeem(world, app, "", grant_type="refresh_token", refresh_token=first["refresh_token"])
    assert (again.status_code, again.json()["error"]) == (400, "invalid_grant")
    assert ask(world, second["access_token"]).status_code == 401, "somebody has stolen one of the two"


def test_a_code_works_once_and_a_second_time_ends_its_token(
    world: World, browser: httpx2.Client, app: dict[str, Any]
) -> None:
    code = consented(browser, app)
    token = redeem(world, app, code).json()["access_token"]
    assert redeem(world, app, code).json()["error"] == "invalid_grant"
    assert ask(world, token).status_code == 401


@pytest.mark.parametrize(
    ("more", "error"),
    [
        ({"code_verifier": "w" * 64}, "invalid_grant"),
        ({"code_verifier": ""}, "invalid_grant"),
        ({"redirect_uri": f"{BACK}/"}, "invalid_grant"),
        ({"client_secret": "guess"}, "invalid_client"),
        ({"client_secret": ""}, "invalid_client"),
        ({"client_id": "nobody"}, "invalid_client"),
        ({"grant_type": "password"}, "unsupported_grant_type"),
    ],
)
def test_a_stolen_code_is_worth_nothing(
    world: World, browser: httpx2.Client, app: dict[str, Any], more: dict[str, str], error: str
) -> None:
    refused = redeem(world, app, consented(browser, app), **more)
    assert refused.status_code in {400, 401}
    assert refused.json()["error"] == error


def test_a_code_and_a_token_are_worth_nothing_when_they_are_old(
    world: World, browser: httpx2.Client, app: dict[str, Any]
) -> None:
    code = consented(browser, app)
    with world.forge.instance.write() as session:
        session.execute(update(Grant).values(expires_at=1.0))
    assert redeem(world, app, code).json()["error"] == "invalid_grant"
    token = redeem(world, app, consented(browser, app)).json()["access_token"]
    with world.forge.instance.write() as session:
        session.execute(update(OAuthToken).values(expires_at=1.0))
    assert ask(world, token).status_code == 401


def test_another_application_cannot_use_a_code(world: World, browser: httpx2.Client, app: dict[str, Any]) -> None:
    code = consented(browser, app)
    with world.client("root") as root:
        other = root.post("/applications", json={"name": "Thief", "redirect_uri": BACK, "scopes": "api"}).json()
    assert redeem(world, other, code).json()["error"] == "invalid_grant"


def test_nobody_is_sent_to_an_address_that_is_not_registered(
    world: World, browser: httpx2.Client, app: dict[str, Any]
) -> None:
    for address in ("https://evil.example/back", f"{BACK}?x=1", f"{BACK}/../x", ""):
        page = browser.get("/oauth/authorize", params=asked(app["application_id"], redirect_uri=address))
        assert page.status_code == 400
        assert "location" not in page.headers
    assert browser.get("/oauth/authorize", params=asked("nobody")).status_code == 401


@pytest.mark.parametrize(
    ("more", "error"),
    [
        ({"scope": "sudo"}, "invalid_scope"),
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"code_challenge_method": "plain"}, "invalid_request"),
        ({"code_challenge": "short"}, "invalid_request"),
    ],
)
def test_what_an_application_may_not_ask_is_told_to_it(
    world: World, browser: httpx2.Client, app: dict[str, Any], more: dict[str, str], error: str
) -> None:
    told = answer_of(browser.get("/oauth/authorize", params=asked(app["application_id"], **more)))
    assert (told["error"], told["state"]) == (error, "s1")


def test_a_person_can_deny_and_nobody_can_consent_for_them(
    world: World, browser: httpx2.Client, app: dict[str, Any]
) -> None:
    page = browser.get("/oauth/authorize", params=asked(app["application_id"]))
    form = asked(app["application_id"]) | {"csrf": field(page), "allow": "0"}
    assert answer_of(browser.post("/oauth/authorize", data=form))["error"] == "access_denied"
    assert browser.post("/oauth/authorize", data=form | {"allow": "1", "csrf": ""}).status_code == 403
    evil = {"Origin": "https://evil.example"}
    assert browser.post("/oauth/authorize", data=form | {"allow": "1"}, headers=evil).status_code == 403


def test_whoever_is_not_signed_in_is_led_there_and_back(world: World, app: dict[str, Any]) -> None:
    with httpx2.Client(base_url=world.forge.url, trust_env=False, timeout=30, verify=False) as stranger:
        led = stranger.get("/oauth/authorize", params=asked(app["application_id"]))
        assert led.headers["location"].startswith("/users/sign_in?back=%2Foauth%2Fauthorize%3F")
        page = stranger.get(led.headers["location"])
        form = {"csrf": field(page), "back": field(page, "back").replace("&amp;", "&"), "token": world.tokens["dev"]}
        on = stranger.post("/users/sign_in", data=form)
        assert on.headers["location"].startswith("/oauth/authorize?")
        assert "Clock" in stranger.get(on.headers["location"]).text


def test_the_owners_own_application_asks_nobody_and_needs_its_proof(world: World, browser: httpx2.Client) -> None:
    uid = world.forge.seed_application("agents", BACK)
    assert world.forge.seed_application("agents", BACK) == uid
    told = answer_of(browser.get("/oauth/authorize", params=asked(uid)))
    public = {"application_id": uid, "secret": ""}
    assert redeem(world, public, told["code"]).status_code == 200
    bare = asked(uid, code_challenge="")
    assert answer_of(browser.get("/oauth/authorize", params=bare))["error"] == "invalid_request"


def test_a_revoked_token_is_worth_nothing(world: World, browser: httpx2.Client, app: dict[str, Any]) -> None:
    told = redeem(world, app, consented(browser, app)).json()
    given = {"client_id": app["application_id"], "client_secret": app["secret"], "token": told["access_token"]}
    url = f"{world.forge.url}/oauth/revoke"
    assert (
        httpx2.post(url, data=given | {"client_secret": "guess"}, trust_env=False, timeout=30, verify=False).status_code
        == 403
    )
    assert ask(world, told["access_token"]).status_code == 200
    assert httpx2.post(url, data=given, trust_env=False, timeout=30, verify=False).json() == {}
    assert ask(world, told["access_token"]).status_code == 401
    again = redeem(world, app, "", grant_type="refresh_token", refresh_token=told["refresh_token"])
    assert again.json()["error"] == "invalid_grant"


def test_only_administrators_register_applications(world: World, app: dict[str, Any]) -> None:
    given = {"name": "x", "redirect_uri": BACK, "scopes": "api"}
    with world.client("owen") as owen, world.client("root") as root:
        assert owen.post("/applications", json=given).status_code == 403
        assert owen.get("/applications").status_code == 403
        assert root.post("/applications", json=given | {"redirect_uri": "javascript:alert(1)"}).status_code == 400
        assert root.post("/applications", json=given | {"scopes": "everything"}).status_code == 400
        (row,) = [one for one in root.get("/applications?per_page=100").json() if one["id"] == app["id"]]
        assert "secret" not in row
        assert root.delete(f"/applications/{app['id']}").status_code == 204
        assert app["id"] not in [one["id"] for one in root.get("/applications?per_page=100").json()]
