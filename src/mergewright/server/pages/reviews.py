"""Reviewed merge requests: how each stands, every finding with its fate, and what a person may do about it."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Annotated

from fastapi import APIRouter, Form, Query, Request, Response
from fastapi.responses import RedirectResponse

from mergewright.app.people import Person
from mergewright.app.records import need_flow
from mergewright.app.reviewed import ROWS, reviewed, rows
from mergewright.domain.errors import Conflict, Forbidden, MergewrightError, NotFound, WrongUse
from mergewright.domain.forge import AccessLevel
from mergewright.domain.review import FindingState
from mergewright.domain.session import Subject
from mergewright.domain.trigger import Cause, Trigger, TriggerKind
from mergewright.server.asking import Asking, services_of
from mergewright.server.pages.base import page
from mergewright.server.pages.words import WORDS
from mergewright.server.problems import status_of

router = APIRouter()
Reason = Annotated[str, Form()]
LONGEST_REASON = 2_000
DONE = {
    "dismissed": "The finding is dismissed.",
    "disputed": "The finding is disputed: it still stands, and the next review answers the argument.",
    "overridden": "The request for changes is lifted, without an approval.",
    "asked": "On it: the newest head is reviewed next.",
}


@router.get("/reviews")
async def index(
    request: Request, person: Asking, project: str = "", before: Annotated[float, Query(ge=0)] = 0.0
) -> Response:
    """List the merge requests that were reviewed, in projects that the person sees."""
    services = services_of(request)
    names = await services.sessions.readable(person, await services.reviews.projects())
    if project and project not in names:
        project = await services.people.may_read(person, project, code=True)
    chosen = [project] if project else names
    found = await rows(services.reviews, chosen, before=before)
    return page(
        request,
        "reviews.html",
        person,
        title="Reviews",
        projects=names,
        project=project,
        rows=found,
        more=found[-1].newest.created_at if len(found) == ROWS else 0.0,
        **WORDS,
    )


@router.get("/reviews/{project:path}/-/{iid}")
async def show(request: Request, person: Asking, project: str, iid: int, done: str = "") -> Response:
    """Show one merge request's reviews."""
    subject = await _subject(request, person, project, iid)
    if subject.project != project:
        return RedirectResponse(_address(subject), 303)
    return await _shown(request, person, subject, done=DONE.get(done, ""))


@router.post("/reviews/{project:path}/-/{iid}/findings/{finding}/{verb}")
async def settle(
    request: Request, person: Asking, project: str, iid: int, finding: str, verb: str, reason: Reason = ""
) -> Response:
    """Dismiss a finding, or mark it as incorrect."""
    from mergewright.review.answer import desk_for
    from mergewright.review.override import dismiss, dispute

    if verb not in {"dismiss", "dispute"}:
        raise NotFound(f"nobody can `{verb}` a finding")
    subject, services = await _subject(request, person, project, iid), services_of(request)

    async def do() -> None:
        desk = await desk_for(services.world(subject), subject)
        await (dismiss if verb == "dismiss" else dispute)(desk, finding, person.user, _checked(reason))

    done = "dismissed" if verb == "dismiss" else "disputed"
    return await _acted(request, person, subject, do, done=done, at=f"#finding-{finding}", said=(finding, reason))


@router.post("/reviews/{project:path}/-/{iid}/override")
async def lift(request: Request, person: Asking, project: str, iid: int, reason: Reason = "") -> Response:
    """Lift a request for changes."""
    from mergewright.review.answer import desk_for
    from mergewright.review.override import override

    subject, services = await _subject(request, person, project, iid), services_of(request)

    async def do() -> None:
        desk = await desk_for(services.world(subject), subject)
        await override(desk, person.user, _checked(reason))

    return await _acted(request, person, subject, do, done="overridden", said=("override", reason))


@router.post("/reviews/{project:path}/-/{iid}/again")
async def again(request: Request, person: Asking, project: str, iid: int) -> Response:
    """Ask for a review of the newest head."""
    subject, services = await _subject(request, person, project, iid), services_of(request)

    async def do() -> None:
        await services.people.at_least(person, subject.project, AccessLevel.DEVELOPER)
        await need_flow(services.reviews, services.world(subject).forge, subject.project, "code_review")
        wanted = Trigger(TriggerKind.REVIEW, subject, person.user.username, Cause.ASKED)
        await services.triggers.deliver("", [wanted])
        services.wake()

    return await _acted(request, person, subject, do, done="asked")


async def _acted(
    request: Request,
    person: Person,
    subject: Subject,
    do: Callable[[], Awaitable[None]],
    *,
    done: str,
    at: str = "",
    said: tuple[str, str] = ("", ""),
) -> Response:
    """Do what was asked; where it is refused, show the page with the reason and with what was written."""
    try:
        await do()
    except (Conflict, Forbidden, WrongUse) as error:
        return await _shown(request, person, subject, error=error, said=said)
    return RedirectResponse(f"{_address(subject)}?done={done}{at}", 303)


async def _shown(
    request: Request,
    person: Person,
    subject: Subject,
    *,
    done: str = "",
    error: MergewrightError | None = None,
    said: tuple[str, str] = ("", ""),
) -> Response:
    services = services_of(request)
    world = services.world(subject)
    told = await reviewed(services.reviews, services.people, person, world.forge, world.store, subject)
    return page(
        request,
        "review.html",
        person,
        status=200 if error is None else status_of(error),
        title=f"{subject}",
        subject=subject,
        address=_address(subject),
        told=told,
        groups=[(state.value, [one for one in told.findings if one.state is state and not one.late])
                for state in (FindingState.OPEN, FindingState.DISPUTED, FindingState.FIXED,
                              FindingState.DISMISSED, FindingState.OBSOLETE)],
        late=[one for one in told.findings if one.late],
        done=done,
        error=error,
        said=said,
        reviewer=services.ours.reviewer,
        asked=done == DONE["asked"],
        part=bool(request.headers.get("hx-request")),
        **WORDS,
    )  # fmt: skip


async def _subject(request: Request, person: Person, project: str, iid: int) -> Subject:
    """Give a merge request by its project's own path; who does not see the project learns nothing of what is in it."""
    try:
        subject = Subject.parse(f"{project}!{iid}")
    except WrongUse as error:
        raise NotFound(f"there is no merge request `{project}!{iid}`") from error
    path = await services_of(request).people.may_read(person, project, what=f"merge request `{subject}`", code=True)
    return replace(subject, project=path)


def _address(subject: Subject) -> str:
    return f"/reviews/{subject.project}/-/{subject.iid}"


def _checked(reason: str) -> str:
    if len(reason) > LONGEST_REASON:
        raise WrongUse(f"the reason is longer than {LONGEST_REASON} characters", hint="keep it short")
    return reason
