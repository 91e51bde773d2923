"""Signing in as a person sees it, in a real Chromium, over the local forge's own pages."""

import re
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Literal
from urllib.parse import urlencode

import pytest
from playwright.sync_api import Browser, expect
from sqlalchemy import update

from mergewright.app.local import let_sign_in
from mergewright.localforge.login_tables import OAuthToken
from mergewright.localforge.oauth import new_application
from tests.browser.window import Window, chromium
from tests.server.test_serving import Place
from tests.server.test_signin import age


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    made = Place(tmp_path_factory.mktemp("browser"))
    let_sign_in(made.stage.served, made.settings, made.server.url)
    yield made
    made.close()


def test_a_person_signs_in_over_the_forge_and_lands_on_their_page(place: Place, browser: Browser) -> None:
    with closing(Window(browser)) as window:
        page = window.page
        page.goto(f"{place.server.url}/reviews?project=team/shop")
        page.get_by_text("Sign in with GitLab").click()
        expect(page).to_have_url(re.compile(re.escape(place.stage.served.url)))
        page.get_by_label("Personal access token").fill(place.stage.tokens["ann"])
        page.get_by_role("button", name="Sign in").click()
        expect(page).to_have_url(f"{place.server.url}/reviews?project=team/shop")
        expect(page.get_by_text("@ann")).to_be_visible()
        page.get_by_role("button", name="Sign out").click()
        expect(page).to_have_url(f"{place.server.url}/sign-in")
        page.get_by_text("Sign in with GitLab").click()
        expect(page, "who is signed in at the forge needs one click").to_have_url(f"{place.server.url}/sessions")


def test_a_link_that_was_printed_signs_in_without_a_token(place: Place, browser: Browser) -> None:
    with closing(Window(browser)) as window:
        page = window.page
        page.goto(place.stage.served.sign_in_link("ann"))
        page.goto(f"{place.server.url}/sessions")
        page.get_by_text("Sign in with GitLab").click()
        expect(page.get_by_text("@ann")).to_be_visible()


def test_a_token_signs_in_and_a_wrong_one_is_told(place: Place, browser: Browser) -> None:
    with closing(Window(browser)) as window:
        page = window.page
        page.goto(f"{place.server.url}/sign-in")
        page.get_by_text("With a token instead").click()
        page.get_by_label("Personal access token").fill("glpat-of-nobody")
        page.get_by_role("button", name="Sign in", exact=True).click()
        expect(page.get_by_role("alert")).to_be_visible()
        page.get_by_text("With a token instead").click()
        page.get_by_label("Personal access token").fill(place.stage.tokens["ann"])
        page.get_by_role("button", name="Sign in", exact=True).click()
        expect(page.get_by_text("@ann")).to_be_visible()


def test_a_sign_in_that_ended_before_a_form_was_sent_leads_back_to_its_page(place: Place, browser: Browser) -> None:
    with closing(Window(browser)) as window:
        page = window.page
        page.goto(place.stage.served.sign_in_link("ann"))
        page.goto(f"{place.server.url}/settings/team/shop")
        page.get_by_text("Sign in with GitLab").click()
        expect(page).to_have_url(f"{place.server.url}/settings/team/shop")
        with place.stage.served.instance.write() as session:
            session.execute(update(OAuthToken).values(revoked=True))
        age(place)
        page.get_by_role("button", name="Sign out").click()
        expect(page.get_by_role("alert")).to_contain_text("Your sign-in has ended")
        page.get_by_text("Sign in with GitLab").click()
        expect(page).to_have_url(f"{place.server.url}/settings/team/shop")


@pytest.mark.parametrize(("width", "theme"), [("wide", "light"), ("phone", "dark")])
def test_the_pages_of_signing_in_are_fit_for_everybody(
    place: Place, browser: Browser, width: Literal["wide", "phone"], theme: Literal["light", "dark"], tmp_path: Path
) -> None:
    forge = place.stage.served
    ask = {"redirect_uri": "http://127.0.0.1:9/back", "response_type": "code", "scope": "read_api"}
    with forge.instance.write() as session:
        row, _ = new_application(
            session, "Clock", [ask["redirect_uri"]], scopes=["read_api"], confidential=True, trusted=False
        )
        consent = f"{forge.url}/oauth/authorize?{urlencode(ask | {'client_id': row.uid})}"
    with closing(Window(browser, width=width, theme=theme)) as window:
        for address, heading in (
            (f"{place.server.url}/sign-in", "Sign in"),
            (f"{forge.url}/users/sign_in", "Sign in"),
            (forge.sign_in_link("ann"), "Projects"),
            (consent, "Let Clock act for you?"),
        ):
            window.page.goto(address)
            expect(window.page.get_by_role("heading", name=heading).first).to_be_visible()
            assert window.audit() == []
            assert not window.too_wide()
            name = address.partition("?")[0].rpartition("/")[2]
            window.page.screenshot(path=tmp_path / f"{name}-{width}-{theme}.png")
