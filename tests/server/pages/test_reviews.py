"""The pages of reviews over real HTTP: what they show, to whom, and what a form of theirs does."""

import asyncio
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from mergewright.app.reviewing import open_reviews
from mergewright.domain.review import (
    Coverage,
    Finding,
    FindingState,
    Proof,
    Review,
    ReviewerStatus,
    Seen,
    Severity,
    Verdict,
)
from mergewright.domain.review import Place as Spot
from mergewright.store.sql import open_store
from tests.review.stage import PROJECT, propose
from tests.server.test_serving import FAULT, Place

PAGE = f"/reviews/{PROJECT}/-/1"
EVIL = "<script>alert(1)</script><img src=x onerror=alert(2)>"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    made = Place(tmp_path_factory.mktemp("pages"))
    made.stage.served.seed_user("mallory")
    made.stage.tokens["mallory"] = made.stage.served.seed_token("mallory")
    propose(made.stage, FAULT, title=f"Add {EVIL}")
    made.until(lambda: reviewed(made))
    keep(made, OWN)
    yield made
    made.close()


OWN = Finding(
    "evil",
    "print-evil",
    Spot(f"{EVIL}.py", 3, 2),
    Severity.MINOR,
    "security",
    f"`x` {EVIL}",
    f"body {EVIL}",
    quote=f"quote {EVIL}",
    suggestion=f"instead {EVIL}",
    proof=Proof("pytest -q", {"t.py": EVIL}, "boom", 0, f"passed {EVIL}", "b" * 40, holds=False, first_exit_code=1),
    evidence=f"evidence {EVIL}",
    instruction=f"instruction {EVIL}",
    source="lint",
    rule=EVIL,
    state=FindingState.FIXED,
    answer=f"answer {EVIL}",
    first_sha="a" * 40,
    last_sha="b" * 40,
)


def reviewed(place: Place) -> int:
    """Count the reviews that came to a verdict."""
    told = place.ask("GET", f"/api/v1/reviews?project={PROJECT}").json()
    return sum(one["verdict"] is not None for one in told)


def keep(place: Place, *findings: Finding) -> None:
    """Put findings into the server's database, as another process would."""

    async def put() -> None:
        store = open_store(place.settings.database)
        reviews = open_reviews(place.settings, store)
        await reviews.save_findings(PROJECT, 1, findings)
        await store.close()

    asyncio.run(put())


def finding(place: Place) -> str:
    (one,) = [each for each in place.ask("GET", f"/api/v1/findings?project={PROJECT}").json() if each["id"] != "evil"]
    return str(one["id"])


def test_a_list_tells_of_each_reviewed_merge_request_to_those_who_see_it(place: Place) -> None:
    shown = place.ask("GET", "/reviews", by="rita")
    assert shown.status_code == 200
    assert f'href="{PAGE}">{PROJECT}!1</a>' in shown.text
    assert '<span class="badge bad">Changes requested</span>' in shown.text
    assert PAGE not in place.ask("GET", "/reviews", by="mallory").text
    assert place.ask("GET", f"/reviews?project={PROJECT}", by="mallory").status_code == 404
    assert PAGE in place.ask("GET", f"/reviews?project={PROJECT}").text
    assert PAGE not in place.ask("GET", "/reviews?before=1").text


def test_a_merge_request_shows_why_it_is_held_what_was_found_and_what_was_seen(place: Place) -> None:
    text = place.ask("GET", PAGE).text
    assert "The forge blocks the merge until the request for changes is withdrawn or overridden." in text
    assert "<code>not_counted</code>, set by default" in text
    assert "shop/price.py:2" in text
    assert "rule <code>F821</code>" in text
    assert "1 of 1 files whole" in text
    assert re.search(r'href="[^"]+/merge_requests/1#note_\d+">Thread</a>', text)
    assert "Exit code 1 on <code>aaaaaaaa</code>, and 0 on <code>bbbbbbbb</code>" in text
    assert "pytest -q" in text


def test_html_in_titles_findings_and_reasons_stays_text(place: Place) -> None:
    answer = place.ask("POST", f"{PAGE}/findings/{finding(place)}/dispute", by="bob", data={"reason": EVIL})
    assert answer.status_code == 303
    text = place.ask("GET", PAGE).text
    assert "<img" not in text
    assert "<script>alert" not in text
    assert text.count("&lt;script&gt;alert(1)&lt;/script&gt;") >= 12
    policy = place.ask("GET", PAGE).headers["content-security-policy"]
    assert "script-src 'self'" in policy
    assert "unsafe" not in policy


def test_whoever_has_not_the_role_reads_why_and_finds_no_form(place: Place) -> None:
    rita, bob, ann = (place.ask("GET", PAGE, by=name).text for name in ("rita", "bob", "ann"))
    assert "/dispute" not in rita
    assert "To mark a finding as incorrect takes the role Developer or more; you have the role Reporter." in rita
    assert "To ask for a review takes the role Developer or more; you have the role Reporter." in rita
    assert "/dispute" in bob
    assert "/dismiss" not in bob
    assert "To dismiss a finding takes the role Maintainer or more; you have the role Developer." in bob
    assert f"{PAGE}/override" not in bob
    assert "/dismiss" in ann
    assert f"{PAGE}/override" in ann
    assert place.ask("GET", PAGE, by="mallory").status_code == 404
    assert place.ask("GET", PAGE, by="").status_code in {303, 401}


def test_r29_the_page_makes_the_same_check_as_rest(place: Place) -> None:
    at = f"{PAGE}/findings/{finding(place)}/dismiss"
    refused = place.ask("POST", at, by="bob", data={"reason": "it is fine"})
    assert refused.status_code == 403
    assert "takes the role Maintainer or more; @bob has Developer" in refused.text
    assert ">it is fine</textarea>" in refused.text
    short = place.ask("POST", at, data={"reason": ""})
    assert short.status_code == 422
    assert "takes a reason" in short.text
    assert place.ask("POST", at, data={"reason": "x" * 2_001}).status_code == 422
    assert place.ask("POST", at, by="mallory", data={"reason": "it is fine"}).status_code == 404
    assert place.ask("POST", f"{PAGE}/findings/nothing/dismiss", data={"reason": "why not"}).status_code == 404
    assert place.ask("POST", f"{PAGE}/findings/{finding(place)}/delete", data={"reason": "abc"}).status_code == 404
    lines = place.ask("GET", f"/api/v1/audit?project={PROJECT}").text
    assert '"actor": "bob", "action": "refuse"' in lines


def test_r29_an_override_on_the_page_lifts_the_request_for_changes(place: Place) -> None:
    assert place.ask("POST", f"{PAGE}/override", by="bob", data={"reason": "we ship"}).status_code == 403
    answer = place.ask("POST", f"{PAGE}/override", data={"reason": "we ship"})
    assert (answer.status_code, answer.headers["location"]) == (303, f"{PAGE}?done=overridden")
    text = place.ask("GET", f"{PAGE}?done=overridden").text
    assert "The request for changes is lifted, without an approval." in text
    assert '<span class="badge wait">Overridden</span>' in text
    assert "was Changes requested" in text
    assert place.stage.merge_request()["detailed_merge_status"] == "mergeable"
    assert "There is no request for changes to override." in text
    assert place.ask("POST", f"{PAGE}/override", data={"reason": "again"}).status_code == 409


def test_r49_a_click_asks_for_one_more_review(place: Place) -> None:
    assert place.ask("POST", f"{PAGE}/again", by="rita").status_code == 403
    assert place.ask("POST", f"{PAGE}/again", by="mallory").status_code == 404
    before = reviewed(place)
    assert place.ask("POST", f"{PAGE}/again", by="bob").headers["location"] == f"{PAGE}?done=asked"
    place.until(lambda: reviewed(place) == before + 1)


def test_a_project_in_other_letters_is_the_same_and_keeps_its_policy(place: Place) -> None:
    assert place.ask("GET", "/reviews/TEAM/Shop/-/1").headers["location"] == PAGE
    assert place.ask("POST", "/reviews/TEAM/Shop/-/1/again").headers["location"] == f"{PAGE}?done=asked"
    assert place.ask("POST", "/api/v1/reviews", json={"subject": "Team/SHOP!1"}).json()["subject"] == f"{PROJECT}!1"
    assert len(place.ask("GET", "/api/v1/reviews?project=TEAM/shop").json()) >= 1


def test_a_guest_of_a_private_project_reads_nothing_of_its_reviews_rules_and_numbers(place: Place) -> None:
    place.stage.served.seed_user("gus")
    place.stage.tokens["gus"] = place.stage.served.seed_token("gus")
    place.stage.served.seed_member(PROJECT, "gus", 10)
    assert place.ask("GET", PAGE, by="gus").status_code == 404
    assert PAGE not in place.ask("GET", "/reviews", by="gus").text
    for name in ("findings", "reviews", "policy", "metrics", "audit"):
        refused = place.ask("GET", f"/api/v1/{name}?project={PROJECT}", by="gus")
        assert refused.status_code in {403, 404}, name
    for path in (f"/settings/{PROJECT}", f"/metrics?project={PROJECT}"):
        assert place.ask("GET", path, by="gus").status_code == 404
        assert place.ask("GET", path).status_code == 200
    given = {"subject": f"{PROJECT}!1", "reason": "mine"}
    assert place.ask("POST", "/api/v1/merge_requests/override", by="gus", json=given).status_code == 404


@pytest.mark.parametrize("path", ["/reviews/team/shop/-/99", "/reviews/team/nothing/-/1", "/reviews/team/../-/1"])
def test_what_is_not_there_is_told_so(place: Place, path: str) -> None:
    assert place.ask("GET", path).status_code == 404


async def test_the_newest_review_of_each_merge_request_comes_in_pages(tmp_path: Path) -> None:
    from mergewright.app.reviewed import rows
    from mergewright.store.reviews import SqlReviewStore

    store = open_store(tmp_path / "m.db")
    reviews = SqlReviewStore(store, tmp_path / "audit.key")
    seen = (Coverage("a.py", Seen.REVIEWED, 1, 1),)
    made = Review("", "", "g/p", 1, 1, "sha", verdict=Verdict.REVIEWED, status=ReviewerStatus.COMMENTED, coverage=seen)
    for number, iid in enumerate((1, 2, 1, 3), start=1):
        session, at = f"s{number}", float(number)
        await reviews.open_review(replace(made, session=session, iid=iid, round=number, created_at=at))
    await reviews.open_review(replace(made, session="s9", project="other/p", created_at=9.0))
    assert [(one.newest.iid, one.rounds) for one in await rows(reviews, ["g/p"])] == [(3, 1), (1, 2), (2, 1)]
    assert [one.newest.iid for one in await rows(reviews, ["g/p"], before=3.0)] == [2]
    assert await rows(reviews, []) == []
    await store.close()
