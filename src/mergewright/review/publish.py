"""Puts a review on the merge request: drafts, one publish, one verdict; killed anywhere, it goes on where it was."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from mergewright.domain.approval import Position, ReviewForge
from mergewright.domain.errors import Conflict, Forbidden, ForgeError, NotFound, Unauthorized, Unreachable
from mergewright.domain.forge import Discussion, MergeRequest
from mergewright.domain.policy import Approval
from mergewright.domain.review import Finding, Review, ReviewerStatus, Verdict
from mergewright.domain.session import EventKind, Subject
from mergewright.review import render
from mergewright.review.anchor import position
from mergewright.review.decide import blocking
from mergewright.review.gate import NAME, GateAction, State, gate
from mergewright.review.reconcile import Reply
from mergewright.review.world import Case, ReviewWork

_CHECKED: Mapping[State, Literal["pending", "passed", "failed"]] = {
    "success": "passed",
    "failed": "failed",
    "pending": "pending",
}


class HeadMoved(Exception):
    """Somebody pushed while the review ran: what it says is of another commit."""


@dataclass(slots=True)
class Posting:
    """What became of the threads of one review."""

    threads: dict[str, str] = field(default_factory=dict)
    """The thread of each finding, by the finding's id."""
    unposted: list[Finding] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)


def marks(discussions: Sequence[Discussion]) -> dict[str, tuple[str, int]]:
    """Give our own notes by their mark: the thread and the note."""
    return {note.mark: (one.id, note.id) for one in discussions for note in one.notes if note.mark}


def waiting(findings: Sequence[Finding]) -> list[Finding]:
    """Give the findings that should have a thread and have none, the most severe first."""
    found = [one for one in findings if one.state.standing and not one.late and not one.discussion_id]
    return sorted(found, key=lambda one: (-one.severity.rank, -one.confidence, one.place.path, one.place.line))


async def publish(
    work: ReviewWork, case: Case, told: render.Told, *, discussions: Sequence[Discussion]
) -> tuple[list[Finding], int]:
    """Post what is not there yet; give the findings with their threads, and the id of the summary's note.

    Raises HeadMoved before anything is published when the head is another one by now.
    """
    project, iid = case.review.project, case.review.iid
    summary_mark = f"review.{case.review.id}"
    there = marks(discussions)
    if summary_mark not in there:
        posting = await _drafts(work, case, told, there)
        now = await work.world.forge.merge_request(project, iid)
        if now.sha != case.refs.head_sha:
            await drop_drafts(work, case)
            raise HeadMoved
        names = {user.username for user in now.reviewers}
        if case.reviewer not in names and (told.takes_reviewers or not names):
            # Who is no reviewer has no state to show; where only one may be it, nobody is pushed out.
            await work.world.forge.ask_reviewer(project, iid, case.reviewer)
        links = {
            one.id: f"{case.merge_request.web_url}#note_{note}"
            for one in told.findings
            if (note := _first_note(discussions, one.discussion_id))
        }
        whole = replace(told, unposted=tuple(posting.unposted), remarks=(*told.remarks, *posting.remarks), links=links)
        asks = told.decision.verdict is Verdict.REQUESTED_CHANGES and case.policy.approval is not Approval.ADVISORY
        state: Literal["requested_changes", "reviewed"] = "requested_changes" if asks else "reviewed"
        await work.world.forge.publish_review(project, iid, state=state, note=render.summary(whole), mark=summary_mark)
        await work.emit(EventKind.FORGE, {"action": "published a review", "web_url": case.merge_request.web_url})
        # Without a new thread there is nothing to learn; the summary's note is looked for when it is to be changed.
        if waiting(told.findings):
            there = marks(await work.world.forge.discussions(Subject(project, "!", iid)))
    findings = [
        replace(one, discussion_id=there[f"finding.{one.id}"][0])
        if not one.discussion_id and f"finding.{one.id}" in there
        else one
        for one in told.findings
    ]
    return findings, there.get(summary_mark, ("", 0))[1]


async def _drafts(work: ReviewWork, case: Case, told: render.Told, there: Mapping[str, tuple[str, int]]) -> Posting:
    posting = Posting()
    forge, project, iid = work.world.forge, case.review.project, case.review.iid
    wanted = waiting(told.findings)
    posting.unposted += wanted[case.policy.most_findings :]
    if posting.unposted:
        posting.remarks.append(f"Only the {case.policy.most_findings} most severe findings have threads.")
    files = {file.path: file for file in case.files} | {file.old_path: file for file in reversed(case.files)}
    planned = {f"finding.{one.id}" for one in wanted} | {_answer_mark(case, one) for one in told.replies}
    # What a review that was killed, or whose head moved, left behind must not be published with this one.
    for draft in await forge.draft_notes(project, iid):
        if draft.mark not in planned:
            await forge.drop_draft_note(project, iid, draft.id)
    for finding in wanted[: case.policy.most_findings]:
        mark = f"finding.{finding.id}"
        if mark in there:
            continue
        file = files.get(finding.place.path)
        places: list[Position] = []
        if file is not None:
            exact = position(finding.place, file, case.refs)
            places = [exact] if exact.whole_file else [exact, replace(exact, whole_file=True)]
        for at in places:
            inline = not at.whole_file
            body = render.thread(finding, case.policy, reviewer=case.reviewer, inline=inline)
            try:
                await forge.add_draft_note(project, iid, body, mark=mark, position=at)
            except (Unreachable, Unauthorized, Forbidden, NotFound, Conflict):
                raise
            except ForgeError:
                continue
            if not inline and finding.place.line:
                posting.remarks.append(f"{render.place(finding)}: the forge takes no note on this line; see the file.")
            break
        else:
            posting.unposted.append(finding)
            posting.remarks.append(f"{render.place(finding)}: the forge takes no thread here; it stands below.")
    threads = {one.id for one in case.discussions}
    for reply in told.replies:
        finding = reply.finding
        mark = _answer_mark(case, reply)
        if not finding.discussion_id or finding.discussion_id not in threads or mark in there:
            continue
        # A person's click does not settle what the code has not: such a thread is opened again.
        await forge.add_draft_note(
            project,
            iid,
            render.answer(reply, case.refs.head_sha),
            mark=mark,
            discussion_id=finding.discussion_id,
            resolve=not finding.state.standing,
        )
    return posting


async def drop_drafts(work: ReviewWork, case: Case) -> None:
    """Take back what nobody has seen."""
    project, iid = case.review.project, case.review.iid
    for draft in await work.world.forge.draft_notes(project, iid):
        await work.world.forge.drop_draft_note(project, iid, draft.id)


def _answer_mark(case: Case, reply: Reply) -> str:
    return f"answer.{case.review.id}.{reply.finding.id}"


def _first_note(discussions: Sequence[Discussion], discussion_id: str) -> int:
    return next((one.notes[0].id for one in discussions if one.id == discussion_id and one.notes), 0)


async def weigh(work: ReviewWork, case: Case, status: ReviewerStatus) -> GateAction:
    """Find out what the forge offers, and what follows from where the reviewer stands."""
    project, iid = case.review.project, case.review.iid
    gates = await work.world.forge.gates(project, iid)
    approvals = await work.world.forge.approvals(project, iid)
    author = case.merge_request.author.username
    requested = any(blocking(one, case.policy) for one in case.findings) and case.policy.request_changes
    action = gate(case.policy, status, gates, approvals, reviewer=case.reviewer, author=author, requested=requested)
    # What nobody has given need not be taken back: a first review makes no call for it.
    asked = any(one.verdict is Verdict.REQUESTED_CHANGES for one in case.earlier)
    return replace(
        action,
        approved=any(user.username == case.reviewer for user in approvals.approved_by),
        requested=asked or case.merge_request.detailed_merge_status == "requested_changes",
    )


async def set_gate(forge: ReviewForge, merge_request: MergeRequest, sha: str, action: GateAction) -> None:
    """Make a gate's calls for a reviewed head; raises HeadMoved, with nothing approved, when it is not the head now.

    A request for changes was made already: it is published together with the review.
    """
    project, iid = merge_request.project, merge_request.iid
    try:
        if action.native == "approve":
            await forge.approve(project, iid, sha=sha)
        elif action.native == "clear_request":
            if action.approved:
                await forge.unapprove(project, iid)
            if action.requested:
                await forge.clear_request(project, iid)
        if action.state is None:
            return
        if action.check is not None:
            await forge.answer_status_check(project, iid, action.check.id, sha=sha, status=_CHECKED[action.state])
            return
    except Conflict as error:
        raise HeadMoved from error
    await forge.set_commit_status(
        project,
        sha,
        state=action.state,
        name=NAME,
        description=action.description,
        ref=merge_request.source_branch,
        pipeline_id=merge_request.head_pipeline,
    )


def finished(review: Review, told: render.Told, *, at: float, note: int) -> Review:
    """Give the review as it is kept once everybody can read it."""
    decision = told.decision
    return replace(
        review,
        status=decision.status,
        verdict=decision.verdict,
        reason=decision.reason,
        coverage=tuple(told.coverage),
        dropped=dict(told.dropped),
        summary_note=note,
        gate=told.gate,
        ended_at=at,
    )
