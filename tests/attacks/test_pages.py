"""Attacks on the pages of reviews, settings and audit, each with its story."""

import asyncio
import json
from collections.abc import Iterator

import pytest

from mergewright.app.reviewing import open_reviews
from mergewright.domain.review import Finding, FindingState, Review, Severity
from mergewright.domain.review import Place as Spot
from mergewright.store.sql import open_store
from tests.review.stage import PROJECT
from tests.server.pages.test_settings import form_of
from tests.server.test_serving import Place

OTHER = "rival/shop"
FOUND = Finding("theirs", "f", Spot("a.py", 1), Severity.CRITICAL, "security", "t", "b")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """Ann maintains one project; of another, in which a finding stands, she sees nothing."""
    made = Place(tmp_path_factory.mktemp("attacks"))
    made.stage.served.seed_project(OTHER)
    made.stage.push({"README.md": "# x\n"})
    made.stage.api("POST", "/merge_requests", source_branch="change", target_branch="main", title="Draft: x")

    async def put() -> None:
        store = open_store(made.settings.database)
        reviews = open_reviews(made.settings, store)
        for session, project in (("s1", OTHER), ("s2", PROJECT)):
            await reviews.open_review(Review("", session, project, 1, 1, "sha"))
        await reviews.save_findings(OTHER, 1, [FOUND])
        await store.close()

    asyncio.run(put())
    yield made
    made.close()


def state(place: Place) -> FindingState:
    async def read() -> FindingState:
        store = open_store(place.settings.database)
        _, _, found = await open_reviews(place.settings, store).finding("theirs")
        await store.close()
        return found.state

    return asyncio.run(read())


@pytest.mark.parametrize("verb", ["dismiss", "dispute"])
def test_a_finding_of_another_project_is_not_settled_through_a_page_of_ones_own(place: Place, verb: str) -> None:
    """A maintainer of one project posts another project's finding to her own merge request's page."""
    for project in (PROJECT, OTHER):
        answer = place.ask("POST", f"/reviews/{project}/-/1/findings/theirs/{verb}", data={"reason": "go away"})
        assert answer.status_code in {404, 422}
    assert state(place) is FindingState.OPEN


def test_a_form_that_lies_about_what_it_showed_changes_nothing_that_its_sender_may_not(place: Place) -> None:
    """The form brings back what it showed; a developer invents that, a maintainer hides another's change in it."""
    form = form_of(place.ask("GET", f"/settings/{PROJECT}").text) | {"reason": "no reason", "v.block_on": "blocker"}
    saw = json.loads(form["saw"])
    lies = {"own": {"block_on": "info"}, "shown": saw["shown"] | {"approval": "advisory"}, "flows": saw["flows"]}
    assert place.ask("POST", f"/settings/{PROJECT}", by="bob", data=form).status_code == 403
    answer = place.ask("POST", f"/settings/{PROJECT}", data=form | {"saw": json.dumps(lies)})
    assert answer.status_code == 409
    told = place.ask("GET", f"/api/v1/policy?project={PROJECT}").json()["policy"]
    assert {told[name]["from"] for name in ("block_on", "approval")} == {"default"}


@pytest.mark.parametrize(
    "saw", ['{"own": {"__proto__": 1}, "shown": 1, "flows": []}', "null", "[]", '"x"', "NaN", "1e999"]
)
def test_a_form_with_strange_json_is_refused(place: Place, saw: str) -> None:
    form = form_of(place.ask("GET", f"/settings/{PROJECT}").text) | {"reason": "no reason", "saw": saw}
    assert place.ask("POST", f"/settings/{PROJECT}", data=form).status_code == 422


def test_a_flow_of_a_strange_name_is_refused(place: Place) -> None:
    """The names of flows come back with the form: one of them would be markup, or a path."""
    form = form_of(place.ask("GET", f"/settings/{PROJECT}").text) | {"reason": "no reason"}
    saw = json.loads(form["saw"])
    for name in ("<script>", "../x", 7, None, ["a"]):
        given = form | {"saw": json.dumps(saw | {"flows": [*saw["flows"], name]})}
        assert place.ask("POST", f"/settings/{PROJECT}", data=given).status_code == 422


@pytest.mark.parametrize(
    "scope",
    ["//evil.example", "/\\evil.example", "https://evil.example", "x\r\nSet-Cookie: a=b", "../../audit", "\u2028"],
)
def test_no_redirect_leads_to_another_server(place: Place, scope: str) -> None:
    """A link to the settings carries somebody else's address."""
    answer = place.ask("GET", "/settings", params={"scope": scope})
    assert answer.headers["location"].startswith("/settings/")
    assert not answer.headers["location"].startswith("/settings//")
    assert "set-cookie" not in answer.headers
    assert "//" not in place.ask("POST", "/audit/verify", params={"actor": scope}).headers["location"]


def test_the_owner_of_a_group_does_not_set_the_policy_of_one_whose_name_is_its_number(place: Place) -> None:
    """GitLab takes a group's number for its path: policies are kept by path, and `1` may be somebody else's name."""
    place.stage.served.seed_project("1/thing")
    place.stage.served.seed_member(PROJECT, "ann", 50)
    given = {"scope": "1", "values": {"approval": "advisory"}, "reason": "no reason"}
    assert place.ask("PATCH", "/api/v1/policy", json=given).status_code == 404
    assert place.ask("GET", "/settings/1").status_code == 404
