"""Attacks on the sign-in: what a stranger's page, link, server or cookie can try on somebody who is signed in."""

import asyncio
import re
import threading
from collections.abc import Iterator
from contextlib import closing
from importlib import import_module
from pkgutil import iter_modules
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx2
import pytest
from fastapi.routing import APIRoute

from mergewright.app import rights
from mergewright.app.local import let_sign_in
from mergewright.domain.session import EventKind, Session, Subject
from mergewright.server import events, pages
from mergewright.server.asking import local_path
from mergewright.store.logins import SIGN_INS, hashed
from mergewright.store.sql import SqlStore, open_store
from tests.review.stage import PROJECT
from tests.server.test_serving import Place
from tests.server.test_signin import REVIEWS, Browser, field

EVIL = "https://evil.example"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    made = Place(tmp_path_factory.mktemp("attacks"))
    let_sign_in(made.stage.served, made.settings, made.server.url)
    yield made
    made.close()


@pytest.fixture
def browser(place: Place) -> Iterator[Browser]:
    made = Browser(place)
    with closing(made.client):
        yield made


def begun(browser: Browser, who: str = "ann") -> str:
    """Sign in at the forge, and stop with the address that leads back to us."""
    browser.get(browser.place.stage.served.sign_in_link(who))
    began = browser.get("/sign-in/gitlab")
    return browser.get(began.headers["location"]).headers["location"]


def state_of(browser: Browser) -> str:
    return parse_qs(urlsplit(browser.get("/sign-in/gitlab").headers["location"]).query)["state"][0]


# --- the way over the forge --------------------------------------------------------------------


def test_a_forged_or_missing_state_signs_nobody_in(browser: Browser) -> None:
    back = begun(browser)
    query = parse_qs(urlsplit(back).query)
    for state in ("", "x", query["state"][0][:-1], query["state"][0] + "x"):
        refused = browser.get(f"/sign-in/callback?{urlencode({'code': query['code'][0], 'state': state})}")
        assert refused.status_code == 401
        assert not browser.cookie


def test_a_victim_cannot_be_signed_in_as_the_attacker(place: Place, browser: Browser) -> None:
    """The attacker stops before the last step, and makes the victim's browser take it."""
    attacker = Browser(place)
    with closing(attacker.client):
        back = begun(attacker, "bob")
        assert browser.get(back).status_code == 401
        assert not browser.cookie
        browser.get("/sign-in")
        assert browser.get(back).status_code == 401, "a browser of its own secret is still another browser"


def test_a_sign_in_works_once(browser: Browser) -> None:
    back = begun(browser)
    assert browser.get(back).status_code == 303
    browser.client.cookies.delete(browser.name)
    assert browser.get(back).status_code == 401
    assert not browser.cookie


def test_a_sign_in_that_took_too_long_is_refused(place: Place, browser: Browser) -> None:
    import sqlite3

    back = begun(browser)
    with closing(sqlite3.connect(place.settings.home / "mergewright.sqlite3")) as database:
        database.execute("UPDATE sign_ins SET at = at - 601")
        database.commit()
    assert browser.get(back).status_code == 401


def test_a_code_of_another_sign_in_does_not_fit(browser: Browser) -> None:
    """PKCE: a code that somebody caught is worth nothing with another verifier."""
    code = parse_qs(urlsplit(begun(browser)).query)["code"][0]
    refused = browser.get(f"/sign-in/callback?{urlencode({'code': code, 'state': state_of(browser)})}")
    assert refused.status_code == 401
    assert "GitLab did not take this sign-in" in refused.text
    assert not browser.cookie


def test_neither_verifier_nor_state_stands_in_the_database(place: Place, browser: Browser) -> None:
    state = state_of(browser)
    kept = b"".join(one.read_bytes() for one in place.settings.home.glob("mergewright.sqlite3*"))
    assert state.encode() not in kept
    assert hashed(state).encode() in kept
    assert SIGN_INS.c.body is not None


# --- forms of other pages ----------------------------------------------------------------------


def policy(browser: Browser, **sent: str) -> httpx2.Response:
    body = {"scope": PROJECT, "values": {"block_on": "major"}, "reason": "agreed"}
    return browser.client.patch(f"{browser.url}/api/v1/policy", json=body, headers=sent)


def test_another_page_can_change_nothing(browser: Browser) -> None:
    browser.with_token()
    csrf = field(browser.get("/sessions"))
    for sent in (
        {},
        {"X-CSRF-Token": ""},
        {"X-CSRF-Token": csrf[:-1]},
        {"X-CSRF-Token": csrf, "Origin": EVIL},
        {"X-CSRF-Token": csrf, "Origin": "null"},
        {"X-CSRF-Token": csrf, "Origin": f"{browser.url}.evil.example"},
        {"X-CSRF-Token": csrf, "Sec-Fetch-Site": "cross-site"},
        {"X-CSRF-Token": csrf, "Sec-Fetch-Site": "same-site"},
    ):
        assert policy(browser, **sent).status_code == 403, sent
    assert policy(browser, **{"X-CSRF-Token": csrf, "Origin": browser.url}).status_code == 200


def test_a_form_of_one_login_does_not_fit_another(place: Place, browser: Browser) -> None:
    attacker = Browser(place)
    with closing(attacker.client):
        attacker.with_token("bob")
        stolen = field(attacker.get("/sessions"))
    browser.with_token("ann")
    assert policy(browser, **{"X-CSRF-Token": stolen}).status_code == 403
    for given in ({"csrf": stolen}, {"csrf": ""}, {}):
        assert browser.post("/sign-out", given).status_code == 403
    assert browser.get("/sessions").status_code == 200


UNSAFE = frozenset({"POST", "PUT", "PATCH", "DELETE"})


def changing(place: Place) -> set[tuple[str, str]]:
    """Every method and path that changes something, in the API and on the pages."""
    paths = place.ask("GET", "/api/v1/openapi.json").json()["paths"]
    found = {(verb.upper(), path) for path, verbs in paths.items() for verb in verbs if verb.upper() in UNSAFE}
    for module in iter_modules(pages.__path__):
        router = getattr(import_module(f"mergewright.server.pages.{module.name}"), "router", None)
        for route in router.routes if router else ():
            assert isinstance(route, APIRoute)
            found |= {(verb, route.path) for verb in (route.methods or set()) & UNSAFE}
    return found | {("POST", "/sign-out")}


def test_whatever_changes_something_is_refused_to_the_cookie_alone(place: Place, browser: Browser) -> None:
    browser.with_token()
    found = changing(place)
    assert {path for _, path in found} >= {"/sessions", "/api/v1/policy", "/sign-out"}
    for verb, path in sorted(found):
        address = f"{browser.url}{re.sub(r'{[^}]*}', '1', path)}"
        sent: dict[str, Any]
        for sent in ({"data": {"x": "1"}}, {"json": {}}, {"content": b"{}", "headers": {"Content-Type": "text/plain"}}):
            assert browser.client.request(verb, address, **sent).status_code == 403, (verb, path, sent)


def test_nobody_is_signed_in_by_a_form_of_another_page(place: Place, browser: Browser) -> None:
    page = browser.get("/sign-in")
    given = {"csrf": field(page), "token": place.stage.tokens["bob"], "back": "/"}
    assert browser.post("/sign-in", given, Origin=EVIL).status_code == 403
    assert browser.post("/sign-in", given, **{"Sec-Fetch-Site": "cross-site"}).status_code == 403
    assert browser.post("/sign-in", given | {"csrf": "0" * 64}).status_code == 403
    browser.client.cookies.clear()
    assert browser.post("/sign-in", given).status_code == 403, "the attacker has a form, but not the victim's cookie"
    assert not browser.cookie


# --- cookies -----------------------------------------------------------------------------------


def test_a_cookie_that_was_planted_is_not_the_one_of_the_login(place: Place, browser: Browser) -> None:
    browser.client.cookies.set(browser.name, "planted-by-somebody", domain="127.0.0.1")
    led = browser.with_token()
    assert led.status_code == 303
    given = next(one for one in led.headers.get_list("set-cookie") if one.startswith(f"{browser.name}="))
    assert "planted" not in given
    planted = place.ask("GET", "/sessions", by="", headers={"Cookie": f"{browser.name}=planted-by-somebody"})
    assert planted.status_code == 303


def test_each_sign_in_has_a_cookie_of_its_own_and_ends_the_one_before(place: Place, browser: Browser) -> None:
    browser.with_token()
    first = browser.cookie
    browser.with_token()
    assert browser.cookie != first
    old = place.ask("GET", "/sessions", by="", headers={"Cookie": f"{browser.name}={first}"})
    assert old.status_code == 303


def test_what_lies_in_the_database_signs_nobody_in(place: Place, browser: Browser) -> None:
    browser.with_token()
    row = hashed(browser.cookie)
    assert place.ask("GET", "/sessions", by="", headers={"Cookie": f"{browser.name}={row}"}).status_code == 303


def test_a_login_of_a_key_that_is_gone_has_ended(place: Place, browser: Browser) -> None:
    import sqlite3

    browser.with_token()
    with closing(sqlite3.connect(place.settings.home / "mergewright.sqlite3")) as database:
        database.execute("UPDATE logins SET tokens = 'gAAAAA' WHERE id = ?", [hashed(browser.cookie)])
        database.commit()
    assert browser.get("/sessions").status_code == 303


# --- where one is led --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "back",
    [
        EVIL, "//evil.example", "///evil.example", "/\\evil.example", "\\\\evil.example", "/\t/evil.example",
        "/\n/evil.example", "javascript:alert(1)", "data:text/html,x", "", " /x", "/x\r\nSet-Cookie: a=b", "/%0d\x00",
    ],
)  # fmt: skip
def test_a_sign_in_leads_nowhere_but_to_us(place: Place, browser: Browser, back: str) -> None:
    assert local_path(back) == "/"
    page = browser.get(f"/sign-in?{urlencode({'back': back})}")
    assert field(page, "back") == "/"
    given = {"csrf": field(page), "token": place.stage.tokens["ann"], "back": back}
    assert browser.post("/sign-in", given).headers["location"] == "/"
    browser.get(place.stage.served.sign_in_link("ann"))
    began = browser.get(f"/sign-in/gitlab?{urlencode({'back': back})}")
    landed = browser.get(browser.get(began.headers["location"]).headers["location"])
    assert landed.headers["location"] == "/"


def test_script_in_what_the_forge_says_is_shown_as_text(browser: Browser) -> None:
    page = browser.get("/sign-in?" + urlencode({"back": '/"><script>alert(1)</script>'}))
    assert "<script>alert" not in page.text
    error = browser.get("/sign-in/callback?" + urlencode({"error": "<script>alert(1)</script>"}))
    assert "<script>alert" not in error.text
    assert "script-src 'self'" in error.headers["content-security-policy"]


# --- too much ----------------------------------------------------------------------------------


def test_tokens_cannot_be_tried_out_in_numbers(tmp_path_factory: pytest.TempPathFactory) -> None:
    place = Place(tmp_path_factory.mktemp("many"))
    browser = Browser(place)
    try:
        with closing(browser.client):
            csrf = field(browser.get("/sign-in"))
            codes = [
                browser.post("/sign-in", {"csrf": csrf, "token": f"glpat-guess-{number}"}).status_code
                for number in range(25)
            ]
        assert codes[0] == 401
        assert codes[-1] == 429
        assert place.ask("GET", "/api/v1/openapi.json").status_code == 200
    finally:
        place.close()


def test_one_token_is_renewed_once_by_however_many_requests(place: Place, browser: Browser) -> None:
    """A renewing token that is used twice ends the sign-in at GitLab: a busy page must not sign its reader out."""
    import sqlite3

    browser.with_gitlab()
    with closing(sqlite3.connect(place.settings.home / "mergewright.sqlite3")) as database:
        database.execute("UPDATE logins SET expires_at = 1 WHERE id = ?", [hashed(browser.cookie)])
        database.commit()
    codes: list[int] = []
    cookie = {"Cookie": f"{browser.name}={browser.cookie}"}

    def ask() -> None:
        codes.append(place.ask("GET", "/sessions", by="", headers=cookie).status_code)

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert codes == [200] * 8


# --- what stands open --------------------------------------------------------------------------


async def watched(place: Place, store: SqlStore) -> Session:
    """A session that says something to those who watch it."""
    subject = Subject(PROJECT, "#", (await asyncio.to_thread(place.stage.api, "POST", "/issues", title="x"))["iid"])
    forge = {"forge": place.stage.served.url}
    session = await store.create(Session("", "developer", subject, "", "ann", "m", inputs=forge))
    await store.append(session.id, EventKind.PROGRESS, {"text": "for those who may"}, turn=1)
    return session


async def test_a_page_that_stands_open_tells_nothing_more_once_its_person_has_signed_out(
    place: Place, browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "STILL", 0.0)
    store = open_store(place.settings.database)
    session = await watched(place, store)
    for path in (f"/sessions/{session.id}/live?first=0&after=0", f"/api/v1/sessions/{session.id}/events/stream"):
        browser.with_gitlab()
        csrf, kept = field(browser.get(REVIEWS)), browser.cookie
        with browser.client.stream("GET", f"{browser.url}{path}", timeout=30) as answer:
            assert answer.status_code == 200
            lines = answer.iter_lines()
            assert any("for those who may" in line for line in lines)
            with closing(Browser(place).client) as beside:
                beside.cookies.set(browser.name, kept, domain="127.0.0.1")
                assert beside.post(f"{browser.url}/sign-out", data={"csrf": csrf}).status_code == 303
            await store.append(session.id, EventKind.PROGRESS, {"text": f"said to nobody by {path}"}, turn=1)
            assert not [line for line in lines if f"said to nobody by {path}" in line]
    await store.close()


async def test_who_loses_the_project_hears_no_more_of_the_session_that_they_watch(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "STILL", 0.0)
    monkeypatch.setattr(rights, "KNOWN", 0.0)
    served = place.stage.served
    served.seed_user("nia")
    served.seed_member(PROJECT, "nia", 30)
    token = {"PRIVATE-TOKEN": served.seed_token("nia")}
    store = open_store(place.settings.database)
    session = await watched(place, store)
    path = f"{place.server.url}/api/v1/sessions/{session.id}/events/stream"
    with httpx2.stream("GET", path, headers=token, trust_env=False, timeout=30, verify=False) as answer:
        lines = answer.iter_lines()
        assert any("for those who may" in line for line in lines)
        served.seed_member(PROJECT, "nia", 0)
        await store.append(session.id, EventKind.PROGRESS, {"text": "said among us"}, turn=1)
        assert not [line for line in lines if "said among us" in line]
    await store.close()
