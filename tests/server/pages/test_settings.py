"""The page of settings over real HTTP: what is in force and why, who may change it, and what a change does."""

import asyncio
import html
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from mergewright.app.choices import differences, sheet, wanted
from mergewright.app.records import set_policy
from mergewright.domain.approval import Gates, StatusCheck
from mergewright.domain.errors import Conflict, WrongUse
from mergewright.domain.policy import NAMES
from mergewright.server.pages.labels import FLOWS, LABELS
from mergewright.server.pages.settings import strongest
from mergewright.store.reviews import SqlReviewStore
from mergewright.store.sql import open_store
from tests.journeys.place import recorded
from tests.review.stage import PROJECT, propose
from tests.server.test_serving import FAULT, Place, quiet

PAGE = f"/settings/{PROJECT}"
EVIL = "<script>alert(1)</script>"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    model = f"recorded:{recorded('goal-shout')}"
    made = Place(tmp_path_factory.mktemp("settings"), admins=frozenset({"rita"}), model=model)
    for name in ("mallory", "olga"):
        made.stage.served.seed_user(name)
        made.stage.tokens[name] = made.stage.served.seed_token(name)
    made.stage.served.seed_member(PROJECT, "olga", 50)
    yield made
    made.close()


def form_of(text: str) -> dict[str, str]:
    """Read a page's form as a browser would send it unchanged."""
    given: dict[str, str] = {}
    for tag in re.findall(r"<input [^>]*>", text):
        found = dict(re.findall(r'([\w-]+)="([^"]*)"', tag))
        on = found.get("type") not in {"checkbox"} or re.search(r"\schecked\b", tag)
        if "name" in found and on and not re.search(r"\sdisabled\b", tag):
            given[found["name"]] = html.unescape(found.get("value", "on"))
    for name, options in re.findall(r'<select [^>]*name="([^"]*)"[^>]*>(.*?)</select>', text, re.DOTALL):
        (given[name],) = re.findall(r'value="([^"]*)" selected', options)
    for name, value in re.findall(r'<textarea [^>]*name="([^"]*)"[^>]*>\n(.*?)</textarea>', text, re.DOTALL):
        given[name] = html.unescape(value)
    return {name: value for name, value in given.items() if name != "scope"}


def send(
    place: Place, path: str = PAGE, *, by: str = "ann", out: str = "", reason: str = "agreed", **changed: str
) -> httpx2.Response:
    """Change what the page's form holds, and send it."""
    form = form_of(place.ask("GET", path, by=by).text)
    form |= {name.replace("__", "."): value for name, value in changed.items()} | {"reason": reason}
    form.pop(out, None)
    return place.ask("POST", path, by=by, data=form)


def policy(place: Place, name: str) -> Any:
    return place.ask("GET", f"/api/v1/policy?project={PROJECT}").json()["policy"][name]


def test_r30_a_form_changes_what_differs_and_nothing_else(place: Place) -> None:
    answer = send(place, v__block_on="major", v__exclude="docs/**\r\n\r\n*.md\r\n")
    assert (answer.status_code, answer.headers["location"]) == (303, f"{PAGE}?done=1")
    assert policy(place, "block_on") == {"value": "major", "from": PROJECT}
    assert policy(place, "exclude") == {"value": ["docs/**", "*.md"], "from": PROJECT}
    assert policy(place, "round_limit")["from"] == "default"
    text = place.ask("GET", f"{PAGE}?done=1").text
    assert "Changed, and in force from now on." in text
    assert "In force: <strong>major</strong>, from team/shop." in text
    line = json.loads(place.ask("GET", f"/api/v1/audit?project={PROJECT}").text.splitlines()[-1])
    assert (line["actor"], line["action"], line["reason"]) == ("ann", "policy", "agreed")
    assert line["details"]["after"] == {"block_on": "major", "exclude": ["docs/**", "*.md"]}
    assert send(place).status_code == 422
    back = send(place, inherit__block_on="on", inherit__exclude="on")
    assert back.status_code == 303
    assert policy(place, "block_on") == {"value": "critical", "from": "default"}


def test_r30_a_change_takes_a_reason_and_the_role(place: Place) -> None:
    short = send(place, v__block_on="info", reason="")
    assert short.status_code == 422
    assert "takes a reason" in short.text
    bob = place.ask("GET", PAGE, by="bob").text
    assert "takes the role Maintainer or more; you have the role Developer" in bob
    assert "<fieldset disabled>" in bob
    assert 'type="submit">Change' not in bob
    form = form_of(place.ask("GET", PAGE).text) | {"reason": "mine", "v.block_on": "info"}
    assert place.ask("POST", PAGE, by="bob", data=form).status_code == 403
    assert place.ask("POST", PAGE, by="mallory", data=form).status_code == 404
    assert place.ask("GET", PAGE, by="mallory").status_code == 404
    assert place.ask("POST", PAGE, by="", data=form).status_code in {303, 401}
    assert policy(place, "block_on")["value"] == "critical"


def test_r31_organisation_and_group_are_set_by_those_who_own_them_and_a_lock_binds_the_project(place: Place) -> None:
    assert send(place, "/settings", v__round_limit="7").status_code == 403
    assert send(place, "/settings", by="rita", v__round_limit="7", lock__round_limit="on").status_code == 303
    assert send(place, "/settings/team", v__approval="required").status_code == 403
    assert send(place, "/settings/team", by="olga", v__approval="required").status_code == 303
    assert policy(place, "approval") == {"value": "required", "from": "team"}
    text = place.ask("GET", PAGE).text
    assert '<span class="badge wait">Locked</span> by organisation: here it may only be higher.' in text
    assert re.search(r'name="v.round_limit" value="7" min="7"', text)
    refused = send(place, v__round_limit="3")
    assert refused.status_code == 422
    assert "looser than organisation allows" in refused.text
    assert send(place, v__round_limit="9").status_code == 303
    assert send(place, inherit__round_limit="on").status_code == 303
    assert send(place, "/settings", by="rita", out="lock.round_limit").status_code == 303
    assert place.ask("GET", f"/api/v1/policy?project={PROJECT}").json()["locked"] == {}
    assert policy(place, "round_limit") == {"value": 7, "from": "organisation"}


def test_a_form_that_is_behind_is_refused_with_both_values(place: Place) -> None:
    old = form_of(place.ask("GET", PAGE).text) | {"reason": "mine", "v.most_findings": "5"}
    assert send(place, v__most_findings="50", reason="theirs").status_code == 303
    answer = place.ask("POST", PAGE, data=old)
    assert answer.status_code == 409
    assert "somebody else has changed this since you looked" in answer.text
    row = r'<th scope="row">Most findings</th><td>not set</td><td>50</td><td>5</td>'
    assert re.search(row, answer.text)
    assert policy(place, "most_findings")["value"] == 50


def test_r30_a_flow_that_is_turned_off_is_refused_at_once_until_it_is_on_again(place: Place) -> None:
    issue = place.stage.api("POST", "/issues", title="Do it")["iid"]
    asked = {"flow": "developer", "subject": f"{PROJECT}#{issue}", "start": False}
    assert send(place, out="flow.developer").status_code == 303
    assert policy(place, "flows_off") == {"value": ["developer"], "from": PROJECT}
    assert "Off now: <strong>developer</strong>" in place.ask("GET", PAGE).text
    refused = place.ask("POST", "/api/v1/sessions", json=asked)
    assert refused.status_code == 403
    assert refused.json()["title"] == f"the flow `developer` is off in `{PROJECT}`"
    assert send(place, flow__developer="on").status_code == 303
    assert place.ask("POST", "/api/v1/sessions", json=asked).status_code == 201
    assert policy(place, "flows_off")["value"] == []


@pytest.mark.parametrize(
    "change",
    [
        {"saw": ""},
        {"saw": "{}"},
        {"saw": "[" * 100_000},
        {"saw": '{"own": {}, "shown": {}, "flows": []}'},
        {"v.round_limit": "many"},
        {"v.round_limit": "1000"},
        {"v.block_on": EVIL},
        {"v.block_on": "\ud800".encode("utf-8", "surrogatepass").decode("latin-1")},
    ],
)
def test_a_form_that_no_page_made_is_refused_in_a_sentence(place: Place, change: dict[str, str]) -> None:
    form = form_of(place.ask("GET", PAGE).text) | {"reason": "because"} | change
    answer = place.ask("POST", PAGE, data=form)
    assert answer.status_code == 422
    assert 'role="alert"' in answer.text
    assert "<script>alert" not in answer.text


def test_r31_the_file_of_the_default_branch_is_named_where_it_tightens(place: Place) -> None:
    stage = place.stage
    stage.git("checkout", "-q", "main")
    (stage.work_tree / ".mergewright").mkdir()
    (stage.work_tree / ".mergewright/review.yaml").write_text("on_failure: closed\nround_limit: 1\n")
    stage.git("add", "--all")
    stage.git("commit", "-q", "-m", "Tighten")
    url = stage.served.url.replace("http://", f"http://x:{stage.tokens['ann']}@")
    stage.git("push", "-q", f"{url}/{PROJECT}.git", "HEAD:main")
    text = place.ask("GET", PAGE).text
    assert "In force: <strong>closed</strong>, from .mergewright/review.yaml." in text
    assert "<code>round_limit</code> is looser than organisation sets it" in text


def test_html_in_globs_and_paths_stays_text(place: Place) -> None:
    assert send(place, v__exclude=f"</textarea>{EVIL}").status_code == 303
    text = place.ask("GET", PAGE).text
    assert EVIL not in text
    assert html.escape(f"</textarea>{EVIL}") in text
    assert place.ask("GET", f"/settings/{EVIL}").status_code == 404
    assert EVIL not in place.ask("GET", f"/settings/{EVIL}").text


def test_the_organisations_page_leads_to_groups_and_projects(place: Place) -> None:
    text = place.ask("GET", "/settings").text
    assert f'<a href="{PAGE}">{PROJECT}</a>' in text
    assert '<a href="/settings/team">team</a>' in text
    assert PROJECT not in place.ask("GET", "/settings", by="mallory").text
    assert place.ask("GET", f"/settings?scope=/{PROJECT}/").headers["location"] == PAGE


def test_every_name_of_the_policy_has_words_for_people() -> None:
    assert set(LABELS) | {"analyzers"} == NAMES


def test_a_path_in_other_letters_leads_to_the_one_policy_there_is(place: Place) -> None:
    assert place.ask("GET", "/settings/TEAM/Shop").headers["location"] == PAGE
    given = {"scope": "Team/SHOP", "values": {"round_limit": 4}, "reason": "agreed"}
    assert place.ask("PATCH", "/api/v1/policy", json=given).json()["scope"] == PROJECT
    assert policy(place, "round_limit")["from"] == PROJECT


def test_r38_the_page_never_claims_a_block_that_the_forge_does_not_enforce() -> None:
    check = StatusCheck(1, "mergewright", "http://x")
    assert "requests for changes" in strongest(Gates(True, pipelines_must_succeed=True))
    assert "status check" in strongest(Gates(False, (check,), status_checks_must_pass=True))
    assert "commit status" in strongest(Gates(False, (check,), pipelines_must_succeed=True))
    assert "enforces nothing" in strongest(Gates(False, (check,)))


@pytest.fixture
def reviews(tmp_path: Path) -> Iterator[SqlReviewStore]:
    store = open_store(tmp_path / "m.db")
    yield SqlReviewStore(store, tmp_path / "audit.key")
    asyncio.run(store.close())


async def test_two_changes_at_once_leave_one_of_them(reviews: SqlReviewStore) -> None:
    async def change(limit: int) -> None:
        await set_policy(reviews, "g/p", {"round_limit": limit}, actor="ada", reason="agreed", saw={})

    done = await asyncio.gather(*(change(number) for number in range(1, 9)), return_exceptions=True)
    assert sum(one is None for one in done) == 1
    assert all(one is None or isinstance(one, Conflict) for one in done)
    assert len(await reviews.audit_entries()) == 1


async def test_a_form_is_read_against_what_it_showed(reviews: SqlReviewStore) -> None:
    await set_policy(reviews, "g", {"auto_review": False}, actor="ada", reason="agreed", lock=["analyzers"])
    shown = await sheet(reviews, "g", tuple(FLOWS))
    form = {f"v.{one.name}": str(one.value) for one in shown.choices} | {f"flow.{name}": "on" for name in FLOWS}
    form |= {"v.exclude": "", "v.request_changes": "on", "v.review_on_push": "on", "saw": shown.saw}
    assert form["v.auto_review"] != "on"
    same = wanted(form)
    assert (same.values, same.unset, same.locked) == ({}, (), ("analyzers",))
    changed = wanted({**form, "v.auto_review": "on", "inherit.auto_review": "on", "v.request_changes": ""})
    assert (changed.values, changed.unset) == ({"request_changes": False}, ("auto_review",))
    with pytest.raises(WrongUse):
        wanted({})
    assert differences({"a": 1, "b": 2}, {"b": 3}) == [("a", 1, None), ("b", 2, 3)]


def test_a_changed_policy_is_in_force_for_the_next_review_and_a_flow_that_is_off_starts_no_more(
    tmp_path: Path,
) -> None:
    place = Place(tmp_path)
    try:
        propose(place.stage, FAULT)
        place.until(lambda: verdicts(place) == ["requested_changes"])
        assert send(place, v__block_on="blocker").status_code == 303
        assert place.ask("POST", f"/reviews/{PROJECT}/-/1/again").status_code == 303
        place.until(lambda: verdicts(place) == ["requested_changes", "reviewed"])
        assert send(place, out="flow.code_review").status_code == 303
        refused = place.ask("POST", f"/reviews/{PROJECT}/-/1/again")
        assert refused.status_code == 403
        assert "the flow <code>code_review</code> is off in <code>team/shop</code>" in refused.text
        assert place.ask("POST", "/api/v1/reviews", json={"subject": f"{PROJECT}!1"}).status_code == 403
        place.stage.say("@reviewer review")
        (answer,) = place.until(lambda: place.stage.notes("Not done: "))
        assert "the flow `code_review` is off here" in answer
        place.stage.push({"shop/price.py": "def total(prices):\n    return 1\n"})
        assert quiet(place.stage)
        assert len(verdicts(place)) == 2
    finally:
        place.close()


def verdicts(place: Place) -> list[str | None]:
    return [one["verdict"] for one in place.ask("GET", f"/api/v1/reviews?project={PROJECT}").json()]
