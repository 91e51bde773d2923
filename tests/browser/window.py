"""A person at a browser: a real headless Chromium that looks at the server's pages."""

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, Literal

from playwright.sync_api import Browser, Page, expect, sync_playwright

AXE = Path(__file__).parent.parent / "vendor" / "axe.min.js"
WIDTHS = {"wide": (1280, 900), "phone": (390, 844)}
PATIENCE = 30_000.0
"""Milliseconds for a page, or for what shall show on it."""
GRAVE = frozenset({"serious", "critical"})


@contextmanager
def chromium() -> Iterator[Browser]:
    """Start the system's Chromium, without a window and without the services it would call home for."""
    # On a machine with much to do a page takes its time; what is there already is not waited for.
    expect.set_options(timeout=PATIENCE)
    with sync_playwright() as driver:
        browser = driver.chromium.launch(
            executable_path=shutil.which("chromium"),
            args=["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"],
        )
        try:
            yield browser
        finally:
            browser.close()


class Window:
    """One person's browser window, which fails the test on any script error, blocked script or server error."""

    def __init__(
        self,
        browser: Browser,
        *,
        width: Literal["wide", "phone"] = "wide",
        theme: Literal["light", "dark"] = "light",
        scripts: bool = True,
    ) -> None:
        across, down = WIDTHS[width]
        self._context = browser.new_context(
            viewport={"width": across, "height": down}, color_scheme=theme, java_script_enabled=scripts
        )
        self.page: Page = self._context.new_page()
        self.page.set_default_timeout(PATIENCE)
        self.faults: list[str] = []
        self.page.on("pageerror", lambda error: self.faults.append(f"script error: {error}"))
        self.page.on("console", lambda said: self.faults.append(said.text) if _grave(said.type, said.text) else None)
        self.page.on(
            "response",
            lambda answer: self.faults.append(f"{answer.status} {answer.url}") if answer.status >= 500 else None,
        )

    def close(self) -> None:
        """Close the window; raises AssertionError for what went wrong in it unseen."""
        self._context.close()
        assert not self.faults, self.faults

    def audit(self) -> list[str]:
        """Give what axe finds serious or critical on the page as it stands, a line each."""
        self.page.evaluate(_axe())
        found: dict[str, Any] = self.page.evaluate(
            "() => axe.run(document, {resultTypes: ['violations']}).then(r => JSON.parse(JSON.stringify(r)))"
        )
        return [
            f"{one['id']}: {one['help']}: {json.dumps([node['html'][:160] for node in one['nodes'][:3]])}"
            for one in found["violations"]
            if one["impact"] in GRAVE
        ]

    def too_wide(self) -> bool:
        """Whether the page must be scrolled sideways."""
        wide: bool = self.page.evaluate(
            "() => document.documentElement.scrollWidth > document.documentElement.clientWidth + 1"
        )
        return wide


def _grave(kind: str, text: str) -> bool:
    # A page that is not there, or not allowed, tells so itself; the console says it once more.
    return kind == "error" and "Failed to load resource" not in text


@cache
def _axe() -> str:
    return AXE.read_text()
