"""What a session came to, as one object: the same for `develop --json` and `demo --json`."""

from dataclasses import asdict

from mergewright.domain.forge import Forge
from mergewright.domain.session import JSON, Event, EventKind, Plan, Session, Store, Subject, Usage


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


async def report(session: Session, *, store: Store, forge: Forge, seconds: float) -> dict[str, JSON]:
    """Tell what a session came to, with the merge request as the forge has it now."""
    events = list(await store.events(session.id))
    usage = usage_of(events)
    issue = await forge.issue(session.subject.project, session.subject.iid)
    plans = [event.data["tasks"] for event in events if event.kind is EventKind.PLAN]
    value: dict[str, JSON] = {
        "issue": {"iid": issue.iid, "project": issue.project, "title": issue.title, "web_url": issue.web_url},
        "merge_request": None,
        "session": session.id,
        "status": session.status.value,
        "reason": session.reason,
        "plan": Plan.decode(plans[-1]).encode() if plans else [],
        "checks": [dict(event.data) for event in events if event.kind is EventKind.CHECK],
        "tokens": {"input": usage.input_tokens, "output": usage.output_tokens, "cached": usage.cached_tokens},
        "requests": usage.requests,
        "cost": usage.cost,
        "seconds": round(seconds, 1),
    }
    opened = merge_request_of(events)
    if opened is not None:
        merge_request = await forge.merge_request(opened.project, opened.iid)
        value["merge_request"] = {
            "iid": merge_request.iid,
            "draft": merge_request.draft,
            "linked": session.subject.iid in merge_request.closes_issues,
            "sha": merge_request.sha,
            "source_branch": merge_request.source_branch,
            "title": merge_request.title,
            "web_url": merge_request.web_url,
        }
    return value
