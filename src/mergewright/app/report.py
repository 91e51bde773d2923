"""What a session came to, as one object: the same for `develop --json` and `demo --json`."""

import asyncio
from collections.abc import Sequence
from dataclasses import asdict

from mergewright.domain.errors import ForgeError
from mergewright.domain.forge import Forge
from mergewright.domain.review import Finding, Review, ReviewStore, Seen
from mergewright.domain.session import JSON, Event, EventKind, Plan, Session, Store, Subject, Usage

LONGEST_LOOK = 10.0
"""Seconds for a last look at the forge, which may be down."""


def usage_of(events: list[Event]) -> Usage:
    """Add up what the session's model requests cost."""
    total = Usage()
    for event in events:
        if event.kind is EventKind.USAGE:
            total += Usage(**{key: event.data.get(key, default) for key, default in asdict(Usage()).items()})
    return total


def merge_request_of(events: list[Event]) -> Subject | None:
    """The merge request that the session opened or found, from its log."""
    actions = {"open_merge_request", "update_merge_request"}
    named = [event.data["subject"] for event in events if event.data.get("action") in actions]
    return Subject.parse(named[-1]) if named else None


def answer_of(events: Sequence[Event]) -> str:
    """What a goal was answered with, from the session's log; empty where none was."""
    for event in reversed(events):
        if event.kind is EventKind.COMPONENT and event.component.startswith("answer_goal:"):
            outputs = event.data.get("outputs") or {}
            return str((outputs.get("tool_responses") or {}).get("text") or "")
    return ""


async def report(session: Session, *, store: Store, forge: Forge, seconds: float) -> dict[str, JSON]:
    """Tell what a session came to, with issue and merge request as the forge has them now.

    Where the forge gives no answer, what the log knows of them is told.
    """
    events = list(await store.events(session.id))
    usage = usage_of(events)
    plans = [event.data["tasks"] for event in events if event.kind is EventKind.PLAN]
    on_issue = session.subject.kind == "#"
    opened = session.subject if session.subject.kind == "!" else merge_request_of(events)
    unknown = {"iid": session.subject.iid, "project": session.subject.project, "title": "", "web_url": ""}
    try:
        async with asyncio.timeout(LONGEST_LOOK):
            issue = await _issue(session.subject, forge) if on_issue else {**unknown, "iid": 0}
            merge_request = await _merge_request(session.subject, opened, forge) if opened else None
    except (ForgeError, TimeoutError):
        issue = unknown if on_issue else {**unknown, "iid": 0}
        merge_request = _known(opened, events) if opened else None
    return {
        "issue": issue,
        "merge_request": merge_request,
        "session": session.id,
        "status": session.status.value,
        "reason": session.reason,
        "answer": answer_of(events),
        "plan": Plan.decode(plans[-1]).encode() if plans else [],
        "checks": [dict(event.data) for event in events if event.kind is EventKind.CHECK],
        "tokens": {"input": usage.input_tokens, "output": usage.output_tokens, "cached": usage.cached_tokens},
        "requests": usage.requests,
        "cost": usage.cost,
        "seconds": round(seconds, 1),
    }


async def _issue(subject: Subject, forge: Forge) -> dict[str, JSON]:
    issue = await forge.issue(subject.project, subject.iid)
    return {"iid": issue.iid, "project": issue.project, "title": issue.title, "web_url": issue.web_url}


async def _merge_request(subject: Subject, opened: Subject, forge: Forge) -> dict[str, JSON]:
    merge_request = await forge.merge_request(opened.project, opened.iid)
    return {
        "iid": merge_request.iid,
        "draft": merge_request.draft,
        "linked": bool(merge_request.closes_issues)
        if subject.kind == "!"
        else subject.iid in merge_request.closes_issues,
        "sha": merge_request.sha,
        "source_branch": merge_request.source_branch,
        "title": merge_request.title,
        "web_url": merge_request.web_url,
    }


def _known(opened: Subject, events: list[Event]) -> dict[str, JSON]:
    """A merge request as the log knows it: we open them as linked drafts, and push to their branch ourselves."""
    pushes = [event.data for event in events if event.data.get("action") == "push"]
    addresses = [event.data["web_url"] for event in events if event.data.get("subject") == str(opened)]
    return {
        "iid": opened.iid,
        "draft": True,
        "linked": True,
        "sha": pushes[-1]["sha"] if pushes else "",
        "source_branch": pushes[-1]["branch"] if pushes else "",
        "title": "",
        "web_url": addresses[-1] if addresses else "",
    }


async def report_review(session: Session, *, store: Store, reviews: ReviewStore, seconds: float) -> dict[str, JSON]:
    """Tell what a session's review came to: the verdict, each finding with its state, and what was not seen."""
    usage = usage_of(list(await store.events(session.id)))
    subject = session.subject
    mine = [one for one in await reviews.reviews(subject.project, subject.iid) if one.session == session.id]
    review = mine[-1] if mine else None
    findings = await reviews.findings(subject.project, subject.iid)
    return {
        "merge_request": {"project": subject.project, "iid": subject.iid, "sha": review.head_sha if review else ""},
        "session": session.id,
        "status": session.status.value,
        "reason": session.reason,
        "review": review.id if review else "",
        "round": review.round if review else 0,
        "reviewer_status": review.status.value if review else "none",
        "verdict": review.verdict.value if review and review.verdict else "",
        "error_code": review.error_code if review else "",
        "gate": review.gate if review else "",
        "findings": [finding_json(one) for one in findings],
        "not_seen": [
            {"path": one.path, "seen": one.seen.value, "changed": one.changed, "shown": one.shown, "reason": one.reason}
            for one in (review.coverage if review else ())
            if one.seen is not Seen.REVIEWED
        ],
        "dropped": dict(review.dropped) if review else {},
        "tokens": {"input": usage.input_tokens, "output": usage.output_tokens, "cached": usage.cached_tokens},
        "requests": usage.requests,
        "cost": usage.cost,
        "seconds": round(seconds, 1),
    }


def finding_json(finding: Finding) -> dict[str, JSON]:
    """Give a finding as the command line and REST tell it."""
    ran = finding.proof
    proof = None if ran is None else {"command": ran.command, "exit_code": ran.exit_code, "sha": ran.sha}
    return {
        "id": finding.id,
        "path": finding.place.path,
        "line": finding.place.line,
        "start_line": finding.place.start_line or finding.place.line,
        "side": finding.place.side,
        "severity": finding.severity.value,
        "category": finding.category,
        "title": finding.title,
        "body": finding.body,
        "state": finding.state.value,
        "answer": finding.answer,
        "late": finding.late,
        "source": finding.source,
        "rule": finding.rule,
        "instruction": finding.instruction,
        "confidence": finding.confidence,
        "proof": proof,
        "discussion": finding.discussion_id,
    }


def review_json(review: Review, *, whole: bool = False) -> dict[str, JSON]:
    """Give a review as REST tells it; `whole` adds the files and the policy in force."""
    told: dict[str, JSON] = {
        "id": review.id,
        "project": review.project,
        "iid": review.iid,
        "round": review.round,
        "head_sha": review.head_sha,
        "status": review.status.value,
        "verdict": review.verdict.value if review.verdict else None,
        "reason": review.reason,
        "error_code": review.error_code,
        "gate": review.gate,
        "session": review.session,
        "model": review.model,
        "tokens": review.tokens,
        "created_at": review.created_at,
        "ended_at": review.ended_at,
    }
    if whole:
        told["coverage"] = [asdict(one) for one in review.coverage]
        told["dropped"] = dict(review.dropped)
        told["policy"] = dict(review.policy)
    return told
