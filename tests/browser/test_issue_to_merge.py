"""A person's whole way in the browser: from an issue by a live session, a review and a dismissal to the merge."""

from collections.abc import Iterator
from importlib import resources
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.window import Window
from tests.journeys.place import Place, make_repository

DATA = Path(str(resources.files("mergewright.cli") / "demo_data"))
REVIEW = Path(__file__).parent / "recordings" / "review.jsonl"
SECONDS = 60_000.0
"""Milliseconds for what a flow does."""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """The demo's project; its model replays the demo's session, and then a review of what that made."""
    folder = tmp_path_factory.mktemp("browser")
    recording = folder / "model.jsonl"
    # One server has one model: both conversations lie in one recording, under one head line.
    recording.write_text((DATA / "session.jsonl").read_text() + REVIEW.read_text().partition("\n")[2])
    opened = Place(folder / "home", [make_repository(DATA / "users-api", folder / "users-api")])
    opened.serve_with = ("--model", f"recorded:{recording}")
    opened.start()
    yield opened
    opened.stop()


def sign_in(page: Page, place: Place) -> None:
    """Sign in to the local forge with the person's token."""
    page.goto(f"{place.url}/users/sign_in")
    page.get_by_label("Personal access token").fill(place.token)
    page.get_by_role("button", name="Sign in").click()


def test_an_issue_becomes_a_merge_request_that_is_reviewed_dismissed_approved_and_merged(
    browser: Browser, place: Place
) -> None:
    window = Window(browser)
    page = window.page
    sign_in(page, place)

    page.goto(f"{place.url}/{place.project}/-/issues/new")
    page.get_by_label("Title").fill("Cursor-based pagination for GET /api/users")
    page.get_by_label("Description").fill((DATA / "issue.md").read_text())
    page.get_by_role("button", name="Create issue").click()
    page.get_by_role("button", name="Generate merge request").click()
    page.get_by_role("link", name="Watch it live").click()
    # Our own pages ask the forge who that is; to our own server it gives the answer without a further question.
    page.get_by_role("button", name="Sign in with GitLab").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("Developer", timeout=SECONDS)
    expect(page.locator("#story")).to_contain_text("Finished", timeout=SECONDS)
    assert window.audit() == []

    page.goto(f"{place.url}/{place.project}/-/merge_requests/1")
    page.get_by_role("button", name="Review with mergewright").click()
    address = f"{place.pages}/reviews/{place.project}/-/1"
    page.goto(address)
    for _ in range(60):
        if page.get_by_text("Changes requested").count():
            break
        page.wait_for_timeout(1_000)
        page.goto(address)
    finding = page.get_by_role("article").filter(has_text="no longer gets the first 40 users")
    finding.get_by_text("Dismiss it, or say that it is incorrect").click()
    finding.get_by_label("Why").fill("the issue asks for page 5")
    finding.get_by_role("button", name="Dismiss").click()
    expect(page.get_by_role("status")).to_contain_text("dismissed")
    assert window.audit() == []

    page.goto(f"{place.url}/{place.project}/-/merge_requests/1")
    page.get_by_role("button", name="Mark as ready").click()
    page.get_by_role("button", name="Approve", exact=True).click()
    page.get_by_role("button", name="Merge", exact=True).click()
    expect(page.get_by_text("Merged").first).to_be_visible()
    page.goto(f"{place.url}/{place.project}/-/issues/1")
    expect(page.get_by_text("Closed").first).to_be_visible()
    window.close()
