"""The session pages on the real server: a review as it happened, and who may see it."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.browser.window import Window, chromium
from tests.review.stage import PROJECT, propose
from tests.server.test_serving import FAULT, Place


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    made = Place(tmp_path)
    yield made
    made.close()


def test_a_review_is_listed_and_told_to_those_who_may_read_the_project(place: Place) -> None:
    propose(place.stage, FAULT)
    place.until(place.stage.summaries)
    listed = place.ask("GET", "/sessions").text
    found = re.search(r'href="(/sessions/\w{12})"', listed)
    assert found, listed
    page = place.until(lambda: _ended(place, found[1]))
    assert "Changes requested" in page
    assert f"{place.stage.served.url}/{PROJECT}/-/merge_requests/1" in page
    stream = place.ask("GET", f"{found[1]}/live?first=0&after=0").text
    assert "event: news" in stream
    assert stream.rstrip().endswith("event: end\ndata: finished")
    place.stage.served.seed_user("mallory")
    place.stage.tokens["mallory"] = place.stage.served.seed_token("mallory")
    assert found[1] not in place.ask("GET", "/sessions", by="mallory").text
    for path in ("", "/live", "/trace.jsonl", "/earlier?before=9"):
        assert place.ask("GET", found[1] + path, by="mallory").status_code == 404
    assert place.ask("POST", f"{found[1]}/restart", by="bob").status_code == 403, "it has finished"
    led = place.ask("GET", found[1], by="")
    assert (led.status_code, led.headers["location"]) == (303, f"/sign-in?back={found[1].replace('/', '%2F')}")


def _ended(place: Place, path: str) -> str:
    text = place.ask("GET", path).text
    return text if "Finished" in text else ""


def test_a_review_is_begun_in_the_browser_and_followed_live_to_its_end(place: Place) -> None:
    propose(place.stage, FAULT, title="Draft: x")
    with chromium() as browser:
        window = Window(browser)
        page = window.page
        page.goto(f"{place.server.url}/sessions?mine=true")
        page.get_by_label("Personal access token").fill(place.stage.tokens["ann"])
        page.get_by_role("button", name="Sign in", exact=True).click()
        expect(page.get_by_text("No session is like that")).to_be_visible()
        page.get_by_text("Begin a session").click()
        form = page.locator("form[method=post][action='/sessions']")
        form.get_by_label("Flow").select_option("code_review")
        form.get_by_label("Issue, merge request or project").fill("team/shop!99")
        form.get_by_role("button", name="Start").click()
        expect(page.get_by_role("alert")).to_be_visible()
        form.get_by_label("Issue, merge request or project").fill(f"{PROJECT}!1")
        form.get_by_role("button", name="Start").click()
        expect(page.locator("#standing")).to_contain_text("Finished", timeout=60_000)
        expect(page.locator("#story")).to_contain_text("verdict:")
        expect(page.locator("#link")).to_contain_text("This is the end")
        assert page.locator(".who").inner_text() == "@ann"
        window.close()
