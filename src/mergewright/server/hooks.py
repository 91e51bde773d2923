"""Reads GitLab's webhooks. https://docs.gitlab.com/user/project/integrations/webhook_events/"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mergewright.domain.errors import WrongUse
from mergewright.domain.session import JSON, Subject
from mergewright.domain.trigger import Cause, Trigger, TriggerKind
from mergewright.server.mention import mentioned, wants_all

_APPROVALS = frozenset({"approved", "approval", "unapproved", "unapproval"})
_BOT = re.compile(r"(?:project|group)_\d+_bot(?:_[0-9a-f]+)?|service_account_\w+|ghost|support-bot|alert-bot|.*\[bot\]")
_IN_THREADS = frozenset({"DiffNote", "DiscussionNote"})


@dataclass(frozen=True, slots=True)
class Ours:
    """Our own accounts on the forge: what they do triggers nothing."""

    reviewer: str
    developer: str = ""
    label: str = ""
    """The label that asks for an issue to be made into a merge request; empty for none."""

    def ignores(self, username: str) -> bool:
        """Whether an event's actor is an account of ours or any bot that its name shows to be one."""
        return username in {self.reviewer, self.developer} or _BOT.fullmatch(username) is not None


@dataclass(frozen=True, slots=True)
class _Actor:
    username: str
    id: int


def triggers(payload: Mapping[str, JSON], ours: Ours) -> Sequence[Trigger]:
    """Give what a delivery asks for; raises WrongUse when it is no webhook of GitLab's."""
    try:
        read = _READERS.get(str(payload["object_kind"]))
        if read is None:
            return ()
        user = payload.get("user") or {}
        # JSON can hold half a letter, and nothing can keep one.
        name = str(user.get("username") or "").encode(errors="backslashreplace").decode()
        actor = _Actor(name, int(user.get("id") or 0))
        return tuple(one for one in read(payload, actor, ours) if _counts(one, ours))
    except (AttributeError, KeyError, TypeError, ValueError, OverflowError) as error:
        raise WrongUse(f"the delivery is not what GitLab sends: {type(error).__name__} {error}") from error


def _counts(trigger: Trigger, ours: Ours) -> bool:
    """Whether an event is one of a person's: what our own accounts and other bots do leads nowhere."""
    if not trigger.actor or not ours.ignores(trigger.actor):
        return bool(trigger.actor)
    # But the developer, done with feedback, asks for another look, and its push may fail in a pipeline.
    itself = bool(ours.developer) and trigger.actor == ours.developer
    if trigger.kind is TriggerKind.PIPELINE:
        return itself
    return itself and ours.developer != ours.reviewer and trigger.cause is Cause.RE_REQUESTED


def _about(payload: Mapping[str, JSON], kind: str, iid: JSON) -> Subject:
    return Subject.parse(f"{payload['project']['path_with_namespace']}{kind}{int(iid)}")


def _named(people: JSON, username: str) -> Mapping[str, JSON]:
    return next((one for one in people or () if one.get("username") == username), {}) if username else {}


# --- merge requests ----------------------------------------------------------------------------


def _merge_request(payload: Mapping[str, JSON], actor: _Actor, ours: Ours) -> Sequence[Trigger]:
    attributes, changes = payload["object_attributes"], payload.get("changes") or {}
    subject, action = _about(payload, "!", attributes["iid"]), attributes.get("action")
    if attributes.get("state") != "opened":
        return ()
    if action in _APPROVALS:
        return (Trigger(TriggerKind.GATE, subject, actor.username, actor_id=actor.id),)
    if cause := _cause(attributes, changes, action, payload.get("reviewers") or (), ours.reviewer):
        return (Trigger(TriggerKind.REVIEW, subject, actor.username, cause, actor_id=actor.id),)
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


# --- issues ------------------------------------------------------------------------------------


def _issue(payload: Mapping[str, JSON], actor: _Actor, ours: Ours) -> Sequence[Trigger]:
    attributes, changes = payload["object_attributes"], payload.get("changes") or {}
    subject = _about(payload, "#", attributes["iid"])
    if attributes.get("state", "opened") != "opened":
        return ()
    # Only the change asks: an issue that is assigned or labelled already may be edited without a further session.
    opened = attributes.get("action") == "open"
    people = {"current": payload.get("assignees")} if opened else changes.get("assignees") or {}
    labels = {"current": payload.get("labels")} if opened else changes.get("labels") or {}
    wanted = Trigger(TriggerKind.DEVELOP, subject, actor.username, Cause.ASSIGNED, actor_id=actor.id)
    if _named(people.get("current"), ours.developer) and not _named(people.get("previous"), ours.developer):
        return (wanted,)
    if ours.label in _titles(labels.get("current")) and ours.label not in _titles(labels.get("previous")):
        return (Trigger(TriggerKind.DEVELOP, subject, actor.username, Cause.LABELLED, actor_id=actor.id),)
    return ()


def _titles(labels: JSON) -> set[str]:
    return {str(one.get("title")) for one in labels or ()} - {""}


# --- notes -------------------------------------------------------------------------------------


def _note(payload: Mapping[str, JSON], actor: _Actor, ours: Ours) -> Sequence[Trigger]:
    attributes = payload["object_attributes"]
    # Who reads internal notes is fewer than who reads what would come of them.
    if attributes.get("system") or attributes.get("internal") or attributes.get("action", "create") != "create":
        return ()
    if attributes.get("noteable_type") == "Issue":
        return _note_on_issue(payload, actor, ours)
    if attributes.get("noteable_type") == "MergeRequest":
        return _note_on_merge_request(payload, actor, ours)
    return ()


def _note_on_issue(payload: Mapping[str, JSON], actor: _Actor, ours: Ours) -> Sequence[Trigger]:
    attributes, issue = payload["object_attributes"], payload["issue"]
    goal = mentioned(str(attributes["note"]), ours.developer)
    if goal is None or issue.get("state", "opened") != "opened":
        return ()
    subject, note = _about(payload, "#", issue["iid"]), int(attributes["id"])
    by = actor.username
    return (Trigger(TriggerKind.HEAR, subject, by, Cause.MENTIONED, note, goal=goal, actor_id=actor.id),)


def _note_on_merge_request(payload: Mapping[str, JSON], actor: _Actor, ours: Ours) -> Sequence[Trigger]:
    attributes, merge_request = payload["object_attributes"], payload["merge_request"]
    if merge_request.get("state", "opened") != "opened":
        return ()
    subject, text = _about(payload, "!", merge_request["iid"]), str(attributes["note"])
    note, thread = int(attributes["id"]), str(attributes.get("discussion_id") or "")
    found = []
    if mentioned(text, ours.reviewer) is not None:
        found.append(Trigger(TriggerKind.ANSWER, subject, actor.username, None, note, thread, actor_id=actor.id))
    goal = mentioned(text, ours.developer) if ours.developer != ours.reviewer else None
    if goal is not None:
        threaded = attributes.get("type") in _IN_THREADS
        kind = TriggerKind.FIX if threaded or wants_all(goal) else TriggerKind.DEVELOP
        about = thread if threaded else ""
        found.append(Trigger(kind, subject, actor.username, Cause.MENTIONED, note, about, goal=goal, actor_id=actor.id))
    return found


# --- pipelines ---------------------------------------------------------------------------------


def _pipeline(payload: Mapping[str, JSON], actor: _Actor, ours: Ours) -> Sequence[Trigger]:
    attributes, project = payload["object_attributes"], payload["project"]
    if attributes["status"] != "failed" or attributes.get("tag") or attributes.get("source") == "parent_pipeline":
        return ()
    pipeline, branch = int(attributes["id"]), ""
    if merge_request := payload.get("merge_request"):
        subject = _about(payload, "!", merge_request["iid"])
    elif (branch := str(attributes["ref"])) != project.get("default_branch"):
        subject = Subject(Subject.parse(f"{project['path_with_namespace']}!1").project, "", 0)
    else:
        return ()
    by = actor.username
    return (Trigger(TriggerKind.PIPELINE, subject, by, actor_id=actor.id, pipeline=pipeline, branch=branch),)


_READERS = {"merge_request": _merge_request, "issue": _issue, "note": _note, "pipeline": _pipeline}
