from typing import Any

import pytest

from mergewright.domain.errors import WrongUse
from mergewright.domain.session import JSON
from mergewright.domain.trigger import Cause, TriggerKind
from mergewright.server.hooks import Ours, triggers

OURS = Ours("reviewer", "developer")
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
