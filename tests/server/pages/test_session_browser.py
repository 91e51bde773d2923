"""The session pages as a person sees them: in a real Chromium, live, by keyboard, in both themes, without script."""

import asyncio
import re
import threading
from collections.abc import Coroutine, Iterator
from pathlib import Path
from typing import Any, Literal, TypeVar

import pytest
from playwright.sync_api import Browser, Page, expect

from mergewright.domain.session import EventKind, Session, Status, Subject
from mergewright.store.sql import open_store
from tests.browser.window import Window, chromium
from tests.server.pages.stand import Played, app_over, served

T = TypeVar("T")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


class Stage:
    """A session that a test plays, and the pages that show it."""

    def __init__(self, folder: Path) -> None:
        self.store = open_store(folder / "db.sqlite3")
        self.played = Played(self.store)
        self.url = ""
        self.session = self.run(
            self.store.create(Session("", "developer", Subject("team/shop", "#", 7), "x", "ann", "test:m", turn=1))
        )

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        # Apart from the browser's driver, which has a loop of its own in this thread.
        answer: list[T] = []
        thread = threading.Thread(target=lambda: answer.append(asyncio.run(work)))
        thread.start()
        thread.join()
        return answer[0]

    def tell(self, kind: str, component: str = "implement:1", **data: Any) -> None:
        self.run(self.store.append(self.session.id, EventKind(kind), data, turn=1, component=component))

    def status(self, status: Status, reason: str = "") -> None:
        self.run(self.store.update(self.session.id, status=status, reason=reason))

    @property
    def address(self) -> str:
        return f"{self.url}/sessions/{self.session.id}"


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    made = Stage(tmp_path)
    made.status(Status.RUNNING)
    made.tell("component", phase="begin", type="AgentComponent")
    made.tell("plan", tasks=[{"text": "one", "done": False}, {"text": "two", "done": False}])
    with served(app_over(made.played)) as made.url:
        yield made


def fill(stage: Stage, lines: int) -> None:
    for number in range(lines):
        stage.tell("progress", text=f"line {number}")


def at_end(page: Page) -> bool:
    answer: bool = page.evaluate("innerHeight + scrollY >= document.documentElement.scrollHeight - 80")
    return answer


def test_what_happens_shows_on_the_open_page_and_what_is_being_written_stays(stage: Stage, browser: Browser) -> None:
    window = Window(browser)
    page = window.page
    page.goto(stage.address)
    page.get_by_label("Message to the agent").fill("do not forget")
    stage.tell("tool_call", id="a", name="run", arguments={"command": "pytest -q"})
    expect(page.locator(".line.run")).to_contain_text("running")
    stage.tell("tool_result", id="a", name="run", text="exit 0 · 0.3 s\nok", ok=True, tests={"passed": 2})
    expect(page.locator(".line.run")).to_contain_text("exit 0 · 0.3 s · 2 passed")
    stage.tell("plan", tasks=[{"text": "one", "done": True}, {"text": "two", "done": False}])
    expect(page.locator("#plan")).to_contain_text("1 of 2")
    stage.tell("usage", requests=1, input_tokens=1234, output_tokens=5, cached_tokens=0, cost=0.5, seconds=1.0)
    expect(page.locator("#spent")).to_contain_text("1,234")
    stage.tell("component", "verify:1", phase="begin", type="DeterministicStepComponent")
    stage.tell("check", "verify:1", command="make test", exit_code=0, seconds=1.0, summary="9 passed", when="after")
    expect(page.locator(".step")).to_have_count(2)
    stage.status(Status.RUNNING, "going on")
    expect(page.locator("#standing")).to_contain_text("going on")
    expect(page.get_by_label("Message to the agent")).to_have_value("do not forget")
    expect(page.get_by_label("Message to the agent")).to_be_focused()
    stage.status(Status.FINISHED, "opened !1")
    expect(page.locator("#standing")).to_contain_text("opened !1")
    expect(page.get_by_label("Message to the agent")).to_have_count(0)
    expect(page.locator("#link")).to_contain_text("This is the end")
    assert page.title() == "Finished: Developer team/shop#7 · mergewright"
    assert page.locator(".line.run").count() == 1, "nothing is shown twice"
    window.close()


def test_who_reads_further_up_is_left_there_and_who_is_at_the_end_goes_along(stage: Stage, browser: Browser) -> None:
    fill(stage, 60)
    window = Window(browser)
    page = window.page
    page.goto(stage.address)
    stage.tell("progress", text="something new")
    expect(page.locator("#jump")).to_be_visible()
    assert page.evaluate("scrollY") == 0
    page.locator("#jump").click()
    expect(page.locator("#jump")).to_be_hidden()
    assert at_end(page)
    stage.tell("progress", text="the very newest")
    expect(page.get_by_text("the very newest")).to_be_in_viewport()
    assert at_end(page)
    window.close()


def test_a_lost_connection_comes_back_without_a_gap_or_a_repetition(stage: Stage, browser: Browser) -> None:
    window = Window(browser)
    page = window.page
    page.goto(stage.address)
    stage.tell("progress", text="line 1.")
    expect(page.get_by_text("line 1.")).to_be_visible()
    # The extension makes a new connection by itself where the browser has given the old one up.
    page.evaluate(
        """() => {
          const made = htmx.createEventSource;
          window.opened = [];
          htmx.createEventSource = (address) => { const one = made(address); window.opened.push(one.url); return one; };
          const element = document.querySelector("[sse-connect]");
          const source = element["htmx-internal-data"].sseEventSource;
          source.close();
          source.onerror(new Event("error"));
        }"""
    )
    expect(page.locator("#link")).to_contain_text("trying again")
    stage.tell("progress", text="line 2.")
    expect(page.get_by_text("line 2.")).to_be_visible()
    expect(page.locator("#link")).to_have_text("Live")
    assert re.search(r"after=4\b", page.evaluate("window.opened[0]"))
    assert page.get_by_text(re.compile(r"line \d\.")).all_inner_texts() == ["line 1.", "line 2."]
    assert window.faults == ["[object Event]"], "htmx tells the console of the one lost connection"
    window.faults.clear()
    window.close()


def test_a_plan_is_decided_with_the_keyboard_alone(stage: Stage, browser: Browser) -> None:
    stage.status(Status.PLAN_APPROVAL_REQUIRED, "the plan waits for approval")
    window = Window(browser)
    page = window.page
    page.goto(stage.address)
    page.keyboard.press("Tab")
    expect(page.get_by_text("Skip to content")).to_be_focused()
    page.get_by_text("Reject…").focus()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    page.keyboard.type("too much")
    page.keyboard.press("Tab")
    with page.expect_navigation():
        page.keyboard.press("Enter")
    assert stage.played.asked == [("reject", stage.session.id, "too much")]
    window.close()


def test_j_and_k_go_from_line_to_line_but_not_while_one_writes(stage: Stage, browser: Browser) -> None:
    for name in "abc":
        stage.tell("tool_call", id=name, name="read", arguments={"path": f"{name}.py"})
        stage.tell("tool_result", id=name, name="read", text=f"{name}.py · lines 1-1 of 1\n{name} = 1", ok=True)
    window = Window(browser)
    page = window.page
    page.goto(stage.address)
    for key in "jjjjk":
        page.keyboard.press(key)
    page.keyboard.press("Enter")
    expect(page.get_by_text("a = 1")).to_be_visible()
    page.get_by_label("Message to the agent").focus()
    page.keyboard.type("jk")
    expect(page.get_by_label("Message to the agent")).to_have_value("jk")
    window.close()


def test_without_any_script_every_form_works_and_a_cancel_is_asked_twice(stage: Stage, browser: Browser) -> None:
    window = Window(browser, scripts=False)
    page = window.page
    page.goto(stage.address)
    expect(page.get_by_text("Reload to see what is new")).to_be_visible()
    expect(page.get_by_role("button", name="Cancel the session")).to_be_hidden()
    page.get_by_text("Cancel…").click()
    page.get_by_role("button", name="Cancel the session").click()
    expect(page.locator("#standing")).to_contain_text("Stopped")
    page.get_by_role("button", name="Restart as a new session").click()
    expect(page.locator("#standing")).to_contain_text("Created")
    page.goto(f"{stage.url}/sessions?status=stopped")
    expect(page.locator("tbody tr")).to_have_count(1)
    window.close()


def test_the_list_stays_fresh_and_keeps_the_focus(stage: Stage, browser: Browser) -> None:
    window = Window(browser)
    page = window.page
    page.goto(f"{stage.url}/sessions")
    page.locator(f"#to-{stage.session.id}").focus()
    stage.status(Status.FINISHED, "done")
    expect(page.locator("tbody")).to_contain_text("Finished")
    expect(page.locator(f"#to-{stage.session.id}")).to_be_focused()
    page.get_by_label("Status").select_option("Failed")
    expect(page.get_by_text("No session is like that")).to_be_visible()
    assert "status=failed" in page.url
    window.close()


def test_the_theme_is_kept_and_there_before_anything_is_painted(stage: Stage, browser: Browser) -> None:
    window = Window(browser, theme="light")
    page = window.page
    page.goto(f"{stage.url}/sessions")
    page.get_by_role("button", name="Switch between the light and the dark theme").click()
    page.goto(stage.address, wait_until="commit")
    page.wait_for_selector("body")
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"
    assert page.evaluate("getComputedStyle(document.documentElement).colorScheme") == "dark"
    window.close()


@pytest.mark.parametrize(("theme", "width"), [("light", "wide"), ("dark", "phone")])
def test_the_pages_have_no_serious_fault_for_those_who_see_or_steer_otherwise(
    stage: Stage, browser: Browser, theme: Literal["light", "dark"], width: Literal["wide", "phone"]
) -> None:
    stage.tell("message", role="assistant", text="I look first. " * 30)
    stage.tell("tool_call", id="a", name="edit", arguments={"path": "src/" + "long/" * 30 + "a.py"})
    stage.tell("tool_result", id="a", name="edit", text=f"a.py changed\n@@ -1 +1 @@\n-{'x' * 300}\n+y", ok=True)
    stage.tell("check", command="make test", exit_code=2, seconds=1.0, summary="1 failed", when="after")
    stage.tell("error", message="it failed", hint="try again")
    stage.status(Status.PLAN_APPROVAL_REQUIRED, "the plan waits for approval")
    window = Window(browser, theme=theme, width=width)
    for path in (f"/sessions/{stage.session.id}?view=full", "/sessions", "/nothing"):
        window.page.goto(stage.url + path)
        window.page.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
        assert window.audit() == [], path
        assert not window.too_wide(), path
    window.close()
