"""Browser journeys: the real command line serves, and a headless Chromium looks."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser

from tests.browser.window import chromium


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One Chromium for a file's tests; each test opens windows of its own."""
    with chromium() as started:
        yield started
