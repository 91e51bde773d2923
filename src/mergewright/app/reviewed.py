"""What the pages tell of reviews: which merge requests were reviewed, and how one of them stands."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mergewright.app.people import People, Person
from mergewright.app.report import usage_of
from mergewright.domain.forge import AccessLevel, MergeRequest
from mergewright.domain.policy import Policy
from mergewright.domain.review import Finding, Review, ReviewerStatus
from mergewright.domain.session import JSON, EventKind, Store, Subject, Usage
from mergewright.review.decide import blocking
from mergewright.review.gate import GateAction, gate
from mergewright.review.settings import FILE, Resolved, resolve, scopes

if TYPE_CHECKING:
    from mergewright.domain.approval import ReviewForge
    from mergewright.store.reviews import SqlReviewStore

UNFINISHED = {ReviewerStatus.REVIEWING, ReviewerStatus.NONE}
ROWS = 50


@dataclass(frozen=True, slots=True)
class Row:
    """One merge request in the list."""

    newest: Review
    decided: Review | None
    """The newest review that came to an end."""
    rounds: int
    blocking: int
    standing: int

    @property
    def reviewing(self) -> bool:
        return self.newest.status is ReviewerStatus.REVIEWING


@dataclass(frozen=True, slots=True)
class Rights:
    """Why somebody may not do something; empty where they may."""

    dismiss: str
    dispute: str
    override: str
    ask: str


@dataclass(frozen=True, slots=True)
class Reviewed:
    """One merge request, with all that the reviewer ever said of it."""

    merge_request: MergeRequest
    reviews: Sequence[Review]
    """The newest first."""
    findings: Sequence[Finding]
    resolved: Resolved
    gate: GateAction | None
    """What the forge enforces now; None before the first review has ended."""
    rights: Rights
    threads: Mapping[str, str]
    """The address of each finding's thread, by the finding's id."""
    first_verdicts: Mapping[str, str]
    """What each review said before a person changed it, by its head."""
    facts: Mapping[str, JSON]
    """What else the newest finished review kept: `failed_parts`, `remarks`, `suppressed`."""
    usage: Mapping[str, Usage]
    """What each session's requests to the model cost, by the session's id."""

    @property
    def decided(self) -> Review | None:
        return next((one for one in self.reviews if one.status not in UNFINISHED), None)

    @property
    def blocking(self) -> Sequence[Finding]:
        return [one for one in self.findings if blocking(one, self.resolved.policy)]


async def rows(reviews: "SqlReviewStore", projects: Collection[str], *, before: float = 0.0) -> Sequence[Row]:
    """Give the reviewed merge requests of some projects, the one that was looked at last first."""
    found = []
    for newest in await reviews.newest(projects, before=before, limit=ROWS):
        told = await reviews.reviews(newest.project, newest.iid)
        findings = await reviews.findings(newest.project, newest.iid)
        policy = Policy.decode(newest.policy) if newest.policy else Policy()
        found.append(
            Row(
                newest,
                next((one for one in reversed(told) if one.status not in UNFINISHED), None),
                sum(one.verdict is not None for one in told),
                sum(blocking(one, policy) for one in findings),
                sum(one.state.standing for one in findings),
            )
        )
    return found


async def reviewed(
    reviews: "SqlReviewStore",
    people: People,
    person: Person,
    forge: "ReviewForge",
    store: Store,
    subject: Subject,
) -> Reviewed:
    """Tell how a merge request stands; raises NotFound where the person does not see it or nothing was reviewed."""
    project, iid = subject.project, subject.iid
    with people.open_forge(person.token) as theirs:
        merge_request = await theirs.merge_request(project, iid)
        discussions = await theirs.discussions(subject)
        file = await theirs.file(project, FILE, ref=merge_request.target_branch)
    found = list(reversed(await reviews.reviews(project, iid)))
    findings = await reviews.findings(project, iid)
    resolved = resolve(project, {scope: await reviews.settings(scope) for scope in scopes(project)}, file)
    decided = next((one for one in found if one.status not in UNFINISHED), None)
    notes = {one.id: one.notes[0].id for one in discussions if one.notes}
    level = await people.level(person, project)
    return Reviewed(
        merge_request,
        found,
        findings,
        resolved,
        None if decided is None else await _gate(forge, merge_request, decided, resolved.policy, findings),
        _rights(level, resolved.policy, decided),
        {
            one.id: f"{merge_request.web_url}#note_{notes[one.discussion_id]}"
            for one in findings
            if one.discussion_id in notes
        },
        await _first_verdicts(reviews, project, iid),
        {} if decided is None else await reviews.part(decided.id, "facts") or {},
        {name: await _usage(store, name) for name in {one.session for one in found}},
    )


async def _gate(
    forge: "ReviewForge", merge_request: MergeRequest, decided: Review, policy: Policy, findings: Sequence[Finding]
) -> GateAction:
    project, iid = merge_request.project, merge_request.iid
    gates, approvals = await forge.gates(project, iid), await forge.approvals(project, iid)
    requested = policy.request_changes and any(blocking(one, policy) for one in findings)
    me = (await forge.status()).user.username
    author = merge_request.author.username
    return gate(policy, decided.status, gates, approvals, reviewer=me, author=author, requested=requested)


def _rights(level: AccessLevel, policy: Policy, decided: Review | None) -> Rights:
    def why(what: str, needed: AccessLevel) -> str:
        if level >= needed:
            return ""
        has = "no role here" if level == AccessLevel.NONE else f"the role {level.name.title()}"
        return f"To {what} takes the role {needed.name.title()} or more; you have {has}."

    asked = decided is not None and decided.status in {ReviewerStatus.CHANGES_REQUESTED, ReviewerStatus.FAILED}
    override = why("override the request for changes", policy.override_role)
    return Rights(
        why("dismiss a finding", policy.override_role),
        why("mark a finding as incorrect", AccessLevel.DEVELOPER),
        override if asked else "There is no request for changes to override.",
        why("ask for a review", AccessLevel.DEVELOPER),
    )


async def _first_verdicts(reviews: "SqlReviewStore", project: str, iid: int) -> dict[str, str]:
    """Give each head's verdict as the reviewer gave it: an override or a dismissal writes over a review's own."""
    told: dict[str, str] = {}
    for one in await reviews.audit_entries(project, iid):
        if one.action == "review" and one.details.get("verdict") and not one.details.get("anew"):
            told[one.head_sha] = str(one.details["verdict"])
    return told


async def _usage(store: Store, session: str) -> Usage:
    return usage_of(list(await store.events(session, kinds=[EventKind.USAGE])))
