"""The policy of the organisation, a group or a project: what is in force, where it comes from, and a form to set it."""

from collections.abc import Mapping, Sequence
from urllib.parse import quote

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse

from mergewright.app import settling
from mergewright.app.choices import Sheet, differences, sheet, wanted
from mergewright.app.people import Person
from mergewright.app.records import set_policy
from mergewright.domain.approval import Gates
from mergewright.domain.errors import Conflict, Forbidden, MergewrightError, NotFound, WrongUse
from mergewright.domain.session import JSON, Subject
from mergewright.review.settings import FILE, LOCKED, shown
from mergewright.server.asking import Asking, services_of
from mergewright.server.pages.base import page
from mergewright.server.pages.labels import FLOWS, LABELS
from mergewright.server.pages.words import WORDS
from mergewright.server.problems import status_of

router = APIRouter()
LONGEST_REASON = 2_000


@router.get("/settings")
async def organisation(request: Request, person: Asking, scope: str = "", done: str = "") -> Response:
    """Show the organisation's policy, or lead to the scope that was asked for."""
    if scope.strip("/ "):
        return RedirectResponse(f"/settings/{quote(scope.strip('/ '))}", 303)
    return await _shown(request, person, "", done=bool(done))


@router.get("/settings/{scope:path}")
async def show(request: Request, person: Asking, scope: str, done: str = "") -> Response:
    """Show the policy of a group or a project."""
    return await _shown(request, person, scope.strip("/"), done=bool(done))


@router.post("/settings")
async def change_organisation(request: Request, person: Asking) -> Response:
    """Change the organisation's policy."""
    return await _changed(request, person, "")


@router.post("/settings/{scope:path}")
async def change(request: Request, person: Asking, scope: str) -> Response:
    """Change the policy of a group or a project."""
    return await _changed(request, person, scope.strip("/"))


async def _changed(request: Request, person: Person, scope: str) -> Response:
    services = services_of(request)
    form = {name: value for name, value in (await request.form(max_files=0)).items() if isinstance(value, str)}
    stale: Sequence[tuple[str, JSON, JSON]] = ()
    asked: Mapping[str, JSON] = {}
    try:
        scope = await settling.need(services.people, person, scope, admins=services.admins)
        want = wanted(form)
        asked = want.values
        if stale := differences(want.saw, await services.reviews.settings(scope)):
            raise Conflict("somebody else has changed this since you looked", hint="look at both, and change it again")
        if not want.values and not want.unset and set(want.locked) == set(want.saw.get(LOCKED, ())):
            raise WrongUse("nothing would change", hint="change a value first")
        if len(form.get("reason", "")) > LONGEST_REASON:
            raise WrongUse(f"the reason is longer than {LONGEST_REASON} characters", hint="keep it short")
        await set_policy(
            services.reviews,
            scope,
            want.values,
            actor=person.user.username,
            reason=form.get("reason", ""),
            unset=want.unset,
            locked=want.locked,
            saw=want.saw,
        )
    except (Conflict, Forbidden, WrongUse) as error:
        return await _shown(request, person, scope, error=error, stale=stale, asked=asked)
    return RedirectResponse(f"{_address(scope)}?done=1", 303)


async def _shown(
    request: Request,
    person: Person,
    scope: str,
    *,
    done: bool = False,
    error: MergewrightError | None = None,
    stale: Sequence[tuple[str, JSON, JSON]] = (),
    asked: Mapping[str, JSON] | None = None,
) -> Response:
    services = services_of(request)
    kind, path = await settling.find(services.people, person, scope, admins=services.admins)
    if path != scope:
        return RedirectResponse(_address(path), 303)
    why = await settling.why_not(services.people, person, scope, kind, admins=services.admins)
    file = await _file(request, person, scope) if kind == "project" else None
    told: Sheet = await sheet(services.reviews, scope, tuple(FLOWS), file)
    parts = scope.split("/") if scope else []
    names = await services.sessions.readable(person, await services.reviews.projects()) if not scope else []
    return page(
        request,
        "settings.html",
        person,
        status=200 if error is None else status_of(error),
        title=f"Settings of {shown(scope)}",
        scope=scope,
        scope_shown=shown(scope),
        kind=kind,
        why=why,
        address=_address(scope),
        above=[("organisation", "/settings")]
        + [(parts[size - 1], _address("/".join(parts[:size]))) for size in range(1, len(parts))],
        below=sorted({*names, *("/".join(one.split("/")[:size]) for one in names
                                for size in range(1, len(one.split("/"))))}),
        sheet=told,
        file=FILE if file is not None else "",
        gates=await _gates(request, scope) if kind == "project" else "",
        done=done,
        error=error,
        stale=[(name, _told(one), _told(two), _told((asked or {}).get(name))) for name, one, two in stale],
        labels=LABELS,
        flow_labels=FLOWS,
        told=_told,
        **WORDS,
    )  # fmt: skip


async def _file(request: Request, person: Person, project: str) -> bytes | None:
    """Read the project's own policy from its default branch, as the person sees it."""
    with services_of(request).people.open_forge(person.token) as forge:
        found = await forge.project(project)
        if found.empty_repo or not found.default_branch:
            return None
        return await forge.file(project, FILE, ref=found.default_branch)


async def _gates(request: Request, project: str) -> str:
    """Say what the forge can enforce in a project, as far as a merge request was there to ask about."""
    services = services_of(request)
    newest = await services.reviews.newest([project], limit=1)
    if not newest:
        return "What the forge can enforce here is asked at the first review."
    world = services.world(Subject(project, "!", newest[0].iid))
    try:
        return strongest(await world.forge.gates(project, newest[0].iid))
    except (Forbidden, NotFound) as error:
        return f"The reviewer could not find out what the forge can enforce here: {error.message}."


def strongest(gates: Gates) -> str:
    """Say which of what a forge offers keeps a merge from happening, and never more than it enforces."""
    if gates.native:
        return "The forge itself blocks merges by requests for changes and approval rules (Premium or more)."
    if gates.status_checks and gates.status_checks_must_pass:
        return "The forge blocks merges by an external status check (Ultimate)."
    if gates.pipelines_must_succeed:
        return "The forge blocks merges by the commit status `mergewright`, as pipelines must succeed here."
    return (
        "The forge enforces nothing of a verdict here: "
        'turn on "Pipelines must succeed" in the project\'s settings to make it block.'
    )


def _address(scope: str) -> str:
    return f"/settings/{quote(scope)}" if scope else "/settings"


def _told(value: JSON) -> str:
    """Write a value of the policy as people read it."""
    if value is None:
        return "not set"
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, (list, tuple)):
        return ", ".join(str(one) for one in value) or "none"
    return str(value)
