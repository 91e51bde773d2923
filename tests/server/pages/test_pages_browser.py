"""Reviews, settings, metrics and audit as a person sees them: in a real Chromium, both themes, a phone, no script."""

from collections.abc import Iterator
from typing import Literal

import pytest
from playwright.sync_api import Browser, expect

from tests.browser.window import Window, chromium
from tests.review.stage import PROJECT, propose
from tests.server.pages.test_reviews import EVIL, OWN, keep, reviewed
from tests.server.test_serving import FAULT, Place

REVIEW = f"/reviews/{PROJECT}/-/1"
PAGES = (
    "/reviews",
    REVIEW,
    "/settings",
    f"/settings/{PROJECT}",
    f"/metrics?project={PROJECT}",
    "/audit",
    "/reviews/a/b",
)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    made = Place(tmp_path_factory.mktemp("pages"), admins=frozenset({"rita"}))
    propose(made.stage, FAULT, title=f"Add {EVIL}")
    made.until(lambda: reviewed(made))
    keep(made, OWN)
    given = {"scope": PROJECT, "values": {"exclude": [EVIL], "round_limit": 7}, "reason": f"because {EVIL}"}
    assert made.ask("PATCH", "/api/v1/policy", json=given).status_code == 200
    locked = {"scope": "organisation", "values": {"block_on": "critical"}, "reason": "everywhere"}
    assert made.ask("PATCH", "/api/v1/policy", by="rita", json=locked).status_code == 200
    yield made
    made.close()


@pytest.fixture(scope="module")
def browser(place: Place) -> Iterator[Browser]:
    del place
    with chromium() as started:
        yield started


def opened(
    place: Place,
    browser: Browser,
    *,
    by: str = "ann",
    width: Literal["wide", "phone"] = "wide",
    theme: Literal["light", "dark"] = "light",
    scripts: bool = True,
) -> Window:
    window = Window(browser, width=width, theme=theme, scripts=scripts)
    window.page.context.set_extra_http_headers({"Authorization": f"Bearer {place.stage.tokens[by]}"})
    window.page.on("dialog", lambda dialog: window.faults.append(f"a script ran: {dialog.message}"))
    return window


@pytest.mark.parametrize(("theme", "width"), [("light", "wide"), ("dark", "phone")])
def test_every_page_can_be_read_by_everybody_and_runs_nobody_elses_script(
    place: Place, browser: Browser, width: Literal["wide", "phone"], theme: Literal["light", "dark"]
) -> None:
    window = opened(place, browser, width=width, theme=theme)
    for path in PAGES:
        window.page.goto(f"{place.server.url}{path}")
        # What is folded must be readable too.
        window.page.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
        assert window.audit() == [], path
        assert not window.too_wide(), path
    window.close()


def test_a_finding_is_disputed_and_the_policy_changed_without_any_script(place: Place, browser: Browser) -> None:
    window = opened(place, browser, scripts=False)
    page = window.page
    page.goto(f"{place.server.url}{REVIEW}")
    card = page.locator("article.finding", has_text="F821")
    card.get_by_text("Dismiss it, or say that it is incorrect").click()
    card.get_by_label("Why").fill("The name comes from a plug-in")
    card.get_by_role("button", name="It is incorrect").click()
    expect(page.get_by_role("status")).to_contain_text("The finding is disputed")
    expect(page.locator("article.finding", has_text="F821")).to_contain_text("The name comes from a plug-in")
    page.goto(f"{place.server.url}/settings/{PROJECT}")
    page.get_by_label("Block on").select_option("major")
    page.get_by_role("switch", name="developer").uncheck()
    page.get_by_label("Why").fill("A calm week")
    page.get_by_role("button", name="Change").click()
    expect(page.get_by_role("status")).to_have_text("Changed, and in force from now on.")
    expect(page.get_by_label("Block on")).to_have_value("major")
    expect(page.get_by_role("switch", name="developer")).not_to_be_checked()
    page.goto(f"{place.server.url}/audit")
    page.get_by_label("Action").select_option("policy")
    page.get_by_role("button", name="Show").click()
    expect(page.get_by_role("row", name="A calm week")).to_be_visible()
    page.get_by_role("button", name="Verify now").click()
    expect(page.get_by_text("Whole", exact=True)).to_be_visible()
    window.close()


def test_everything_is_reached_and_done_by_keyboard(place: Place, browser: Browser) -> None:
    window = opened(place, browser)
    page = window.page
    page.goto(f"{place.server.url}/settings/{PROJECT}")
    page.get_by_label("Round limit").focus()
    page.keyboard.press("ArrowUp")
    for _ in range(40):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.id") == "reason":
            break
    page.keyboard.type("One more round")
    page.keyboard.press("Enter")
    expect(page.get_by_role("status")).to_have_text("Changed, and in force from now on.")
    expect(page.get_by_label("Round limit")).to_have_value("8")
    window.close()


def test_a_review_that_was_asked_for_shows_by_itself_and_what_is_being_written_stays(
    place: Place, browser: Browser
) -> None:
    window = opened(place, browser)
    page = window.page
    page.goto(f"{place.server.url}{REVIEW}")
    # Before it is asked for: the row of a review that has just begun may be there as soon as the page comes back.
    rounds = page.get_by_role("region", name="All rounds").get_by_role("row").count()
    page.get_by_role("button", name="Review again").click()
    expect(page.get_by_role("status")).to_contain_text("the newest head is reviewed next")
    page.get_by_text("Override the request for changes").click()
    page.get_by_label("Why the merge may go on").fill("Half a reas")
    page.get_by_role("link", name="Show what was found").wait_for(timeout=40_000)
    expect(page.get_by_label("Why the merge may go on")).to_have_value("Half a reas")
    page.get_by_role("link", name="Show what was found").click()
    expect(page.get_by_role("region", name="All rounds").get_by_role("row")).to_have_count(rounds + 1)
    window.close()
