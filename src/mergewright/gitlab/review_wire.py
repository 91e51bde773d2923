"""Reads and writes the JSON of reviews: positions, drafts, approvals, gates."""

import re
from collections.abc import Sequence
from hashlib import sha1

from mergewright.domain.approval import (
    ApprovalRule,
    Approvals,
    CommitStatus,
    DraftNote,
    Gates,
    Position,
    Reviewer,
    StatusCheck,
)
from mergewright.domain.forge import DiffRefs
from mergewright.domain.session import JSON
from mergewright.gitlab import wire
from mergewright.gitlab.markers import mark_of

STATUS_CHECKS = "only_allow_merge_if_all_status_checks_passed"


def version_of(text: str) -> tuple[int, int]:
    """Read `19.5.0-ee` as (19, 5); what cannot be read counts as old."""
    match = re.match(r"(\d+)\.(\d+)", text)
    return (int(match[1]), int(match[2])) if match else (0, 0)


def versions(data: Sequence[JSON]) -> list[DiffRefs]:
    return [
        DiffRefs(
            wire.text(one, "base_commit_sha"), wire.text(one, "start_commit_sha"), wire.text(one, "head_commit_sha")
        )
        for one in data
    ]


def reviewer(data: JSON) -> Reviewer:
    return Reviewer(wire.user(wire.value(data, "user")), wire.text(data, "state"))


def position(at: Position, *, numbered: bool = True) -> dict[str, JSON]:
    """Write a position, with or without line numbers at the ends of a range.

    https://docs.gitlab.com/api/discussions/#create-a-new-thread-in-the-merge-request-diff
    """
    sent: dict[str, JSON] = {
        "position_type": "file" if at.whole_file else "text",
        "base_sha": at.refs.base_sha,
        "start_sha": at.refs.start_sha,
        "head_sha": at.refs.head_sha,
        "old_path": at.old_path,
        "new_path": at.new_path,
    }
    if at.whole_file:
        return sent
    sent |= _numbers(at.old_line, at.new_line)
    if at.start is not None:
        ends = {"start": at.start, "end": (at.old_line, at.new_line)}
        sent["line_range"] = {
            name: _end(at, old, new) | (_numbers(old, new) if numbered else {}) for name, (old, new) in ends.items()
        }
    return sent


def _numbers(old: int | None, new: int | None) -> dict[str, JSON]:
    return {key: line for key, line in (("old_line", old), ("new_line", new)) if line is not None}


def _end(at: Position, old: int | None, new: int | None) -> dict[str, JSON]:
    path = sha1(at.new_path.encode("utf-8", "surrogateescape"), usedforsecurity=False).hexdigest()
    # An unchanged line counts as old: only what the change adds is new.
    return {"line_code": f"{path}_{old or 0}_{new or 0}", "type": "new" if old is None else "old"}


def draft_note(data: JSON) -> DraftNote:
    text = wire.text(data, "note", "")
    return DraftNote(wire.number(data, "id"), text, wire.text(data, "discussion_id", ""), mark_of(text) or "")


def has_rules(given: JSON) -> bool:
    """Whether a rule stands behind the approvals that a licensed forge tells of."""
    # Where it does not say, it is asked.
    told = wire.value(given, "has_approval_rules", required=False)
    return told is not False or bool(wire.value(given, "approvals_required", required=False))


def approvals(given: JSON, state: JSON) -> Approvals:
    """Read who approved, and the rules where the forge has any."""
    users = tuple(wire.user(wire.value(one, "user")) for one in wire.items(given, "approved_by"))
    rules = tuple(
        ApprovalRule(
            wire.text(one, "name", ""),
            wire.text(one, "rule_type", ""),
            wire.number(one, "approvals_required"),
            tuple(wire.text(user, "username") for user in wire.items(one, "approved_by")),
            tuple(wire.text(user, "username") for user in wire.items(one, "users")),
            wire.flag(one, "approved"),
        )
        for one in wire.items(state, "rules")
    )
    return Approvals(users, rules)


def gates(settings: JSON, *, native: bool, checks: Sequence[StatusCheck]) -> Gates:
    return Gates(
        native=native,
        status_checks=tuple(checks),
        status_checks_must_pass=wire.flag(settings, STATUS_CHECKS),
        pipelines_must_succeed=wire.flag(settings, "only_allow_merge_if_pipeline_succeeds"),
        discussions_must_be_resolved=wire.flag(settings, "only_allow_merge_if_all_discussions_are_resolved"),
    )


def status_check(data: JSON) -> StatusCheck:
    return StatusCheck(
        wire.number(data, "id"),
        wire.text(data, "name"),
        wire.text(data, "external_url", ""),
        wire.text(data, "status", ""),
    )


def commit_status(data: JSON) -> CommitStatus:
    author = wire.value(data, "author", required=False)
    return CommitStatus(
        wire.text(data, "name"),
        wire.text(data, "status"),
        wire.text(author, "username", "") if author else "",
        wire.text(data, "description", ""),
        wire.text(data, "sha", ""),
    )


def refusal(answer: JSON, name: str) -> str:
    """Give what GraphQL says no with; empty when it did what it was asked."""
    told = wire.items(answer, "errors")
    if told:
        return "; ".join(wire.text(one, "message", "an error") for one in told)
    data = wire.value(wire.value(answer, "data"), name)
    return "; ".join(str(one) for one in wire.items(data, "errors"))
