"""What came of the reviews, in numbers and pictures; what was never recorded is told so."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Form, Request, Response
from fastapi.responses import RedirectResponse
from markupsafe import Markup

from mergewright.app import records
from mergewright.domain.errors import WrongUse
from mergewright.domain.forge import AccessLevel
from mergewright.domain.session import JSON, Subject
from mergewright.review.metrics import FATES
from mergewright.server.asking import Asking, services_of
from mergewright.server.pages.audit import period
from mergewright.server.pages.base import page
from mergewright.server.pages.charts import Write, bars, columns, stacks
from mergewright.server.pages.words import WORDS, number, span

router = APIRouter()
KINDS = {"approved": "Approved", "reviewed": "Commented", "requested_changes": "Changes requested", "failed": "Failed"}
MOST_ROWS = 12
LOOKED = {"1": "The forge was asked again."}


@dataclass(frozen=True, slots=True)
class Chart:
    """One picture with its table."""

    title: str
    says: str
    picture: Markup
    """Empty where nothing was recorded."""
    head: Sequence[str] = ()
    rows: Sequence[Sequence[str]] = ()
    legend: Sequence[str] = ()
    whole: bool = False
    """Whether it takes the whole width."""
    nothing: str = "Not recorded yet."
    """What stands in place of no picture."""


@router.get("/metrics")
async def show(
    request: Request, person: Asking, project: str = "", since: str = "", until: str = "", looked: str = ""
) -> Response:
    """Show the numbers of a project, or of all that the person sees."""
    services = services_of(request)
    first, end = period(since, until)
    names = await services.sessions.readable(person, await services.reviews.projects())
    if project and project not in names:
        project = await services.people.may_read(person, project, code=True)
    told = await records.metrics_of(
        services.reviews, project=project, since=first, until=end, projects=None if project else names
    )
    return page(
        request,
        "metrics.html",
        person,
        title="Metrics",
        projects=names,
        project=project,
        since=since,
        until=until,
        told=told,
        charts=charts(told),
        may_look=bool(project) and await services.people.level(person, project) >= AccessLevel.DEVELOPER,
        looked=LOOKED.get(looked, ""),
        **WORDS,
    )


@router.post("/metrics/look")
async def look(request: Request, person: Asking, project: Annotated[str, Form()] = "") -> Response:
    """Ask the forge what became of a project's reviewed merge requests."""
    services = services_of(request)
    if not project:
        raise WrongUse("no project is named", hint="choose one")
    project = await services.people.at_least(person, project, AccessLevel.DEVELOPER)
    world = services.world(Subject(project, "", 0))
    await records.look_again(services.reviews, world.forge, project=project)
    return RedirectResponse(f"/metrics?{urlencode({'project': project, 'looked': 1})}", 303)


def charts(told: Mapping[str, JSON]) -> list[Chart]:
    """Give the pictures of R35, R36 and R37, in that order."""
    findings, overrides = told["findings"], told["overrides"]
    fates: Mapping[str, int] = findings["fates"]
    return [
        _weeks(told["verdicts_by_week"]),
        _bars(
            "Verdicts",
            "Of all merge requests reviewed, how many ever had changes requested, and how many stand approved.",
            [
                ("Changes requested", told["share_with_changes_requested"]),
                ("Approved", told["share_approved"]),
            ],
            write=_percent,
            most=1.0,
        ),
        _counted(
            "Rounds before approval",
            f"How many reviews a merge request took until it was approved{_mean(told['mean_rounds_before_approval'])}.",
            {_rounds(count): many for count, many in told["rounds_before_approval"].items()},
        ),
        _counted("What became of findings", "Every finding by its fate.", fates),
        _stacked("Findings by category", "The commonest first.", findings["by_category"], FATES),
        _stacked("Findings by project", "The most findings first.", findings["by_project"], FATES),
        _stacked("Findings by author", "By the author of the merge request.", findings["by_author"], FATES),
        _counted(
            "Overrides and dismissals",
            "How often people overruled the reviewer, and how often somebody tried who may not.",
            {name.title(): overrides[name] for name in ("overrides", "dismissals", "refused")},
        ),
        _counted("Overruled by person", "Overrides and dismissals by who did it.", overrides["by_person"]),
        _counted("Overruled by role", "Overrides and dismissals by the role of who did it.", overrides["by_role"]),
        _counted("Overruled by category", "Overrides and dismissals by category.", overrides["by_category"]),
        _counted(
            "Thumbs", "Reactions under the reviewer's summaries.",
            {"Up": told["thumbs"]["up"], "Down": told["thumbs"]["down"]} if told["thumbs"] else {},
            nothing="None." if told["thumbs"] else "The forge was not asked yet.",
        ),
        _bars(
            "Time to the end",
            "Medians. The two from the opening on are alike: with the reviewer and without.",
            [
                ("From first review to resolution", told["seconds_from_first_review_to_resolution"]),
                ("From first review to merge", told["seconds_from_first_review_to_merge"]),
                ("From opening to merge, reviewed", told["seconds_from_opening_to_merge"]),
                ("From opening to merge, not reviewed", told["seconds_to_merge_without_the_reviewer"]),
            ],
            write=span,
        ),
        _bars(
            "Comments by people",
            "How many a merge request got, on average.",
            [
                ("Reviewed", told["human_comments_a_merge_request"]),
                ("Not reviewed", told["human_comments_a_merge_request_without_the_reviewer"]),
            ],
        ),
        _bars(
            "Projects that require it",
            "The share of reviewed projects in which the reviewer's approval is required.",
            [("Require its approval", told["share_of_projects_that_require_it"])],
            write=_percent,
            most=1.0,
        ),
    ]  # fmt: skip


def _bars(
    title: str, says: str, rows: Sequence[tuple[str, float | None]], *, write: Write = number, most: float = 0.0
) -> Chart:
    """Give bars for what was recorded; the table says what was not."""
    known = [(name, value) for name, value in rows if value is not None]
    table = [(name, "not recorded" if value is None else write(value)) for name, value in rows]
    picture = bars(title, _told(table), known, write=write, most=most) if known else Markup()
    return Chart(title, says, picture, ("", "Value"), table)


def _counted(title: str, says: str, counted: Mapping[str, int], *, nothing: str = "None.") -> Chart:
    table = [(name, number(many)) for name, many in counted.items()]
    rows = [(name, float(many)) for name, many in counted.items()]
    if not any(counted.values()):
        return Chart(title, says, Markup(), ("", "How many"), table, nothing=nothing)
    if len(rows) > MOST_ROWS:
        rows = sorted(rows, key=lambda row: -row[1])[:MOST_ROWS]
    return Chart(title, says, bars(title, _told(table), rows), ("", "How many"), table)


def _stacked(title: str, says: str, counted: Mapping[str, Mapping[str, int]], kinds: Sequence[str]) -> Chart:
    ordered = sorted(counted.items(), key=lambda row: (-sum(row[1].values()), row[0]))
    rows = [(name, [float(one.get(kind, 0)) for kind in kinds]) for name, one in ordered]
    table = [(name, *(number(value) for value in values)) for name, values in rows]
    if not rows:
        return Chart(title, says, Markup(), nothing="None.")
    desc = "; ".join(f"{name}: {number(sum(values))}" for name, values in rows[:MOST_ROWS])
    return Chart(title, says, stacks(title, desc, rows[:MOST_ROWS]), ("", *kinds), table, kinds)


def _weeks(weeks: Mapping[str, Mapping[str, int]]) -> Chart:
    title, says = "Reviews by week", "By the verdict that the reviewer gave; a week begins on Monday."
    rows = [(day, [float(one[kind]) for kind in KINDS]) for day, one in weeks.items()]
    if not rows:
        return Chart(title, says, Markup(), whole=True, nothing="None.")
    desc = f"{number(sum(sum(values) for _, values in rows))} reviews from {rows[0][0]} to {rows[-1][0]}"
    table = [(name, *(number(value) for value in values)) for name, values in rows]
    names = list(KINDS.values())
    return Chart(title, says, columns(title, desc, rows), ("Week of", *names), table, names, whole=True)


def _told(table: Sequence[Sequence[str]]) -> str:
    return "; ".join(f"{name}: {value}" for name, value in table[:MOST_ROWS])


def _percent(value: float) -> str:
    return f"{value:.0%}"


def _mean(value: float | None) -> str:
    return "" if value is None else f"; {number(value)} on average"


def _rounds(count: str) -> str:
    return "1 round" if count == "1" else f"{count} rounds"
