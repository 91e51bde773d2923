"""The page of metrics over real HTTP: R35 to R37 as pictures and tables, of what the person sees only."""

import asyncio
import re
from collections.abc import Iterator
from dataclasses import replace

import pytest

from mergewright.app.reviewing import open_reviews
from mergewright.domain.review import AuditEntry, Finding, FindingState, Review, ReviewerStatus, Severity, Verdict
from mergewright.domain.review import Place as Spot
from mergewright.store.sql import open_store
from tests.review.stage import PROJECT, propose
from tests.server.test_serving import Place

EVIL = "<script>alert(1)</script>"
DAY = 86_400.0
MADE = Review(
    "", "s0", PROJECT, 1, 1, "a", verdict=Verdict.REQUESTED_CHANGES, status=ReviewerStatus.CHANGES_REQUESTED,
    author=f"ada{EVIL}", created_at=10 * DAY, ended_at=10 * DAY + 60,
)  # fmt: skip
FOUND = Finding("", "f", Spot("a.py", 1), Severity.CRITICAL, "security", "t", "b", state=FindingState.FIXED)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    made = Place(tmp_path_factory.mktemp("metrics"))
    made.stage.served.seed_user("mallory")
    made.stage.tokens["mallory"] = made.stage.served.seed_token("mallory")
    propose(made.stage, {"README.md": "# A shop\n"}, title="Draft: words")

    async def put() -> None:
        store = open_store(made.settings.database)
        reviews = open_reviews(made.settings, store)
        await reviews.open_review(MADE)
        then = replace(MADE, session="s1", head_sha="b", round=2, verdict=Verdict.APPROVED, created_at=25 * DAY)
        await reviews.open_review(replace(then, status=ReviewerStatus.APPROVED, ended_at=25 * DAY + 60))
        await reviews.open_review(replace(MADE, session="s2", project="else/where", author="olga"))
        await reviews.save_findings(PROJECT, 1, [FOUND, replace(FOUND, fingerprint="g", category="tests")])
        details = {"role": "maintainer", "category": "tests"}
        await reviews.audit(AuditEntry(11 * DAY, "ann", "dismiss", PROJECT, 1, details=details))
        await store.close()

    asyncio.run(put())
    yield made
    made.close()


def table(text: str, title: str) -> list[list[str]]:
    """Give the rows of one picture's table."""
    part = text.split(f">{title}</h2>")[1].split("</section>")[0]
    rows = re.findall(r"<tr><th scope=\"row\">(.*?)</tr>", part)
    return [re.sub(r"<[^>]+>", "|", row).replace("||", "|").strip("|").split("|") for row in rows]


def test_r35_verdicts_and_rounds_are_shown_as_pictures_with_tables(place: Place) -> None:
    text = place.ask("GET", f"/metrics?project={PROJECT}", by="rita").text
    assert table(text, "Verdicts") == [["Changes requested", "100%"], ["Approved", "100%"]]
    assert table(text, "Rounds before approval") == [["1 round", "0"], ["2 rounds", "1"]]
    assert table(text, "Reviews by week") == [
        ["1970-01-05", "0", "0", "1", "0"],
        ["1970-01-12", "0", "0", "0", "0"],
        ["1970-01-19", "0", "0", "0", "0"],
        ["1970-01-26", "1", "0", "0", "0"],
    ]
    assert text.count('<svg class="chart"') >= 8
    assert text.count("<desc") == text.count("<svg")


def test_r36_what_became_of_findings_and_who_overruled_them(place: Place) -> None:
    text = place.ask("GET", f"/metrics?project={PROJECT}").text
    assert ["implemented", "2"] in table(text, "What became of findings")
    assert table(text, "Findings by category")[0][:2] == ["security", "1"]
    assert table(text, "Overruled by person") == [["ann", "1"]]
    assert table(text, "Overruled by role") == [["maintainer", "1"]]
    assert table(text, "Overrides and dismissals")[1] == ["Dismissals", "1"]


def test_what_was_never_recorded_is_told_so_and_not_made_up(place: Place) -> None:
    text = place.ask("GET", f"/metrics?project={PROJECT}").text
    assert "The forge was not asked yet." in text
    assert ["From opening to merge, not reviewed", "not recorded"] in table(text, "Time to the end")
    assert ["From first review to resolution", "15 d"] in table(text, "Time to the end")
    assert "Not recorded yet." in text


def test_a_project_and_a_period_can_be_chosen(place: Place) -> None:
    text = place.ask("GET", f"/metrics?project={PROJECT}&since=1970-01-20&until=1970-02-01").text
    assert len(table(text, "Reviews by week")) == 1
    assert 'name="since" value="1970-01-20"' in text
    assert place.ask("GET", "/metrics?since=yesterday").status_code == 422


def test_numbers_are_of_what_a_person_sees_alone(place: Place) -> None:
    ann = place.ask("GET", "/metrics").text
    assert "olga" not in ann
    assert "else/where" not in ann
    mallory = place.ask("GET", "/metrics", by="mallory").text
    assert PROJECT not in mallory
    assert "<dt>Merge requests reviewed</dt><dd>0</dd>" in mallory
    assert place.ask("GET", f"/metrics?project={PROJECT}", by="mallory").status_code == 404
    assert place.ask("GET", "/metrics", by="").status_code in {303, 401}


def test_html_in_names_stays_text(place: Place) -> None:
    text = place.ask("GET", f"/metrics?project={PROJECT}").text
    assert EVIL not in text
    assert "ada&lt;script&gt;" in text


def test_r37_developers_have_the_forge_asked_what_became_of_merge_requests(place: Place) -> None:
    given = {"project": PROJECT}
    assert place.ask("POST", "/metrics/look", by="rita", data=given).status_code == 403
    assert place.ask("POST", "/metrics/look", by="mallory", data=given).status_code == 404
    assert place.ask("POST", "/metrics/look", data={}).status_code == 422
    answer = place.ask("POST", "/metrics/look", by="bob", data=given)
    assert answer.status_code == 303
    text = place.ask("GET", answer.headers["location"]).text
    assert "The forge was asked again." in text
    assert table(text, "Comments by people") == [["Reviewed", "0"], ["Not reviewed", "not recorded"]]


def test_r37_what_was_merged_without_a_review_stands_beside_what_was_reviewed(place: Place) -> None:
    stage = place.stage
    given = {"scope": PROJECT, "values": {"auto_review": False}, "reason": "to have something to compare with"}
    assert place.ask("PATCH", "/api/v1/policy", json=given).status_code == 200
    url = stage.served.url.replace("http://", f"http://x:{stage.tokens['ann']}@")
    stage.git("push", "-q", f"{url}/{PROJECT}.git", "HEAD:other")
    stage.api("POST", "/merge_requests", source_branch="other", target_branch="main", title="Quick")
    stage.api("POST", "/merge_requests/2/notes", body="Fine by me", by="bob")
    stage.api("PUT", "/merge_requests/2/merge")
    assert place.ask("POST", "/metrics/look", data={"project": PROJECT}).status_code == 303
    text = place.ask("GET", f"/metrics?project={PROJECT}").text
    assert ["Not reviewed", "1"] in table(text, "Comments by people")
    # The forge takes the first merge request for merged too: its commit lies in the target branch now.
    for name in ("From opening to merge, reviewed", "From opening to merge, not reviewed"):
        (told,) = [row[1] for row in table(text, "Time to the end") if row[0] == name]
        assert re.fullmatch(r"\d+ s", told)
