"""The page of the audit over real HTTP: who sees which lines, what the filter keeps, and whether the chain holds."""

import csv
import io
import json
import re
import sqlite3
from collections.abc import Iterator, Sequence

import pytest

from mergewright.app.reviewing import open_reviews
from mergewright.domain.errors import WrongUse
from mergewright.domain.review import AuditEntry, Review
from mergewright.server.pages.audit import period
from mergewright.store.sql import open_store
from tests.review.stage import PROJECT
from tests.server.test_serving import Place

EVIL = "<img src=x onerror=alert(1)>"
DAY = 86_400.0


def lines() -> Sequence[AuditEntry]:
    """Sixty dismissals of one project over sixty days, and one line of another project that ann has no part in."""
    mine = [
        AuditEntry(
            number * DAY, "bob" if number % 2 else "ann", "dismiss", PROJECT, 1 + number % 3, reason=f"r{number}"
        )
        for number in range(1, 61)
    ]
    said = AuditEntry(100 * DAY, "eve", "refuse", PROJECT, 1, reason=EVIL, details={"said": '"actor":"bob"', "x": EVIL})
    other = AuditEntry(200 * DAY, "eve", "policy", "else/where", reason="quiet")
    return [*mine, said, other]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    import asyncio

    made = Place(tmp_path_factory.mktemp("audit"), admins=frozenset({"rita"}))
    made.stage.served.seed_user("mallory")
    made.stage.tokens["mallory"] = made.stage.served.seed_token("mallory")

    async def put() -> None:
        store = open_store(made.settings.database)
        reviews = open_reviews(made.settings, store)
        for number, project in enumerate((PROJECT, "else/where")):
            await reviews.open_review(Review("", f"s{number}", project, 1, 1, "sha"))
        for one in lines():
            await reviews.audit(one)
        await store.close()

    asyncio.run(put())
    yield made
    made.close()


def shown(place: Place, query: str = "", *, by: str = "ann") -> list[int]:
    text = place.ask("GET", f"/audit{query}", by=by).text
    return [int(one) for one in re.findall(r'<th scope="row">(\d+)</th>', text)]


def test_r33_maintainers_see_their_projects_and_administrators_all(place: Place) -> None:
    assert shown(place)[0] == 61
    assert shown(place, by="rita")[0] == 62
    assert shown(place, by="bob") == []
    assert "shown to its maintainers" in place.ask("GET", "/audit", by="bob").text
    assert place.ask("GET", f"/audit?project={PROJECT}", by="bob").status_code == 403
    assert place.ask("GET", f"/audit?project={PROJECT}", by="mallory").status_code == 404
    assert place.ask("GET", "/audit?project=else/where").status_code == 404
    assert place.ask("GET", f"/audit/export?project={PROJECT}", by="bob").status_code == 403
    assert place.ask("GET", "/audit/export", by="bob").text == ""
    assert place.ask("GET", "/audit", by="").status_code in {303, 401}


def test_r33_the_newest_lines_come_first_in_pages(place: Place) -> None:
    first = shown(place)
    assert first == list(range(61, 11, -1))
    assert shown(place, f"?before={first[-1]}") == list(range(11, 0, -1))
    assert f"before={first[-1]}" in place.ask("GET", "/audit").text


@pytest.mark.parametrize(
    ("query", "kept"),
    [
        (f"?project={PROJECT}&iid=2&until=1970-01-11", [10, 7, 4, 1]),
        ("?actor=bob&until=1970-01-07", [5, 3, 1]),
        ("?actor=@ann&since=1970-02-27&until=1970-03-02", [60, 58]),
        ("?action=refuse", [61]),
        ("?actor=eve&action=refuse&project=&iid=", [61]),
        ("?actor=bo", []),
        ("?actor=b%25", []),
        ("?action=policy", []),
    ],
)
def test_r33_the_filter_keeps_what_was_asked_for(place: Place, query: str, kept: list[int]) -> None:
    assert shown(place, query) == kept
    exported = place.ask("GET", f"/audit/export{query}").text.splitlines()
    assert [json.loads(line)["seq"] for line in exported] == kept[::-1]


def test_r33_the_same_lines_can_be_taken_along(place: Place) -> None:
    answer = place.ask("GET", "/audit/export?format=csv&actor=eve")
    assert answer.headers["content-disposition"] == 'attachment; filename="audit.csv"'
    (head, row) = csv.reader(io.StringIO(answer.text, newline=""))
    assert dict(zip(head, row, strict=True))["reason"] == EVIL


@pytest.mark.parametrize(
    "query", ["?since=today", "?until=99999-01-01", "?iid=1", f"?project={PROJECT}&iid=x", "?until=9999-12-31"]
)
def test_a_filter_that_makes_no_sense_is_refused_in_a_sentence(place: Place, query: str) -> None:
    assert place.ask("GET", f"/audit{query}").status_code == 422


def test_html_in_reasons_stays_text(place: Place) -> None:
    text = place.ask("GET", "/audit").text
    assert EVIL not in text
    assert text.count("&lt;img src=x onerror=alert(1)&gt;") >= 2


def test_r33_whoever_looks_can_have_the_chain_verified_and_a_broken_one_is_told(place: Place) -> None:
    assert "Not verified yet" in place.ask("GET", "/audit").text
    assert place.ask("POST", "/audit/verify", by="bob").status_code == 403
    assert place.ask("POST", "/audit/verify?actor=bob").headers["location"] == "/audit?actor=bob"
    assert re.search(r'"badge good">Whole</span> All 62 lines, verified .* by @ann', place.ask("GET", "/audit").text)
    with sqlite3.connect(place.settings.database) as database:
        database.execute("DROP TRIGGER audit_no_update")
        database.execute("UPDATE audit SET body = replace(body, 'r7', 'r8') WHERE seq = 7")
    assert place.ask("POST", "/audit/verify", by="rita").status_code == 303
    assert '"badge bad">Broken</span> line 7 was changed' in place.ask("GET", "/audit").text


def test_a_period_ends_with_its_last_day() -> None:
    assert period("", "") == (0.0, 0.0)
    assert period("1970-01-02", "1970-01-02") == (DAY, 2 * DAY)
    with pytest.raises(WrongUse):
        period("x", "")
