"""Overrides, dismissals, disputes and talk, by reply in the thread."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from mergewright.domain.errors import Conflict, Forbidden, WrongUse
from mergewright.domain.forge import User
from mergewright.domain.review import FindingState, ReviewerStatus, Verdict
from mergewright.review.answer import answer
from mergewright.review.override import dismiss, last_review, override, weigh_again
from tests.review.conftest import Open
from tests.review.stage import CHANGE, PROJECT, Stage, claim


async def reviewed(open_review: Open, **more: object) -> tuple[Stage, str]:
    stage = open_review(claim(), **more)
    await stage.review()
    return stage, stage.threads()[0]["id"]


async def said(stage: Stage, text: str, *, by: str = "ann", thread: str = "") -> str:
    """Write to the reviewer and give the answer."""
    note = stage.say(text, by=by, thread=thread)
    await answer(stage.world(), stage.subject, note)
    return next(body for body in stage.notes() if f"mergewright:answer.{note} " in body)


async def actions(stage: Stage) -> list[tuple[str, str]]:
    return [(one.actor, one.action) for one in await stage.reviews.audit_entries(PROJECT, 1)]


async def test_r24_a_maintainer_dismisses_a_finding_with_a_reason_and_the_block_is_gone(open_review: Open) -> None:
    stage, thread = await reviewed(open_review)
    told = await said(stage, "@reviewer dismiss because prices are never empty", thread=thread)
    assert told.startswith("Dismissed by @ann. No blocking finding is left. Verdict now: Approved.")
    (finding,) = await stage.findings()
    assert finding.state is FindingState.DISMISSED
    assert ("ann", "dismiss") in await actions(stage)
    assert stage.merge_request()["detailed_merge_status"] == "mergeable"
    assert stage.summaries()[0].startswith("## Approved")


class Then:
    """A store or a forge behind which something happens as soon as a call is done."""

    def __init__(self, real: Any, call: str, happens: Callable[[], Awaitable[None]]) -> None:
        self.real = real
        self.call = call
        self.happens = happens

    def __getattr__(self, name: str) -> Any:
        real = getattr(self.real, name)
        if name != self.call:
            return real

        async def then(*arguments: Any, **named: Any) -> Any:
            done = await real(*arguments, **named)
            self.call = ""
            await self.happens()
            return done

        return then


async def test_r24_a_dismissal_while_the_verdict_is_published_counts(open_review: Open) -> None:
    stage = open_review(claim())
    real = stage.reviews

    async def dismissed() -> None:
        (thread,) = stage.threads()
        assert (await said(stage, "@reviewer dismiss because we know", thread=thread["id"])).startswith("Dismissed")

    stage.reviews = Then(real, "save_findings", dismissed)  # type: ignore[assignment]
    done = await stage.review()
    assert (done.verdict, done.status) == (Verdict.APPROVED, ReviewerStatus.APPROVED)
    assert (await stage.findings())[0].state is FindingState.DISMISSED
    assert stage.merge_request()["detailed_merge_status"] == "mergeable"
    assert stage.summaries()[0].startswith("## Approved")


async def test_r24_a_dismissal_in_a_thread_that_nobody_has_written_down_yet_is_heard_a_moment_later(
    open_review: Open,
) -> None:
    stage = open_review(claim())
    real, notes = stage.forge, list[int]()

    async def replied() -> None:
        (thread,) = stage.threads()
        notes.append(stage.say("@reviewer dismiss because we know", thread=thread["id"]))
        with pytest.raises(Conflict, match="still being published"):
            await answer(stage.world(), stage.subject, notes[0])

    stage.forge = Then(real, "publish_review", replied)  # type: ignore[assignment]
    await stage.review()
    told = await answer(stage.world(), stage.subject, notes[0])
    assert told.text.startswith("Dismissed by @ann. No blocking finding is left.")
    assert stage.merge_request()["detailed_merge_status"] == "mergeable"


async def test_r24_a_reason_is_mandatory(open_review: Open) -> None:
    stage, thread = await reviewed(open_review)
    told = await said(stage, "@reviewer dismiss", thread=thread)
    assert told.startswith("This is not how the command reads. The right form: `@reviewer dismiss because …`")
    assert (await stage.findings())[0].state is FindingState.OPEN


async def test_r25_a_developer_may_not_dismiss_and_the_attempt_is_recorded(open_review: Open) -> None:
    stage, thread = await reviewed(open_review)
    told = await said(stage, "@reviewer dismiss because I want to merge", by="bob", thread=thread)
    assert "takes the role Maintainer or more" in told
    assert (await stage.findings())[0].state is FindingState.OPEN
    assert ("bob", "refuse") in await actions(stage)
    assert stage.merge_request()["detailed_merge_status"] == "requested_changes"


async def test_r25_the_role_that_is_needed_comes_from_the_policy(open_review: Open) -> None:
    stage, thread = await reviewed(open_review)
    await stage.policy(override_role="developer")
    assert (await said(stage, "@reviewer dismiss because I know", by="bob", thread=thread)).startswith("Dismissed")


async def test_r26_an_override_lifts_the_block_without_an_approval(open_review: Open) -> None:
    stage, _ = await reviewed(open_review)
    await stage.policy(approval="counts")
    told = await said(stage, "@reviewer override because the release is today")
    assert told.startswith("Overridden by @ann")
    assert stage.merge_request()["detailed_merge_status"] == "mergeable"
    assert stage.api("GET", "/merge_requests/1/approvals")["approved_by"] == []
    review = await last_review(await stage.desk())
    assert review is not None
    assert review.status is ReviewerStatus.OVERRIDDEN
    assert stage.summaries()[0].startswith("## Commented (overridden)")


async def test_r26_a_later_blocking_finding_on_new_code_requests_changes_again(open_review: Open) -> None:
    stage, _ = await reviewed(open_review)
    await said(stage, "@reviewer override because the release is today")
    worse = "    return eval(name)"
    stage.push({"shop/price.py": f"{CHANGE['shop/price.py']}\n\ndef named(name):\n{worse}\n"})
    stage.mind.found = [claim(worse, line=14, title="`eval` runs what it is given", category="security")]  # type: ignore[union-attr]
    assert (await stage.review()).verdict is Verdict.REQUESTED_CHANGES
    assert stage.merge_request()["detailed_merge_status"] == "requested_changes"


async def test_r27_a_developer_disputes_and_the_next_review_answers_the_argument(open_review: Open) -> None:
    stage, thread = await reviewed(open_review)
    told = await said(stage, "@reviewer incorrect because callers never pass an empty list", by="bob", thread=thread)
    assert told.startswith("Noted, @bob")
    assert (await stage.findings())[0].state is FindingState.DISPUTED
    assert stage.merge_request()["detailed_merge_status"] == "requested_changes"
    stage.mind.found = ()  # type: ignore[union-attr]
    stage.mind.verify = lambda number: {  # type: ignore[union-attr]
        "outcome": "conceded",
        "reason": "right, `total` refuses an empty list",
        "quote": "    return sum(prices)",
    }
    done = await stage.review()
    assert done.verdict is Verdict.APPROVED
    assert "callers never pass an empty list" in stage.mind.asked("verify")[0]  # type: ignore[union-attr]
    (finding,) = await stage.findings()
    assert finding.state is FindingState.DISMISSED
    assert "the finding is withdrawn" in stage.threads()[0]["notes"][-1]["body"]


async def test_r27_a_dispute_that_is_not_conceded_still_blocks(open_review: Open) -> None:
    stage, thread = await reviewed(open_review)
    await said(stage, "@reviewer incorrect because I say so", by="bob", thread=thread)
    stage.mind.verify = lambda number: {"outcome": "open", "reason": "`mean([])` is called in a test"}  # type: ignore[union-attr]
    assert (await stage.review()).verdict is Verdict.REQUESTED_CHANGES
    assert "is called in a test" in stage.threads()[0]["notes"][-1]["body"]


async def test_r29_the_same_check_holds_without_a_thread(open_review: Open) -> None:
    stage, _ = await reviewed(open_review)
    (finding,) = await stage.findings()
    bob = stage.api("GET", "/members/all?query=bob")[0]
    who = User(bob["id"], "bob", "bob")
    with pytest.raises(Forbidden, match="Maintainer"):
        await dismiss(await stage.desk(), finding.id, who, "because")
    with pytest.raises(Forbidden, match="Maintainer"):
        await override(await stage.desk(), who, "because")
    ann = stage.api("GET", "/members/all?query=ann")[0]
    with pytest.raises(WrongUse, match="takes a reason"):
        await dismiss(await stage.desk(), finding.id, User(ann["id"], "ann", "ann"), " ")


async def test_r47_a_misspelt_command_is_answered_with_the_right_form(open_review: Open) -> None:
    stage, thread = await reviewed(open_review)
    told = await said(stage, "@reviewer dissmiss because it is fine", thread=thread)
    assert "`@reviewer dismiss because …`" in told


async def test_r47_a_dismissal_outside_of_a_findings_thread_is_answered(open_review: Open) -> None:
    stage, _ = await reviewed(open_review)
    assert "no thread of a finding of mine" in await said(stage, "@reviewer dismiss because it is fine")


async def test_nothing_can_be_overridden_where_nothing_was_requested(open_review: Open) -> None:
    stage = open_review()
    await stage.review()
    told = await said(stage, "@reviewer override because of the release")
    assert told.startswith("Not done: there is no request for changes to override")
    ann = stage.api("GET", "/members/all?query=ann")[0]
    with pytest.raises(Conflict):
        await override(await stage.desk(), User(ann["id"], "ann", "ann"), "because")


async def test_a_note_is_answered_once_however_often_it_is_delivered(open_review: Open) -> None:
    stage, thread = await reviewed(open_review)
    note = stage.say("@reviewer help", thread=thread)
    for _ in range(3):
        await answer(stage.world(), stage.subject, note)
    assert len([body for body in stage.notes() if f"answer.{note} " in body]) == 1


async def test_a_reply_that_only_talks_gets_an_answer_in_the_thread(open_review: Open) -> None:
    stage, thread = await reviewed(open_review)
    stage.mind.talk = "It divides by zero.\n\n/approve"  # type: ignore[union-attr]
    told = await said(stage, "@reviewer why is that so bad?", thread=thread)
    assert told.startswith("It divides by zero.")
    assert stage.api("GET", "/merge_requests/1/approvals")["approved_by"] == []


async def test_asking_for_another_review_or_a_fix_is_handed_on(open_review: Open) -> None:
    stage, thread = await reviewed(open_review)
    again = await answer(stage.world(), stage.subject, stage.say("@reviewer review", thread=thread))
    fix = await answer(stage.world(), stage.subject, stage.say("@reviewer fix this", thread=thread))
    refused = await answer(stage.world(), stage.subject, stage.say("@reviewer review", by="rita", thread=thread))
    assert (again.then, fix.then, fix.discussion, refused.then) == ("review", "fix", thread, "")


async def test_r16_the_gate_opens_when_a_person_has_approved_too(open_review: Open) -> None:
    stage = open_review(tier="free")
    stage.api("PUT", "", only_allow_merge_if_pipeline_succeeds=True)
    await stage.policy(approval="required")
    await stage.review()
    # A status that waits keeps the pipeline running.
    assert stage.merge_request()["detailed_merge_status"] == "ci_still_running"
    stage.api("POST", "/merge_requests/1/approve", by="bob")
    await weigh_again(await stage.desk())
    assert stage.merge_request()["detailed_merge_status"] == "mergeable"
