"""People sign in to the forge with a browser."""

import re
from collections.abc import Iterator
from contextlib import closing

import httpx2
import pytest

from mergewright.localforge.logins import local_path
from tests.localforge.conftest import PROJECT, World


@pytest.fixture
def browser(world: World) -> Iterator[httpx2.Client]:
    """A browser: it keeps cookies, and follows nothing unless it is told to."""
    with closing(httpx2.Client(base_url=world.forge.url, trust_env=False, timeout=30, verify=False)) as client:
        yield client


def field(page: httpx2.Response, name: str = "csrf") -> str:
    """Give the value of a hidden field."""
    found = re.search(rf'name="{name}" value="([^"]*)"', page.text)
    assert found, page.text
    return found[1]


def sign_in(browser: httpx2.Client, token: str, *, back: str = "/") -> httpx2.Response:
    page = browser.get("/users/sign_in", params={"back": back})
    return browser.post("/users/sign_in", data={"csrf": field(page), "token": token, "back": back})


def test_a_person_signs_in_with_a_token_and_sees_their_project(world: World, browser: httpx2.Client) -> None:
    assert browser.get(f"/{PROJECT}").status_code in {401, 404}
    led = sign_in(browser, world.tokens["dev"], back=f"/{PROJECT}")
    assert (led.status_code, led.headers["location"]) == (303, f"/{PROJECT}")
    cookie = next(one for one in led.headers.get_list("set-cookie") if not one.startswith("localforge-visit"))
    assert "HttpOnly" in cookie
    assert "SameSite=lax" in cookie
    assert browser.get(f"/{PROJECT}").status_code == 200


def test_a_link_signs_in_once(world: World, browser: httpx2.Client) -> None:
    link = world.forge.sign_in_link("dev")
    assert browser.head(link).status_code == 200, "who only looks whether it is there does not use it up"
    led = browser.get(link)
    assert (led.status_code, led.headers["location"]) == (303, "/")
    assert browser.get(f"/{PROJECT}").status_code == 200
    browser.cookies.clear()
    assert browser.get(link).status_code == 403
    assert browser.get(f"/{PROJECT}").status_code in {401, 404}


def test_signing_out_ends_the_cookie_itself(world: World, browser: httpx2.Client) -> None:
    browser.get(world.forge.sign_in_link("dev"))
    kept = dict(browser.cookies)
    consent = browser.get("/oauth/authorize", params=ask(world))
    browser.post("/users/sign_out", data={"csrf": "0" * 64})
    assert browser.get(f"/{PROJECT}").status_code == 200, "a form from elsewhere signs nobody out"
    left = browser.post("/users/sign_out", data={"csrf": field(consent)})
    assert left.headers["location"] == "/users/sign_in"
    browser.cookies.update(kept)
    assert browser.get(f"/{PROJECT}").status_code in {401, 404}


def ask(world: World) -> dict[str, str]:
    """Register an application, and give what it asks for."""
    with world.client("root") as root:
        given = {"name": "Clock", "redirect_uri": "http://127.0.0.1:1/back", "scopes": "read_api"}
        made = root.post("/applications", json=given).json()
    return {
        "client_id": made["application_id"],
        "redirect_uri": made["callback_url"],
        "response_type": "code",
        "scope": "read_api",
    }


def test_wrong_tokens_and_forms_of_others_sign_nobody_in(world: World, browser: httpx2.Client) -> None:
    assert sign_in(browser, "glpat-nobody").status_code == 401
    assert sign_in(browser, "").status_code == 401
    page = browser.get("/users/sign_in")
    good = {"csrf": field(page), "token": world.tokens["dev"], "back": "/"}
    assert browser.post("/users/sign_in", data=good, headers={"Origin": "https://evil.example"}).status_code == 403
    assert browser.post("/users/sign_in", data=good, headers={"Sec-Fetch-Site": "same-site"}).status_code == 403
    assert browser.post("/users/sign_in", data=good | {"csrf": ""}).status_code == 403
    browser.cookies.clear()
    assert browser.post("/users/sign_in", data=good).status_code == 403


def test_a_cookie_that_was_planted_is_not_the_one_of_the_sign_in(world: World, browser: httpx2.Client) -> None:
    name = f"localforge-{world.forge.url.rpartition(':')[2]}"
    browser.cookies.set(name, "planted", domain="127.0.0.1")
    led = sign_in(browser, world.tokens["dev"])
    assert led.status_code == 303
    given = next(one for one in led.headers.get_list("set-cookie") if one.startswith(f"{name}="))
    assert "planted" not in given
    with httpx2.Client(
        base_url=world.forge.url, trust_env=False, cookies={name: "planted"}, timeout=30, verify=False
    ) as attacker:
        assert attacker.get(f"/{PROJECT}").status_code in {401, 404}


@pytest.mark.parametrize(
    "back",
    ["https://evil.example", "//evil.example", "/\\evil.example", "/\t/evil.example", "\\\\evil", "javascript:x"],
)
def test_a_sign_in_leads_nowhere_but_home(world: World, browser: httpx2.Client, back: str) -> None:
    assert sign_in(browser, world.tokens["dev"], back=back).headers["location"] == "/"
    assert local_path(back) == "/"


def test_a_local_address_is_kept_with_its_question() -> None:
    assert local_path("/acme/shop/-/issues?state=all&x=%2F") == "/acme/shop/-/issues?state=all&x=%2F"
