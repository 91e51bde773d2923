"""The session pages on the real server: a review as it happened, and who may see it."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

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
