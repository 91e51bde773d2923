"""The forms of reviews, settings, metrics and audit in a browser: taken from our own pages alone."""

import re
from collections.abc import Iterator
from contextlib import closing

import pytest

from mergewright.app.local import let_sign_in
from tests.review.stage import PROJECT, propose
from tests.server.pages.test_reviews import finding, reviewed
from tests.server.pages.test_settings import form_of, policy
from tests.server.test_serving import FAULT, Place
from tests.server.test_signin import Browser

REVIEW = f"/reviews/{PROJECT}/-/1"
SETTINGS = f"/settings/{PROJECT}"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    made = Place(tmp_path_factory.mktemp("forms"))
    let_sign_in(made.stage.served, made.settings, made.server.url)
    propose(made.stage, FAULT)
    made.until(lambda: reviewed(made))
    yield made
    made.close()


@pytest.fixture
def ann(place: Place) -> Iterator[Browser]:
    made = Browser(place)
    with closing(made.client):
        assert made.with_token().status_code == 303
        yield made


def test_every_form_carries_its_proof(ann: Browser) -> None:
    for path in (REVIEW, SETTINGS, f"/metrics?project={PROJECT}", "/audit"):
        text = ann.get(path).text
        forms = re.findall(r'<form method="post".*?</form>', text, re.DOTALL)
        assert len(forms) >= 2, path
        assert all(re.search(r'name="csrf" value="[\w-]{20,}"', form) for form in forms), path


def test_what_another_page_sends_is_refused_and_changes_nothing(place: Place, ann: Browser) -> None:
    form = form_of(ann.get(SETTINGS).text) | {"v.block_on": "info", "reason": "agreed"}
    forged = {name: value for name, value in form.items() if name != "csrf"}
    wanted = {
        SETTINGS: forged,
        f"{REVIEW}/findings/{finding(place)}/dismiss": {"reason": "go away"},
        f"{REVIEW}/override": {"reason": "go away"},
        f"{REVIEW}/again": {},
        "/metrics/look": {"project": PROJECT},
        "/audit/verify": {},
    }
    for path, given in wanted.items():
        assert ann.post(path, given).status_code == 403, path
        elsewhere = {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"}
        assert ann.post(path, given | {"csrf": form["csrf"]}, **elsewhere).status_code == 403, path
    assert policy(place, "block_on")["from"] == "default"
    assert "Not verified yet" in ann.get("/audit").text
    (one,) = place.ask("GET", f"/api/v1/findings?project={PROJECT}").json()
    assert one["state"] == "open"
    assert ann.post(SETTINGS, form).headers["location"] == f"{SETTINGS}?done=1"
    assert policy(place, "block_on")["value"] == "info"


def test_whoever_has_not_signed_in_is_led_there_and_back(place: Place) -> None:
    stranger = Browser(place)
    with closing(stranger.client):
        for path in (REVIEW, SETTINGS, "/metrics", "/audit"):
            led = stranger.get(path)
            assert led.status_code == 303
            assert led.headers["location"].startswith("/sign-in?back=%2F")
