"""Reads GitLab's webhooks. https://docs.gitlab.com/user/project/integrations/webhook_events/"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mergewright.domain.errors import WrongUse
from mergewright.domain.session import JSON, Subject
from mergewright.domain.trigger import Cause, Trigger, TriggerKind

_APPROVALS = frozenset({"approved", "approval", "unapproved", "unapproval"})
_BOT = re.compile(r"(?:project|group)_\d+_bot(?:_[0-9a-f]+)?|service_account_\w+|ghost|support-bot|alert-bot|.*\[bot\]")


@dataclass(frozen=True, slots=True)
class Ours:
    """Our own accounts on the forge: what they do triggers nothing."""

    reviewer: str
    developer: str = ""

    def ignores(self, username: str) -> bool:
        """Whether an event's actor is an account of ours or any bot that its name shows to be one."""
        return username in {self.reviewer, self.developer} or _BOT.fullmatch(username) is not None


def triggers(payload: Mapping[str, JSON], ours: Ours) -> Sequence[Trigger]:
    """Give what a delivery asks for; raises WrongUse when it is no webhook of GitLab's."""
    try:
        kind, actor = payload["object_kind"], payload.get("user")
        username = str((actor or {}).get("username") or payload.get("user_username") or "")
        if kind not in {"merge_request", "note"}:
            return ()
        found = _merge_request(payload, username, ours) if kind == "merge_request" else _note(payload, username, ours)
        if ours.ignores(username):
            # What our own accounts do leads nowhere but here: the developer, done with feedback, asks for another look.
            again = bool(ours.developer) and username == ours.developer != ours.reviewer
            return tuple(one for one in found if again and one.cause is Cause.RE_REQUESTED)
        return tuple(found)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise WrongUse(f"the delivery is not what GitLab sends: {type(error).__name__} {error}") from error


def _merge_request(payload: Mapping[str, JSON], actor: str, ours: Ours) -> Sequence[Trigger]:
    attributes, changes = payload["object_attributes"], payload.get("changes") or {}
    subject = Subject.parse(f"{payload['project']['path_with_namespace']}!{int(attributes['iid'])}")
    action = attributes.get("action")
    if attributes.get("state") != "opened":
        return ()
    if action in _APPROVALS:
        return (Trigger(TriggerKind.GATE, subject, actor),)
    if cause := _cause(attributes, changes, action, payload.get("reviewers") or (), ours.reviewer):
        return (Trigger(TriggerKind.REVIEW, subject, actor, cause),)
    return ()


def _cause(
    attributes: Mapping[str, JSON], changes: Mapping[str, JSON], action: JSON, reviewers: Sequence[JSON], reviewer: str
) -> Cause | None:
    moved = changes.get("reviewers") or {}
    before, now = _named(moved.get("previous"), reviewer), _named(moved.get("current"), reviewer)
    if now and now.get("re_requested"):
        return Cause.RE_REQUESTED
    if now and not before:
        return Cause.ASSIGNED
    if action == "open":
        return Cause.ASSIGNED if _named(reviewers, reviewer) else Cause.OPENED
    if action == "reopen":
        return Cause.OPENED
    if attributes.get("oldrev"):
        return Cause.PUSHED
    draft = changes.get("draft") or {}
    return Cause.READY if draft.get("previous") is True and draft.get("current") is False else None


def _named(people: JSON, username: str) -> Mapping[str, JSON]:
    return next((one for one in people or () if one.get("username") == username), {})


def _note(payload: Mapping[str, JSON], actor: str, ours: Ours) -> Sequence[Trigger]:
    attributes = payload["object_attributes"]
    if attributes.get("noteable_type") != "MergeRequest" or attributes.get("system"):
        return ()
    if attributes.get("action", "create") != "create" or payload["merge_request"].get("state", "opened") != "opened":
        return ()
    if not re.search(rf"(?<![\w.-])@{re.escape(ours.reviewer)}(?![\w-])", str(attributes["note"]), re.IGNORECASE):
        return ()
    subject = Subject.parse(f"{payload['project']['path_with_namespace']}!{int(payload['merge_request']['iid'])}")
    discussion = str(attributes.get("discussion_id") or "")
    return (Trigger(TriggerKind.ANSWER, subject, actor, None, int(attributes["id"]), discussion),)
