"""Whoever keeps the demo looks at it in the browser: the link that was printed signs them in everywhere."""

import os
import re
import signal
import subprocess
from pathlib import Path

from playwright.sync_api import Browser, expect

from tests.browser.window import Window
from tests.journeys.place import COMMAND, Running


def test_the_printed_link_leads_to_the_demos_sessions_and_reviews(browser: Browser, tmp_path: Path) -> None:
    env = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "TMPDIR": str(tmp_path), "LANG": "C.UTF-8"}
    process = subprocess.Popen(
        [COMMAND, "demo", "--keep"], env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    running = Running(process)
    try:
        running.wait_for("Both stay up", seconds=120)
        told = "\n".join(running.told)
        link, pages = re.findall(
            r"^(?:Sign in, once:|Sessions, reviews and settings are at) (\S+)$", told, re.MULTILINE
        )
        window = Window(browser, width="phone", theme="dark")
        window.page.goto(link)
        window.page.goto(pages)
        window.page.get_by_role("button", name="Sign in with GitLab").click()
        expect(window.page.get_by_role("link", name="demo/users-api!2").first).to_be_visible()
        assert window.audit() == []
        window.page.goto(f"{pages}/reviews/demo/users-api/-/2")
        expect(window.page.get_by_text("Approved").first).to_be_visible()
        assert window.audit() == []
        assert not window.too_wide()
        window.close()
    finally:
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0
        for stream in (process.stdout, process.stderr):
            assert stream is not None
            stream.close()
