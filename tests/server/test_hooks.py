import json
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mergewright.domain.errors import WrongUse
from mergewright.domain.session import JSON
from mergewright.domain.trigger import Cause, TriggerKind
from mergewright.server.hooks import Ours, triggers

OURS = Ours("reviewer", "developer", "mergewright")
PROJECT = {"path_with_namespace": "group/project"}


def merge_request(
    action: str = "update",
    *,
    user: str = "ada",
    changes: dict[str, JSON] | None = None,
    reviewers: list[JSON] | None = None,
    **more: JSON,
) -> dict[str, Any]:
    attributes = {"iid": 7, "action": action, "state": "opened", **more}
    return {
        "object_kind": "merge_request",
        "user": {"username": user},
        "project": PROJECT,
        "object_attributes": attributes,
        "changes": changes or {},
        "reviewers": reviewers or [],
    }


def note(text: str, *, user: str = "ada", **more: JSON) -> dict[str, Any]:
    attributes = {"id": 5, "note": text, "noteable_type": "MergeRequest", "system": False, "discussion_id": "d1"}
    return {
        "object_kind": "note",
        "user": {"username": user},
        "project": PROJECT,
        "object_attributes": {**attributes, **more},
        "merge_request": {"iid": 7, "state": "opened"},
    }


def issue_note(text: str, **more: JSON) -> dict[str, Any]:
    payload = note(text, noteable_type="Issue", **more)
    del payload["merge_request"]
    return payload | {"issue": {"iid": 3, "state": "opened"}}


def issue(action: str = "update", *, state: str = "opened", **more: JSON) -> dict[str, Any]:
    return {
        "object_kind": "issue",
        "user": {"username": "ada", "id": 4},
        "project": PROJECT,
        "object_attributes": {"iid": 3, "action": action, "state": state},
        "changes": {},
    } | more


def pipeline(*, user: str = "developer", more: dict[str, JSON] | None = None, **attributes: JSON) -> dict[str, Any]:
    return {
        "object_kind": "pipeline",
        "user": {"username": user, "id": 9},
        "project": {**PROJECT, "default_branch": "main"},
        "object_attributes": {"id": 31, "ref": "fix-3", "sha": "a" * 40, "status": "failed"} | attributes,
        "merge_request": None,
    } | (more or {})


def moved(name: str, previous: list[JSON], current: list[JSON]) -> dict[str, JSON]:
    return {"changes": {name: {"previous": previous, "current": current}}}


DEV: JSON = {"username": "developer"}
LABEL: JSON = {"title": "mergewright"}
RECORDED = sorted((Path(__file__).parents[1] / "localforge/recorded/webhooks").glob("*.json"))
ME = {"username": "reviewer"}
OTHER = {"username": "eve"}


@pytest.mark.parametrize(
    ("payload", "cause"),
    [
        (merge_request(changes={"reviewers": {"previous": [], "current": [ME]}}), Cause.ASSIGNED),
        (
            merge_request(changes={"reviewers": {"previous": [ME], "current": [{**ME, "re_requested": True}]}}),
            Cause.RE_REQUESTED,
        ),
        (merge_request("open", reviewers=[OTHER, ME]), Cause.ASSIGNED),
        (merge_request("open"), Cause.OPENED),
        (merge_request("reopen"), Cause.OPENED),
        (merge_request(oldrev="a" * 40), Cause.PUSHED),
        (merge_request(changes={"draft": {"previous": True, "current": False}}), Cause.READY),
    ],
)
def test_r07_what_asks_for_a_review_is_understood(payload: dict[str, Any], cause: Cause) -> None:
    [found] = triggers(payload, OURS)
    assert (found.kind, found.cause, str(found.subject), found.actor) == (
        TriggerKind.REVIEW,
        cause,
        "group/project!7",
        "ada",
    )


@pytest.mark.parametrize(
    "payload",
    [
        merge_request(changes={"title": {"previous": "a", "current": "b"}}),
        merge_request(changes={"reviewers": {"previous": [], "current": [OTHER]}}),
        merge_request(changes={"reviewers": {"previous": [ME], "current": []}}),
        merge_request("open", state="merged"),
        merge_request("merge", state="merged"),
        note("looks good"),
        note("mail@reviewer"),
        note("@reviewer2 hello"),
        note("@reviewer hello", system=True),
        note("@reviewer hello", action="update"),
        note("@reviewer hello", noteable_type="Commit"),
        {"object_kind": "push", "user_username": "ada"},
    ],
)
def test_what_asks_for_nothing_triggers_nothing(payload: dict[str, Any]) -> None:
    assert triggers(payload, OURS) == ()


@pytest.mark.parametrize("user", ["reviewer", "developer", "project_3_bot", "group_3_bot_a1b2", "renovate[bot]"])
def test_what_a_bot_does_triggers_nothing(user: str) -> None:
    assert triggers(merge_request(user=user, oldrev="a" * 40), OURS) == ()
    assert triggers(note("@reviewer review", user=user), OURS) == ()


def test_r07_our_developer_may_ask_for_another_look_once_the_feedback_is_worked_in() -> None:
    again = {"reviewers": {"previous": [ME], "current": [{**ME, "re_requested": True}]}}
    [found] = triggers(merge_request(user="developer", changes=again), OURS)
    assert found.cause is Cause.RE_REQUESTED
    assert triggers(merge_request(user="reviewer", changes=again), OURS) == ()
    assert triggers(merge_request(user="reviewer", changes=again), Ours("reviewer", "reviewer")) == ()


def test_a_note_to_the_reviewer_is_to_be_answered_in_its_thread() -> None:
    [found] = triggers(note("@Reviewer dismiss because it is fine"), OURS)
    assert (found.kind, found.note_id, found.discussion_id) == (TriggerKind.ANSWER, 5, "d1")


@pytest.mark.parametrize("action", ["approved", "approval", "unapproved", "unapproval"])
def test_a_persons_approval_lets_the_gate_be_weighed_again(action: str) -> None:
    assert [found.kind for found in triggers(merge_request(action), OURS)] == [TriggerKind.GATE]


def test_many_pushes_have_one_key_and_each_note_its_own() -> None:
    [one], [two] = triggers(merge_request(oldrev="a" * 40), OURS), triggers(merge_request(oldrev="b" * 40), OURS)
    assert one.key == two.key
    [first], [second] = triggers(note("@reviewer hi"), OURS), triggers(note("@reviewer hi", id=6), OURS)
    assert first.key != second.key


@pytest.mark.parametrize(
    "payload",
    [
        {},
        {"object_kind": "merge_request", "user": {"username": "ada"}},
        {"object_kind": "merge_request", "user": "ada", "object_attributes": {}},
        merge_request() | {"project": {"path_with_namespace": "../../etc"}},
        merge_request(iid="7; drop"),
        merge_request(changes={"reviewers": {"current": [1]}}),
    ],
)
def test_what_gitlab_would_never_send_is_refused(payload: dict[str, Any]) -> None:
    with pytest.raises(WrongUse):
        triggers(payload, OURS)


# --- issues ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("payload", "cause"),
    [
        (issue(**moved("assignees", [OTHER], [OTHER, DEV])), Cause.ASSIGNED),
        (issue(**moved("labels", [], [{"title": "bug"}, LABEL])), Cause.LABELLED),
        (issue("open", assignees=[DEV]), Cause.ASSIGNED),
        (issue("open", labels=[LABEL]), Cause.LABELLED),
    ],
)
def test_an_issue_that_is_assigned_or_labelled_is_to_be_developed(payload: dict[str, Any], cause: Cause) -> None:
    [found] = triggers(payload, OURS)
    assert (found.kind, found.cause, str(found.subject)) == (TriggerKind.DEVELOP, cause, "group/project#3")
    assert (found.actor, found.actor_id) == ("ada", 4)


@pytest.mark.parametrize(
    "payload",
    [
        issue(assignees=[DEV], labels=[LABEL], **moved("description", [], [])),
        issue(**moved("assignees", [DEV], [DEV, OTHER])),
        issue(**moved("assignees", [DEV], [])),
        issue(**moved("labels", [LABEL], [LABEL, {"title": "bug"}])),
        issue(**moved("labels", [LABEL], [])),
        issue(**moved("labels", [], [{"title": "Mergewright"}])),
        issue(state="closed", **moved("labels", [], [LABEL])),
        issue("close", state="closed", assignees=[DEV]),
        issue(user={"username": "developer", "id": 9}, **moved("labels", [], [LABEL])),
        issue(user={"username": "group_3_bot", "id": 9}, **moved("assignees", [], [DEV])),
    ],
)
def test_only_the_change_asks_for_work_on_an_issue_and_only_a_persons(payload: dict[str, Any]) -> None:
    assert triggers(payload, OURS) == ()


def test_without_a_label_of_ours_no_label_asks() -> None:
    assert triggers(issue(**moved("labels", [], [{"title": ""}])), Ours("reviewer", "developer")) == ()


# --- notes to the developer --------------------------------------------------------------------


def test_a_mention_on_an_issue_brings_the_goal() -> None:
    [found] = triggers(issue_note("@developer, please\n\n```\nthis code\n```"), OURS)
    assert (found.kind, str(found.subject), found.note_id) == (TriggerKind.HEAR, "group/project#3", 5)
    assert found.goal == "please\n\n```\nthis code\n```"


@pytest.mark.parametrize("kind", ["DiffNote", "DiscussionNote"])
def test_a_mention_in_a_thread_of_a_merge_request_has_the_thread_worked_in(kind: str) -> None:
    [found] = triggers(note("@developer rename it", type=kind), OURS)
    assert (found.kind, found.discussion_id, found.goal) == (TriggerKind.FIX, "d1", "rename it")


@pytest.mark.parametrize("text", ["@developer", "@developer fix", "@developer please address the comments."])
def test_a_mention_outside_threads_can_ask_for_all_threads(text: str) -> None:
    [found] = triggers(note(text, type=None), OURS)
    assert (found.kind, found.discussion_id) == (TriggerKind.FIX, "")


def test_a_mention_outside_threads_is_a_goal_otherwise() -> None:
    [found] = triggers(note("@developer fix the typo in the README", type=None), OURS)
    assert (found.kind, found.goal) == (TriggerKind.DEVELOP, "fix the typo in the README")
    assert str(found.subject) == "group/project!7"


def test_a_note_to_both_accounts_is_heard_by_both_and_one_account_hears_it_once() -> None:
    text = "@reviewer @developer hello there"
    assert [one.kind for one in triggers(note(text), OURS)] == [TriggerKind.ANSWER, TriggerKind.DEVELOP]
    assert [one.kind for one in triggers(note("@bot hi"), Ours("bot", "bot"))] == [TriggerKind.ANSWER]


@pytest.mark.parametrize(
    "text",
    [
        "> @developer go",
        "`@developer go`",
        "``a ` @developer go``",
        "```\n@developer go\n```",
        "~~~\n@developer go\n~~~",
        "    @developer go",
        "<!-- @developer go -->",
        "<!-- @developer go",
        "mail@developer go",
        "@developer-two go",
        "@developer.two go",
        "@other/@developer",
        "see https://x/@developer",
    ],
)
def test_quotes_code_comments_and_other_names_speak_to_nobody(text: str) -> None:
    assert triggers(issue_note(text), OURS) == ()
    assert triggers(note(text.replace("developer", "reviewer")), OURS) == ()


@pytest.mark.parametrize("text", ["a ` @developer go", "``x` @developer go", "> quoted\n\n@developer. Go"])
def test_a_lone_backtick_hides_nothing(text: str) -> None:
    assert len(triggers(issue_note(text), OURS)) == 1


@pytest.mark.parametrize(
    "more", [{"system": True}, {"internal": True}, {"action": "update"}, {"noteable_type": "Snippet"}]
)
def test_system_edited_and_internal_notes_speak_to_nobody(more: dict[str, JSON]) -> None:
    payload = issue_note("@developer go")
    payload["object_attributes"] |= more
    assert triggers(payload, OURS) == ()


@pytest.mark.parametrize("text", ["`" * 100_000, "` `` ``` " * 50_000, "<!--" * 200_000, "@developer" * 100_000])
def test_a_note_as_long_as_a_book_is_read_in_a_moment(text: str) -> None:
    began = time.process_time()
    triggers(issue_note(text), OURS)
    assert time.process_time() - began < 2


# --- pipelines ---------------------------------------------------------------------------------


def test_a_failed_pipeline_of_a_merge_request_is_told_with_its_number() -> None:
    [found] = triggers(pipeline(more={"merge_request": {"iid": 7}}), OURS)
    assert (found.kind, str(found.subject), found.pipeline) == (TriggerKind.PIPELINE, "group/project!7", 31)


def test_a_failed_pipeline_of_a_branch_is_told_with_the_branch() -> None:
    [found] = triggers(pipeline(user="ada"), OURS)
    assert (str(found.subject), found.branch, found.pipeline) == ("group/project", "fix-3", 31)


@pytest.mark.parametrize(
    "payload",
    [
        pipeline(status="success"),
        pipeline(status="running"),
        pipeline(ref="main"),
        pipeline(tag=True),
        pipeline(source="parent_pipeline"),
        pipeline(user="reviewer"),
        pipeline(user="renovate[bot]"),
    ],
)
def test_other_pipelines_trigger_nothing(payload: dict[str, Any]) -> None:
    assert triggers(payload, OURS) == ()


# --- anything at all ---------------------------------------------------------------------------


def test_what_gitlab_was_recorded_to_send_is_read(subtests: pytest.Subtests) -> None:
    for path in RECORDED:
        with subtests.test(path.stem):
            triggers(json.loads(path.read_text()), OURS)


_ODD = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


def _paths(value: JSON, at: tuple[JSON, ...] = ()) -> list[tuple[JSON, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [at, *(path for key, one in inner for path in _paths(one, (*at, key)))]


@settings(max_examples=400, deadline=None)
@given(data=st.data())
def test_a_delivery_with_anything_in_any_place_is_read_or_refused(data: st.DataObject) -> None:
    payload = json.loads(data.draw(st.sampled_from(RECORDED)).read_text())
    for _ in range(data.draw(st.integers(1, 3))):
        *way, last = data.draw(st.sampled_from(_paths(payload)[1:]))
        place = payload
        for key in way:
            place = place[key]
        place[last] = data.draw(_ODD | st.sampled_from(["MergeRequest", "@developer go", "failed", "../..", 1e400]))
        if len(_paths(payload)) == 1:
            break
    try:
        found = triggers(payload, OURS)
    except WrongUse:
        return
    assert all(one.subject.project and one.actor for one in found)
