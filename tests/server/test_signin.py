"""People sign in with a browser, and what ends it: over real HTTP, with a real local forge as GitLab."""

import re
from collections.abc import Iterator
from contextlib import closing
from itertools import count
from pathlib import Path
from urllib.parse import urlsplit

import httpx2
import pytest
from sqlalchemy import update

from mergewright.app.local import let_sign_in
from mergewright.localforge.login_tables import OAuthToken
from tests.review.stage import PROJECT
from tests.server.test_serving import Place

REVIEWS = "/reviews"
LAST = count(1)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    made = Place(tmp_path_factory.mktemp("signin"))
    let_sign_in(made.stage.served, made.settings, made.server.url)
    yield made
    made.close()


class Browser:
    """A browser: it keeps the cookies of each place apart, and says where a form was sent from."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.url = place.server.url
        # Each from an address of its own: one address may not try to sign in so often.
        transport = httpx2.HTTPTransport(local_address=f"127.0.1.{next(LAST)}")
        self.client = httpx2.Client(transport=transport, timeout=30)

    def get(self, address: str, **headers: str) -> httpx2.Response:
        return self.client.get(self._full(address), headers=headers)

    def post(self, address: str, given: dict[str, str], **headers: str) -> httpx2.Response:
        sent = {"Origin": self.url, "Sec-Fetch-Site": "same-origin"} | headers
        return self.client.post(self._full(address), data=given, headers=sent)

    def _full(self, address: str) -> str:
        return address if address.startswith("http") else f"{self.url}{address}"

    @property
    def name(self) -> str:
        return f"mergewright-{urlsplit(self.url).port}"

    @property
    def cookie(self) -> str:
        return self.client.cookies.get(self.name) or ""

    def with_token(self, who: str = "ann", *, back: str = "/") -> httpx2.Response:
        page = self.get(f"/sign-in?back={back}")
        return self.post("/sign-in", {"csrf": field(page), "token": self.place.stage.tokens[who], "back": back})

    def with_gitlab(self, who: str = "ann", *, back: str = "/") -> httpx2.Response:
        self.get(self.place.stage.served.sign_in_link(who))
        began = self.get(f"/sign-in/gitlab?back={back}")
        assert began.status_code == 303, began.text
        allowed = self.get(began.headers["location"])
        assert allowed.headers["location"].startswith(f"{self.url}/sign-in/callback?code="), allowed.text
        return self.get(allowed.headers["location"])


def field(page: httpx2.Response, name: str = "csrf") -> str:
    """Give the value of a hidden field of the page's own form, which comes after the one to sign out."""
    found = re.findall(rf'name="{name}" value="([^"]*)"', page.text)
    assert found, page.text
    return str(found[-1])


@pytest.fixture
def browser(place: Place) -> Iterator[Browser]:
    made = Browser(place)
    with closing(made.client):
        yield made


def test_a_person_signs_in_with_gitlab_and_lands_where_they_wanted_to_go(browser: Browser) -> None:
    led = browser.get(f"{REVIEWS}?project={PROJECT}")
    assert led.status_code == 303
    assert led.headers["location"].startswith("/sign-in?back=%2Freviews%3Fproject%3Dteam")
    back = led.headers["location"].partition("back=")[2]
    assert "Sign in with GitLab" in browser.get(led.headers["location"]).text
    landed = browser.with_gitlab(back=back)
    assert (landed.status_code, landed.headers["location"]) == (303, f"{REVIEWS}?project={PROJECT}")
    given = next(one for one in landed.headers.get_list("set-cookie") if one.startswith(f"{browser.name}="))
    for part in ("HttpOnly", "SameSite=lax", "Path=/"):
        assert part in given
    page = browser.get(landed.headers["location"])
    assert page.status_code == 200
    assert "@ann" in page.text


def test_a_person_signs_in_with_a_token_and_it_is_shown_nowhere(
    place: Place, browser: Browser, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    assert browser.with_token(back=REVIEWS).headers["location"] == REVIEWS
    page = browser.get(REVIEWS)
    assert "@ann" in page.text
    token = place.stage.tokens["ann"]
    kept = b"".join(one.read_bytes() for one in place.settings.home.glob("mergewright.sqlite3*"))
    # The test's own browser writes down what it is given.
    said = "".join(one.getMessage() for one in caplog.records if not one.name.startswith(("httpcore2", "httpx2")))
    assert "@ann signed in" in said
    for secret in (token, browser.cookie):
        assert secret not in page.text
        assert secret not in said
        assert secret.encode() not in kept
    assert (place.settings.home / "logins.key").stat().st_mode & 0o777 == 0o600


def test_the_api_takes_the_cookie_too(place: Place, browser: Browser) -> None:
    path = f"/api/v1/policy?project={PROJECT}"
    assert browser.get(path).status_code == 401
    browser.with_token()
    assert browser.get(path).status_code == 200
    csrf = field(browser.get("/reviews"))
    change = {"scope": PROJECT, "values": {"block_on": "major"}, "reason": "agreed"}
    url = f"{browser.url}/api/v1/policy"
    assert browser.client.patch(url, json=change).status_code == 403
    assert browser.client.patch(url, json=change, headers={"X-CSRF-Token": csrf}).status_code == 200


def test_signing_out_ends_it_for_whoever_kept_the_cookie(browser: Browser) -> None:
    browser.with_gitlab()
    kept = browser.cookie
    csrf = field(browser.get(REVIEWS))
    assert browser.post("/sign-out", {"csrf": csrf}).headers["location"] == "/sign-in"
    assert not browser.cookie
    browser.client.cookies.set(browser.name, kept, domain="127.0.0.1")
    assert browser.get(REVIEWS).status_code == 303
    assert "Your sign-in has ended" in browser.get("/sign-in").text


def test_signing_out_revokes_the_token_at_gitlab(place: Place, browser: Browser) -> None:
    browser.with_gitlab()
    live = _live(place)
    browser.post("/sign-out", {"csrf": field(browser.get(REVIEWS))})
    assert len(_live(place)) == len(live) - 1


def _live(place: Place) -> list[int]:
    with place.stage.served.instance.read() as session:
        return [one.id for one in session.query(OAuthToken).where(OAuthToken.revoked.is_(False))]


def test_a_token_that_ran_out_is_renewed_and_nobody_notices(place: Place, browser: Browser) -> None:
    browser.with_gitlab()
    before = _live(place)
    age(place)
    assert browser.get(REVIEWS).status_code == 200
    after = _live(place)
    assert len(after) == len(before)
    assert after != before


def age(place: Place) -> None:
    """Let every token that came from GitLab look as if it ended now."""
    import sqlite3

    with closing(sqlite3.connect(place.settings.home / "mergewright.sqlite3")) as database:
        database.execute("UPDATE logins SET expires_at = 1 WHERE expires_at > 0")
        database.commit()


def test_a_sign_in_that_was_revoked_ends_and_leads_back_to_the_page(place: Place, browser: Browser) -> None:
    browser.with_gitlab()
    page = browser.get(REVIEWS)
    with place.stage.served.instance.write() as session:
        session.execute(update(OAuthToken).values(revoked=True))
    age(place)
    led = browser.post("/sign-out", {"csrf": field(page)}, Referer=f"{browser.url}{REVIEWS}")
    assert led.headers["location"] == "/sign-in?back=%2Freviews"
    told = browser.get(led.headers["location"])
    assert "Your sign-in has ended" in told.text
    assert browser.with_gitlab(back=field(told, "back")).headers["location"] == REVIEWS


def test_htmx_is_led_to_the_sign_in_as_a_whole_page(browser: Browser) -> None:
    led = browser.get("/sessions", **{"HX-Request": "true", "Referer": f"{browser.url}/sessions?mine=true"})
    assert led.status_code == 401
    assert led.headers["hx-redirect"] == "/sign-in?back=%2Fsessions%3Fmine%3Dtrue"


def test_who_denies_gitlab_is_told_so(browser: Browser) -> None:
    told = browser.get("/sign-in/callback?error=access_denied&state=x")
    assert told.status_code == 401
    assert "GitLab was not allowed to say who you are" in told.text


def test_another_name_of_this_machine_leads_to_the_address_that_gitlab_knows(browser: Browser) -> None:
    led = browser.get("/sign-in?back=/reviews", Host=f"localhost:{urlsplit(browser.url).port}")
    assert led.headers["location"] == f"{browser.url}/sign-in?back=/reviews"


def test_with_a_public_address_the_cookie_is_for_https_alone(tmp_path: Path) -> None:
    url = "https://agents.example.com"
    place = Place(tmp_path, url=url)
    try:
        host = {"Host": "agents.example.com"}
        page = place.ask("GET", "/sign-in", by="", headers=host)
        assert page.headers["strict-transport-security"] == "max-age=31536000"
        assert "Sign in with GitLab" not in page.text, "no application is registered"
        visit = page.headers["set-cookie"].partition(";")[0]
        given = {"csrf": field(page), "token": place.stage.tokens["ann"]}
        sent = {**host, "Origin": url, "Cookie": visit}
        led = place.ask("POST", "/sign-in", by="", data=given, headers=sent)
        assert led.status_code == 303
        cookie = next(one for one in led.headers.get_list("set-cookie") if one.startswith("__Host-mergewright="))
        assert "Secure" in cookie
        assert "Domain" not in cookie
        signed_in = {**host, "Cookie": cookie.partition(";")[0]}
        assert "@ann" in place.ask("GET", REVIEWS, by="", headers=signed_in).text
    finally:
        place.close()


def test_a_person_who_asks_too_often_waits_whatever_they_ask_with(tmp_path: Path) -> None:
    place = Place(tmp_path, rate=3)
    try:
        path = f"/api/v1/policy?project={PROJECT}"
        codes = [place.ask("GET", path).status_code for _ in range(5)]
        assert codes[:3] == [200] * 3
        assert 429 in codes[3:]
        refused = place.ask("GET", "/reviews")
        assert refused.status_code == 429
        assert "too many requests" in refused.text.lower()
        assert place.ask("GET", path, by="bob").status_code == 200
    finally:
        place.close()
