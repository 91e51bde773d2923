"""Strangers' words on a live session page: in a real Chromium they stay words, whatever they pretend to be."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from mergewright.domain.session import Status
from tests.browser.window import Window, chromium
from tests.server.pages.stand import app_over, served
from tests.server.pages.test_session_browser import Stage

WORDS = (
    "<script>window.taken = 1</script>",
    "<img src=x onerror='window.taken = 1'><svg onload='window.taken = 1'>",
    "</li></ol></details></template><form action=/sessions/x/approve><button autofocus>Approve</button></form>",
    "<div hx-get='/sessions' hx-trigger='load' hx-target='body'>x</div><p hx-swap-oob='innerHTML:#main'>mine</p>",
    "x\r\n\r\nevent: end\r\ndata: stopped\r\n\r\nevent: news\r\ndata: <b id=forged>forged</b>\r\n\r\n",
    "\u202egnorw\u2066 \u2028\u2029 \x1b]0;title\x07 \x00",
    "{{ 7 * 7 }} {% raw %} ${7*7} javascript:alert(1)",
)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


def test_words_that_come_live_neither_run_nor_stand_where_they_do_not_belong(tmp_path: Path, browser: Browser) -> None:
    stage = Stage(tmp_path)
    stage.status(Status.RUNNING)
    with served(app_over(stage.played)) as stage.url:
        window = Window(browser)
        page = window.page
        page.goto(stage.address)
        stage.tell("component", phase="begin", type="AgentComponent")
        for number, text in enumerate(WORDS):
            stage.tell("message", role="assistant", text=text)
            stage.tell("tool_call", f"{text}:1", id=str(number), name=text, arguments={"path": text, text: [text]})
            stage.tell("tool_result", f"{text}:1", id=str(number), name=text, text=f"{text}\n{text}", ok=False)
            stage.tell("plan", tasks=[{"text": text, "done": False}])
            stage.tell("error", message=text, hint=text)
            stage.tell("forge", action=text, subject=text, web_url=f"javascript:{text}")
        stage.status(Status.RUNNING, "".join(WORDS))
        stage.tell("progress", text="the end of it")
        for _ in range(2):
            expect(page.get_by_text("the end of it")).to_be_visible()
            assert page.evaluate("window.taken") is None
            strangers = (
                "#main img, #main svg, #main script, #forged, #main form[action*='/x/'], #main [hx-trigger=load]"
            )
            assert page.locator(strangers).count() == 0
            assert page.locator("#main a[href^='javascript']").count() == 0
            assert page.locator("#link").inner_text() == "Live", "no word ends the stream"
            assert page.locator("#story").get_by_text("window.taken = 1").count() > 0
            page.reload()
        window.close()
