"""The demo's second half: a merge request with faults in it, its review, the fixes, and the approval."""

import asyncio
import shutil
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from mergewright.app.settings import Settings
from mergewright.cli.output import say
from mergewright.domain.session import JSON, Session, Subject

PROJECT = "demo/users-api"
BRANCH = "search-users"
TITLE = "Search for users by a part of their name"
DESCRIPTION = "Adds `GET /api/users/search?name=…&limit=…`, which finds users by a part of their name."
ROUNDS = 3
"""Reviews at most: with a recorded model two, with a live one perhaps one more."""


def reviewed(settings: Settings, data: Path, record: Path | None, *, replay: bool) -> tuple[Session, dict[str, JSON]]:
    """Review, fix and review again; gives the last session and what the reviews came to."""
    subject = asyncio.run(_open(settings, data))
    say(f"Merge request {subject}, with faults planted in it, is reviewed.", err=True)
    rounds: list[JSON] = []
    for number in range(1, ROUNDS + 1):
        stage = _with_recording(settings, data, f"review-{number}", replay=replay)
        session, told = asyncio.run(_review(stage, subject, _recorded(record, f"review-{number}")))
        rounds.append({"verdict": told["verdict"], "round": told["round"], "findings": told["findings"]})
        if told["verdict"] != "requested_changes" or number == ROUNDS:
            break
        say("The developer flow works the threads in on the same branch.", err=True)
        stage = _with_recording(settings, data, f"feedback-{number}", replay=replay)
        fixing, _ = asyncio.run(_fix(stage, subject, _recorded(record, f"feedback-{number}")))
        if fixing.status != "finished":
            session = fixing
            break
    allowed, address = asyncio.run(_mergeable(settings, subject))
    return session, {
        "reviewed": {"iid": subject.iid, "web_url": address},
        "reviews": rounds,
        "merge_allowed": allowed,
    }


def tell_reviews(told: Mapping[str, JSON]) -> None:
    """Print what each round came to, for a person."""
    if "reviews" not in told:
        return
    say(f"reviewed       {told['reviewed']['web_url']}")
    for one in told["reviews"]:
        shown = {"approved": "Approved", "reviewed": "Commented", "requested_changes": "Changes requested"}
        states: dict[str, int] = {}
        for finding in one["findings"]:
            states[finding["state"]] = states.get(finding["state"], 0) + 1
        counted = ", ".join(f"{number} {state}" for state, number in states.items()) or "no findings"
        say(f"review {one['round']}       {shown.get(one['verdict'], 'failed')}  ({counted})")
    say(f"merge          {'allowed' if told['merge_allowed'] else 'blocked'}")


def _with_recording(settings: Settings, data: Path, name: str, *, replay: bool) -> Settings:
    return replace(settings, model=f"recorded:{data / name}.jsonl") if replay else settings


def _recorded(record: Path | None, name: str) -> Path | None:
    return record.with_name(f"{record.stem}-{name}{record.suffix}") if record is not None else None


async def _review(settings: Settings, subject: Subject, record: Path | None) -> tuple[Session, dict[str, JSON]]:
    from mergewright.cli.work import run_review

    return await run_review(settings, subject, record=record)


async def _fix(settings: Settings, subject: Subject, record: Path | None) -> tuple[Session, dict[str, JSON]]:
    from mergewright.cli.work import run

    return await run(settings, lambda runtime: runtime.start_feedback(subject), record=record)


async def _open(settings: Settings, data: Path) -> Subject:
    """Push a branch as a person would, and open the merge request; the reviewer's approval counts in this demo."""
    from mergewright import git
    from mergewright.app.connect import connect
    from mergewright.app.records import set_policy
    from mergewright.app.reviewing import opened_reviews

    async with opened_reviews(settings) as reviews:
        await set_policy(reviews, "", {"approval": "counts"}, actor="demo", reason="so that the demo ends approved")
    forge = connect(settings, role="person")
    try:
        remote = await forge.remote(PROJECT)
        place = settings.home / "person"
        mine = await git.clone(remote, place / "repo.git", place / "work", branch=None)
        await mine.switch(BRANCH)
        shutil.copytree(data / "users-search", place / "work", dirs_exist_ok=True)
        await mine.commit_all(TITLE, author=("Demo", "demo@example.com"), when=int(time.time()))
        await mine.push(remote, source=BRANCH, branch=BRANCH, expect=None)
        opened = await forge.open_merge_request(
            PROJECT, source_branch=BRANCH, target_branch="main", title=TITLE, description=DESCRIPTION
        )
    finally:
        forge.close()
    return Subject(PROJECT, "!", opened.iid)


async def _mergeable(settings: Settings, subject: Subject) -> tuple[bool, str]:
    from mergewright.app.connect import connect

    forge = connect(settings, role="reviewer")
    try:
        merge_request = await forge.merge_request(subject.project, subject.iid)
    finally:
        forge.close()
    return merge_request.detailed_merge_status == "mergeable", merge_request.web_url
