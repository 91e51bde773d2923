"""REST of the reviewer, under `/api/v1`: the same checks as for a reply in a thread."""

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any, Literal

from fastapi import APIRouter, Query
from fastapi.responses import PlainTextResponse

from mergewright.app.people import Person
from mergewright.domain.errors import WrongUse
from mergewright.domain.forge import AccessLevel
from mergewright.domain.session import Subject
from mergewright.domain.trigger import Cause, Trigger, TriggerKind
from mergewright.server.asking import Asking
from mergewright.server.problems import described
from mergewright.server.review_models import (
    Asked,
    Change,
    Changed,
    FindingLine,
    Iid,
    Moment,
    Numbers,
    Override,
    PolicyInForce,
    Project,
    Reason,
    ReviewId,
    ReviewLine,
    ReviewWhole,
    Said,
    Taken,
)

if TYPE_CHECKING:
    from mergewright.server.app import Services

State = Annotated[str, Query(max_length=20, pattern=r"^[a-z_]*$", description="Only those that stand so")]


def routes(services: "Services") -> APIRouter:
    """Give the routes over these services."""
    from mergewright.app import records, settling
    from mergewright.app.report import finding_json, review_json
    from mergewright.review.answer import desk_for
    from mergewright.review.override import dismiss, dispute, override

    router = APIRouter(responses=described())
    people, reviews = services.people, services.reviews

    async def about(finding_id: str, person: Person) -> Subject:
        project, iid, _ = await reviews.finding(finding_id)
        await people.may_read(person, project, what=f"finding `{finding_id}`", code=True)
        return Subject(project, "!", iid)

    @router.get(
        "/reviews",
        tags=["reviews"],
        operation_id="listReviews",
        response_model=list[ReviewLine],
        summary="Reviews of a merge request or a project, oldest first",
    )
    async def list_reviews(person: Asking, project: Project, iid: Iid = 0) -> Any:
        project = await people.may_read(person, project, code=True)
        return [review_json(one) for one in await reviews.reviews(project, iid)]

    @router.get(
        "/reviews/{review_id}",
        tags=["reviews"],
        operation_id="showReview",
        response_model=ReviewWhole,
        summary="One review, with what was seen of each file",
    )
    async def show_review(person: Asking, review_id: ReviewId) -> Any:
        review = await reviews.review(review_id)
        await people.may_read(person, review.project, what=f"review `{review_id}`", code=True)
        return review_json(review, whole=True)

    @router.post(
        "/reviews",
        status_code=202,
        tags=["reviews"],
        operation_id="askForReview",
        summary="Ask for a review of the newest head",
        responses=described(413),
    )
    async def ask(person: Asking, asked: Asked) -> Taken:
        subject = Subject.parse(asked.subject)
        subject = replace(subject, project=await people.at_least(person, subject.project, AccessLevel.DEVELOPER))
        if subject.kind != "!":
            raise WrongUse(f"`{subject}` is an issue", hint="name a merge request: `group/project!12`")
        await records.need_flow(reviews, services.world(subject).forge, subject.project, "code_review")
        wanted = Trigger(TriggerKind.REVIEW, subject, person.user.username, Cause.ASKED)
        await services.triggers.deliver("", [wanted])
        services.wake()
        return Taken(subject=str(subject))

    @router.get(
        "/findings",
        tags=["findings"],
        operation_id="listFindings",
        response_model=list[FindingLine],
        summary="Findings of a merge request or a project, oldest first",
    )
    async def list_findings(person: Asking, project: Project, iid: Iid = 0, state: State = "") -> Any:
        project = await people.may_read(person, project, code=True)
        found = [(number, one) for _, number, one in await reviews.all_findings(project) if not iid or number == iid]
        return [finding_json(one) | {"iid": number} for number, one in found if not state or one.state.value == state]

    @router.post(
        "/findings/{finding_id}/{verb}",
        tags=["findings"],
        operation_id="settleFinding",
        summary="Dismiss a finding, or dispute it",
        responses=described(409, 413),
    )
    async def settle(person: Asking, finding_id: ReviewId, verb: Literal["dismiss", "dispute"], given: Reason) -> Said:
        subject = await about(finding_id, person)
        desk = await desk_for(services.world(subject), subject)
        do = dismiss if verb == "dismiss" else dispute
        return Said(message=await do(desk, finding_id, person.user, given.reason))

    @router.post(
        "/merge_requests/override",
        tags=["reviews"],
        operation_id="override",
        summary="Lift a request for changes, without an approval",
        responses=described(409, 413),
    )
    async def lift(person: Asking, given: Override) -> Said:
        subject = Subject.parse(given.subject)
        subject = replace(subject, project=await people.may_read(person, subject.project, code=True))
        desk = await desk_for(services.world(subject), subject)
        return Said(message=await override(desk, person.user, given.reason))

    @router.get(
        "/policy",
        tags=["policy"],
        operation_id="showPolicy",
        response_model=PolicyInForce,
        summary="The policy in force, and where each value comes from",
    )
    async def show_policy(person: Asking, project: Project) -> Any:
        project = await people.may_read(person, project, code=True)
        found = await records.policy_for(reviews, project)
        values = found.policy.encode()
        told = {name: {"value": values[name], "from": found.sources[name]} for name in sorted(values)}
        return {"project": project, "policy": told, "locked": dict(found.locked), "problems": list(found.problems)}

    @router.patch(
        "/policy",
        tags=["policy"],
        operation_id="changePolicy",
        summary="Change the policy of a project, a group or the organisation",
        responses=described(409, 413),
    )
    async def change_policy(person: Asking, change: Change) -> Changed:
        scope = "" if change.scope == "organisation" else change.scope
        scope = await settling.need(people, person, scope, admins=services.admins)
        after = await records.set_policy(
            reviews, scope, change.values, actor=person.user.username, reason=change.reason
        )
        return Changed(scope=scope or "organisation", values=dict(after))

    @router.get(
        "/audit",
        tags=["audit"],
        operation_id="exportAudit",
        summary="The audit of a project, as JSON lines or CSV",
        response_class=PlainTextResponse,
        responses={200: {"description": "One entry a line", "content": {"application/jsonl": {}, "text/csv": {}}}},
    )
    async def audit(
        person: Asking,
        project: Project,
        iid: Iid = 0,
        since: Moment = 0.0,
        form: Annotated[Literal["jsonl", "csv"], Query(alias="format")] = "jsonl",
    ) -> PlainTextResponse:
        project = await people.at_least(person, project, AccessLevel.MAINTAINER)
        found = await reviews.audit_entries(project, iid, since=since)
        if form == "csv":
            return PlainTextResponse(records.as_csv(found), media_type="text/csv")
        return PlainTextResponse(records.as_jsonl(found), media_type="application/jsonl")

    @router.get(
        "/metrics",
        tags=["metrics"],
        operation_id="showMetrics",
        response_model=Numbers,
        summary="What came of a project's reviews, in numbers",
    )
    async def metrics(person: Asking, project: Project, since: Moment = 0.0, until: Moment = 0.0) -> Any:
        project = await people.may_read(person, project, code=True)
        return await records.metrics_of(reviews, project=project, since=since, until=until)

    return router
