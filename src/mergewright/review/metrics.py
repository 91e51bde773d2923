"""What the record of reviews says in numbers; what was never recorded is null, never guessed."""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from statistics import mean, median

from mergewright.domain.review import AuditEntry, Finding, FindingState, Review, Verdict
from mergewright.domain.session import JSON

MOST_WEEKS = 520
FATES = ("implemented", "overridden", "dismissed", "obsolete", "disputed", "open")


@dataclass(frozen=True, slots=True)
class Record:
    """What the numbers are made from."""

    reviews: Sequence[Review]
    findings: Sequence[tuple[str, int, Finding]]
    audit: Sequence[AuditEntry] = ()
    policies: Mapping[str, str] = field(default_factory=dict)
    """The worth of the reviewer's approval, by project."""
    seen: Mapping[str, Mapping[str, JSON]] = field(default_factory=dict)
    """What a look at the forge told of a merge request, by `project!iid`: `created_at`, `merged_at`, `up`, `down`,
    `human_notes`."""
    unreviewed: Sequence[Mapping[str, JSON]] = ()
    """The same of merge requests that were merged without any review: `created_at`, `merged_at`, `human_notes`."""


def fate(finding: Finding, overridden: Collection[str] = ()) -> str:
    """Say what became of a finding, in the words of the metrics; `overridden` are ids that the audit tells of."""
    if finding.state is FindingState.DISMISSED:
        lifted = finding.id in overridden or finding.answer.startswith("overridden by @")
        return "overridden" if lifted else "dismissed"
    return {"fixed": "implemented", "obsolete": "obsolete", "disputed": "disputed"}.get(finding.state.value, "open")


def metrics(record: Record) -> dict[str, JSON]:
    """Give all numbers as one object."""
    ended = [one for one in record.reviews if one.verdict is not None]
    by_request: dict[str, list[Review]] = {}
    for one in sorted(ended, key=lambda one: one.created_at):
        by_request.setdefault(f"{one.project}!{one.iid}", []).append(one)
    total = len(by_request)
    # A person's override or dismissal writes another verdict over a review's: the audit knows what it was before.
    told = _told(record.audit)
    asked = sum(
        any(one.verdict is Verdict.REQUESTED_CHANGES for one in rounds) or _asked(told.get(name, ()))
        for name, rounds in by_request.items()
    )
    approved = sum(rounds[-1].verdict is Verdict.APPROVED for rounds in by_request.values())
    return {
        "merge_requests_reviewed": total,
        "reviews": len(ended),
        "reviews_failed": sum(one.error_code != "" for one in record.reviews),
        "share_with_changes_requested": _share(asked, total),
        "share_approved": _share(approved, total),
        "mean_rounds_before_approval": _mean(filter(None, map(_rounds, by_request.values()))),
        "rounds_before_approval": _counted(filter(None, map(_rounds, by_request.values()))),
        "verdicts_by_week": _weeks(record.reviews, told),
        "findings": _findings(record, by_request),
        "overrides": _overrides(record.audit),
        "thumbs": _thumbs(record.seen, by_request),
        "seconds_from_first_review_to_resolution": _median(
            filter(None, (_resolution(rounds, told.get(name, ())) for name, rounds in by_request.items()))
        ),
        "seconds_from_first_review_to_merge": _median(_merges(record.seen, by_request)),
        "seconds_from_opening_to_merge": _median(
            _open_for(record.seen[name] for name in by_request if name in record.seen)
        ),
        "seconds_to_merge_without_the_reviewer": _median(_open_for(record.unreviewed)),
        "human_comments_a_merge_request": _mean(_human(record.seen, by_request)),
        "human_comments_a_merge_request_without_the_reviewer": _mean(
            float(one["human_notes"]) for one in record.unreviewed
        ),
        "share_of_projects_that_require_it": _share(
            sum(worth == "required" for worth in record.policies.values()), len(record.policies)
        ),
    }


def _findings(record: Record, by_request: Mapping[str, Sequence[Review]]) -> dict[str, JSON]:
    authors = {name: rounds[-1].author or "unknown" for name, rounds in by_request.items()}
    overridden = {name for one in record.audit if one.action == "override" for name in one.details.get("findings", ())}
    tables: dict[str, dict[str, Counter[str]]] = {"by_project": {}, "by_category": {}, "by_author": {}}
    fates: Counter[str] = Counter()
    categories: Counter[str] = Counter()
    for project, iid, finding in record.findings:
        what = fate(finding, overridden)
        fates[what] += 1
        categories[finding.category] += 1
        keys = (project, finding.category, authors.get(f"{project}!{iid}", "unknown"))
        for name, key in zip(tables, keys, strict=True):
            tables[name].setdefault(key, Counter())[what] += 1
    return {
        "fates": {name: fates[name] for name in FATES},
        **{name: {key: dict(counted) for key, counted in sorted(table.items())} for name, table in tables.items()},
        "commonest_categories": [[name, number] for name, number in categories.most_common()],
    }


def _overrides(audit: Sequence[AuditEntry]) -> dict[str, JSON]:
    done = [one for one in audit if one.action in {"override", "dismiss"}]
    return {
        "overrides": sum(one.action == "override" for one in done),
        "dismissals": sum(one.action == "dismiss" for one in done),
        "refused": sum(one.action == "refuse" for one in audit),
        "by_person": dict(Counter(one.actor for one in done)),
        "by_role": dict(Counter(str(one.details.get("role", "unknown")) for one in done)),
        "by_category": dict(
            Counter(
                category
                for one in done
                for category in one.details.get("categories", (one.details.get("category", "unknown"),))
            )
        ),
    }


def _rounds(rounds: Sequence[Review]) -> int:
    """Count the reviews up to the first approval; 0 when there was none."""
    for number, one in enumerate(rounds, start=1):
        if one.verdict is Verdict.APPROVED:
            return number
    return 0


def _told(audit: Iterable[AuditEntry]) -> dict[str, list[AuditEntry]]:
    """Give the lines that tell of verdicts, by merge request, oldest first."""
    found: dict[str, list[AuditEntry]] = {}
    for one in audit:
        if one.action in {"review", "override"}:
            found.setdefault(f"{one.project}!{one.iid}", []).append(one)
    return found


def _asked(told: Iterable[AuditEntry]) -> bool:
    return any(one.details.get("verdict") == Verdict.REQUESTED_CHANGES for one in told)


def _resolution(rounds: Sequence[Review], told: Sequence[AuditEntry]) -> float:
    """Give the seconds from the end of the first review to an approval or override after it; 0 where none came."""
    first = next((one.at for one in told if one.details.get("verdict")), rounds[0].ended_at or rounds[0].created_at)
    for line in told:
        if line.at > first and (line.action == "override" or line.details.get("verdict") == Verdict.APPROVED):
            return line.at - first
    done = next((one for one in rounds if one.verdict is Verdict.APPROVED), None)
    if done is None or done is rounds[0]:
        return 0.0
    return max((done.ended_at or done.created_at) - first, 0.001)


def _merges(seen: Mapping[str, Mapping[str, JSON]], by_request: Mapping[str, Sequence[Review]]) -> Iterable[float]:
    for name, rounds in by_request.items():
        if merged := str(seen.get(name, {}).get("merged_at") or ""):
            yield datetime.fromisoformat(merged).timestamp() - (rounds[0].ended_at or rounds[0].created_at)


def _open_for(told: Iterable[Mapping[str, JSON]]) -> Iterable[float]:
    """Give the seconds from the opening to the merge, of those that were merged."""
    for one in told:
        opened, merged = str(one.get("created_at") or ""), str(one.get("merged_at") or "")
        if opened and merged:
            yield (datetime.fromisoformat(merged) - datetime.fromisoformat(opened)).total_seconds()


def _thumbs(seen: Mapping[str, Mapping[str, JSON]], by_request: Mapping[str, Sequence[Review]]) -> JSON:
    told = [seen[name] for name in by_request if name in seen]
    return {way: sum(int(one.get(way, 0)) for one in told) for way in ("up", "down")} if told else None


def _human(seen: Mapping[str, Mapping[str, JSON]], by_request: Mapping[str, Sequence[Review]]) -> Iterable[float]:
    return (float(seen[name]["human_notes"]) for name in by_request if "human_notes" in seen.get(name, {}))


def _counted(rounds: Iterable[int]) -> dict[str, int]:
    """Count the merge requests by the rounds they took."""
    counted = Counter(rounds)
    return {str(number): counted[number] for number in range(1, max(counted, default=0) + 1)}


def _weeks(reviews: Iterable[Review], told: Mapping[str, Sequence[AuditEntry]]) -> dict[str, dict[str, int]]:
    """Count the reviews of each week by what they said first, from the first week to the last."""
    said = {
        (name, line.head_sha): str(line.details["verdict"])
        for name, lines in told.items()
        for line in reversed(lines)
        if line.details.get("verdict")
    }
    weeks: dict[date, Counter[str]] = {}
    for one in reviews:
        first = said.get((f"{one.project}!{one.iid}", one.head_sha)) or (one.verdict.value if one.verdict else "")
        kind = "failed" if one.error_code else first
        if kind:
            day = datetime.fromtimestamp(one.created_at, UTC).date()
            weeks.setdefault(day - timedelta(days=day.weekday()), Counter())[kind] += 1
    if not weeks:
        return {}
    number = (max(weeks) - min(weeks)).days // 7 + 1
    every = [min(weeks) + timedelta(weeks=index) for index in range(number)][-MOST_WEEKS:]
    kinds = (*(one.value for one in Verdict), "failed")
    return {day.isoformat(): {kind: weeks.get(day, Counter())[kind] for kind in kinds} for day in every}


def _share(part: int, whole: int) -> float | None:
    return round(part / whole, 3) if whole else None


def _mean(values: Iterable[float]) -> float | None:
    found = list(values)
    return round(mean(found), 2) if found else None


def _median(values: Iterable[float]) -> float | None:
    found = list(values)
    return round(median(found), 1) if found else None
