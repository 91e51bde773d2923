"""REST of the reviewer, under `/api/v1`: the same checks as for a reply in a thread."""

from typing import TYPE_CHECKING, Annotated, Literal

from fastapi import APIRouter, Header, Query
from fastapi.responses import PlainTextResponse
from pydantic import BaseModel, Field

from mergewright.domain.errors import Forbidden, NotFound, WrongUse
from mergewright.domain.forge import AccessLevel, User
from mergewright.domain.session import JSON, Subject
from mergewright.domain.trigger import Cause, Trigger, TriggerKind

if TYPE_CHECKING:
    from mergewright.server.app import Services

Token = Annotated[str, Header(alias="Authorization")]
Private = Annotated[str, Header(alias="PRIVATE-TOKEN")]
Project = Annotated[str, Query(description="The project's path", examples=["group/project"])]


class Asked(BaseModel):
    """A merge request to review."""

    subject: str = Field(examples=["group/project!12"])


class Reason(BaseModel):
    """Why a finding's fate is changed."""

    reason: str = Field(max_length=2_000)


class Override(BaseModel):
    """A request for changes to lift."""

    subject: str = Field(examples=["group/project!12"])
    reason: str = Field(max_length=2_000)


class Change(BaseModel):
    """New values of a project's policy."""

    scope: str = Field(examples=["group/project"])
    values: dict[str, JSON]
    reason: str = Field(max_length=2_000)


def routes(services: "Services") -> APIRouter:
    """Give the routes over these services."""
    from mergewright.app import records
    from mergewright.app.report import finding_json, review_json
    from mergewright.review.answer import desk_for
    from mergewright.review.override import dismiss, dispute, override

    router = APIRouter()
    people, reviews = services.people, services.reviews

    async def reader(token: str, private: str, project: str) -> User:
        user, proof = await people.who(token, private)
        await people.may_read(proof, project)
        return user

    async def maintainer(token: str, private: str, project: str) -> User:
        user = await reader(token, private, project)
        if await people.level(user, project) < AccessLevel.MAINTAINER:
            raise Forbidden("this takes the role Maintainer or more", hint="ask a maintainer of the project")
        return user

    async def about(finding_id: str, token: str, private: str) -> tuple[User, Subject]:
        user, proof = await people.who(token, private)
        project, iid, _ = await reviews.finding(finding_id)
        try:
            await people.may_read(proof, project)
        except NotFound as error:
            raise NotFound(f"there is no finding `{finding_id}`") from error
        return user, Subject(project, "!", iid)

    @router.get("/reviews", summary="Reviews of a merge request or a project, oldest first")
    async def list_reviews(project: Project, iid: int = 0, token: Token = "", private: Private = "") -> list[JSON]:
        await reader(token, private, project)
        return [review_json(one) for one in await reviews.reviews(project, iid)]

    @router.get("/reviews/{review_id}", summary="One review, with what was seen of each file")
    async def show_review(review_id: str, token: Token = "", private: Private = "") -> JSON:
        _, proof = await people.who(token, private)
        review = await reviews.review(review_id)
        try:
            await people.may_read(proof, review.project)
        except NotFound as error:
            raise NotFound(f"there is no review `{review_id}`") from error
        return review_json(review, whole=True)

    @router.post("/reviews", status_code=202, summary="Ask for a review of the newest head")
    async def ask(asked: Asked, token: Token = "", private: Private = "") -> JSON:
        subject = Subject.parse(asked.subject)
        user = await reader(token, private, subject.project)
        if await people.level(user, subject.project) < AccessLevel.DEVELOPER:
            raise Forbidden("this takes the role Developer or more", hint="ask a member of the project")
        if subject.kind != "!":
            raise WrongUse(f"`{subject}` is an issue", hint="name a merge request: `group/project!12`")
        wanted = Trigger(TriggerKind.REVIEW, subject, user.username, Cause.ASKED)
        await services.triggers.deliver("", [wanted])
        services.wake()
        return {"subject": str(subject)}

    @router.get("/findings", summary="Findings of a merge request or a project, oldest first")
    async def list_findings(
        project: Project, iid: int = 0, state: str = "", token: Token = "", private: Private = ""
    ) -> list[JSON]:
        await reader(token, private, project)
        found = [(number, one) for _, number, one in await reviews.all_findings(project) if not iid or number == iid]
        return [finding_json(one) | {"iid": number} for number, one in found if not state or one.state.value == state]

    @router.post("/findings/{finding_id}/{verb}", summary="Dismiss a finding, or dispute it")
    async def settle(
        finding_id: str,
        verb: Literal["dismiss", "dispute"],
        given: Reason,
        token: Token = "",
        private: Private = "",
    ) -> JSON:
        user, subject = await about(finding_id, token, private)
        desk = await desk_for(services.world(subject), subject)
        do = dismiss if verb == "dismiss" else dispute
        return {"message": await do(desk, finding_id, user, given.reason)}

    @router.post("/merge_requests/override", summary="Lift a request for changes, without an approval")
    async def lift(given: Override, token: Token = "", private: Private = "") -> JSON:
        subject = Subject.parse(given.subject)
        user = await reader(token, private, subject.project)
        desk = await desk_for(services.world(subject), subject)
        return {"message": await override(desk, user, given.reason)}

    @router.get("/policy", summary="The policy in force, and where each value comes from")
    async def show_policy(project: Project, token: Token = "", private: Private = "") -> JSON:
        await reader(token, private, project)
        found = await records.policy_for(reviews, project)
        values = found.policy.encode()
        told = {name: {"value": values[name], "from": found.sources[name]} for name in sorted(values)}
        return {"project": project, "policy": told, "locked": dict(found.locked), "problems": list(found.problems)}

    @router.patch("/policy", summary="Change a project's policy")
    async def change_policy(change: Change, token: Token = "", private: Private = "") -> JSON:
        if "/" not in change.scope:
            raise WrongUse(
                "only a project's own policy can be changed here", hint="use `mergewright policy set` for the others"
            )
        user = await maintainer(token, private, change.scope)
        after = await records.set_policy(
            reviews, change.scope, change.values, actor=user.username, reason=change.reason
        )
        return {"scope": change.scope, "values": dict(after)}

    @router.get("/audit", summary="The audit of a project, as JSON lines or CSV")
    async def audit(
        project: Project,
        iid: int = 0,
        since: float = 0.0,
        form: Annotated[Literal["jsonl", "csv"], Query(alias="format")] = "jsonl",
        token: Token = "",
        private: Private = "",
    ) -> PlainTextResponse:
        await maintainer(token, private, project)
        found = await reviews.audit_entries(project, iid, since=since)
        if form == "csv":
            return PlainTextResponse(records.as_csv(found), media_type="text/csv")
        return PlainTextResponse(records.as_jsonl(found), media_type="application/jsonl")

    @router.get("/metrics", summary="What came of a project's reviews, in numbers")
    async def metrics(
        project: Project, since: float = 0.0, until: float = 0.0, token: Token = "", private: Private = ""
    ) -> JSON:
        await reader(token, private, project)
        return await records.metrics_of(reviews, project=project, since=since, until=until)

    return router
