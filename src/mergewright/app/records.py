"""Policies, audit and metrics, as the command line and REST read and change them."""

import csv
import io
import json
import re
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING

from mergewright.domain.errors import Conflict, Forbidden, NotFound, WrongUse
from mergewright.domain.forge import Forge, MergeRequest, Note
from mergewright.domain.policy import NAMES
from mergewright.domain.review import AuditEntry
from mergewright.domain.session import JSON, Subject
from mergewright.review.metrics import Record, metrics
from mergewright.review.settings import FILE, LOCKED, Resolved, check, resolve, scopes, shown

if TYPE_CHECKING:
    from mergewright.domain.approval import ReviewForge
    from mergewright.store.reviews import SqlReviewStore

COLUMNS: tuple[str, ...] = (
    "seq",
    "at",
    "actor",
    "action",
    "project",
    "iid",
    "head_sha",
    "finding",
    "reason",
    "details",
    "policy",
)
COLUMNS += ("previous", "hash")


CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
SCOPE = re.compile(r"[\w.+-]+(/[\w.+-]+)*")
"""A group's or project's full path."""


async def policy_for(reviews: "SqlReviewStore", project: str) -> Resolved:
    """Give what the server's settings make of a project's policy; the file of its target branch can tighten it."""
    return resolve(project, {scope: await reviews.settings(scope) for scope in scopes(project)})


async def need_flow(reviews: "SqlReviewStore", forge: Forge, project: str, flow: str) -> None:
    """Raise Forbidden for a flow that the policy turns off, the file of the project's default branch included."""
    branch = (await forge.project(project)).default_branch
    file = await forge.file(project, FILE, ref=branch) if branch else None
    found = resolve(project, {scope: await reviews.settings(scope) for scope in scopes(project)}, file)
    if not found.policy.allows(flow):
        hint = f"it was turned off for {found.sources['flows_off']}, and its settings turn it on again"
        raise Forbidden(f"the flow `{flow}` is off in `{project}`", hint=hint)


async def set_policy(
    reviews: "SqlReviewStore",
    scope: str,
    values: Mapping[str, JSON],
    *,
    actor: str,
    reason: str,
    lock: Sequence[str] = (),
    unset: Sequence[str] = (),
    locked: Collection[str] | None = None,
    saw: Mapping[str, JSON] | None = None,
) -> Mapping[str, JSON]:
    """Change what is set at a scope; `locked` gives all its locks anew, `saw` is what the change was made from.

    Raises WrongUse for a value that no policy has or that an upper level's lock forbids, and Conflict where the scope
    is not any more as it was seen, each with nothing changed.
    """
    if scope and not SCOPE.fullmatch(scope):
        raise WrongUse(f"`{scope}` names no group and no project", hint="as in `group/project`, or `organisation`")
    if not (values or lock or unset or locked is not None):
        raise WrongUse("there is nothing to set", hint="as in `block_on=major`")
    if strange := sorted(set(unset) - NAMES):
        raise WrongUse(f"there is no policy `{strange[0]}`", hint=f"one of `{'`, `'.join(sorted(NAMES))}`")
    stored = {one: await reviews.settings(one) for one in scopes(scope)}
    before = stored[scope]
    if saw is not None and dict(saw) != dict(before):
        raise Conflict("somebody else has changed the policy since you looked", hint="look at it, and try again")
    after = {name: value for name, value in before.items() if name not in unset} | dict(values)
    if locked is not None:
        after = {name: value for name, value in after.items() if name != LOCKED}
        after |= {LOCKED: sorted(locked)} if locked else {}
    elif lock:
        after[LOCKED] = sorted({*before.get(LOCKED, ()), *lock})
    elif LOCKED in after:
        after[LOCKED] = [name for name in after[LOCKED] if name not in unset]
    check(after)
    if len(reason.strip()) < 3:
        raise WrongUse("a change of the policy takes a reason", hint='--reason "…"')
    now = resolve(scope, stored)
    then = resolve(scope, stored | {scope: after})
    if refused := [one for one in then.problems if one not in now.problems]:
        raise WrongUse(refused[0], hint="it is locked there: ask whoever set that")
    entry = AuditEntry(
        time.time(),
        actor,
        "policy",
        scope,
        reason=reason,
        policy=now.policy.encode(),
        details={"scope": shown(scope), "before": dict(before), "after": dict(after)},
    )
    await reviews.change_settings(scope, after, entry, before=before)
    return after


def as_jsonl(entries: Iterable[AuditEntry]) -> str:
    """Write the audit as JSON lines, in plain ASCII: no character of a stranger's text can break a reader."""
    return "".join(json.dumps(_row(one)) + "\n" for one in entries)


def as_csv(entries: Iterable[AuditEntry]) -> str:
    """Write the audit as CSV; a cell that a spreadsheet would take for a formula begins with `'`."""
    out = io.StringIO()
    table = csv.writer(out)
    table.writerow(COLUMNS)
    for one in entries:
        row = _row(one)
        cells = [row[name] for name in COLUMNS]
        table.writerow([_cell(json.dumps(each) if isinstance(each, dict) else each) for each in cells])
    return out.getvalue()


def _row(entry: AuditEntry) -> dict[str, JSON]:
    told = asdict(entry)
    return {name: told[name] for name in COLUMNS}


def _cell(value: JSON) -> JSON:
    if not isinstance(value, str):
        return value
    # Half a letter breaks the file, a control character the terminal it is shown on.
    text = CONTROLS.sub(lambda found: f"\\x{ord(found[0]):02x}", value.encode(errors="backslashreplace").decode())
    return f"'{text}" if text[:1] in {"=", "+", "-", "@", "\t", "\n"} else text


async def metrics_of(
    reviews: "SqlReviewStore",
    *,
    project: str = "",
    since: float = 0.0,
    until: float = 0.0,
    projects: Collection[str] | None = None,
) -> dict[str, JSON]:
    """Give the numbers of a project, or of all, for a period; `projects` are those that may be counted at all."""
    found = await reviews.reviews(project, since=since, until=until, limit=100_000)
    found = [one for one in found if projects is None or one.project in projects]
    wanted = {(one.project, one.iid) for one in found}
    findings = [one for one in await reviews.all_findings(project) if (one[0], one[1]) in wanted]
    audit = await reviews.audit_entries(project, since=since, until=until)
    audit = [one for one in audit if projects is None or one.project in projects]
    stored = await reviews.all_settings()
    policies = {name: resolve(name, stored).policy.approval.value for name in {name for name, _ in wanted}}
    looks = await reviews.parts("seen")
    seen = {f"{one.project}!{one.iid}": looks[one.id] for one in found if one.id in looks}
    kept = (await reviews.parts(UNREVIEWED)).values()
    others = [one for one in kept if _counts(one, project, since, until, projects) and _key(one) not in wanted]
    return metrics(Record(found, findings, audit, policies, seen, others))


def _key(told: Mapping[str, JSON]) -> tuple[str, int]:
    return str(told["project"]), int(told["iid"])


def _counts(
    told: Mapping[str, JSON], project: str, since: float, until: float, projects: Collection[str] | None
) -> bool:
    """Whether a merge request that nobody reviewed belongs to a project and was merged in a period."""
    at = datetime.fromisoformat(told["merged_at"]).timestamp()
    ours = told["project"] == project if project else projects is None or told["project"] in projects
    return bool(ours and at >= since and (not until or at < until))


UNREVIEWED = "unreviewed"
"""The part under which it is kept what became of a merge request that nobody had reviewed, by `project!iid`."""


async def look_again(reviews: "SqlReviewStore", forge: "ReviewForge", *, project: str = "", since: float = 0.0) -> int:
    """Ask the forge what became of reviewed merge requests: merged or not, thumbs, what people wrote. Gives how many.

    A merge request that is gone keeps what was known of it. For comparison the newest that were merged without a
    review are looked at too.
    """
    newest = {(one.project, one.iid): one for one in await reviews.reviews(project, since=since, limit=100_000)}
    number = 0
    for (path, iid), review in newest.items():
        subject = Subject(path, "!", iid)
        try:
            merge_request = await forge.merge_request(path, iid)
            notes = await _notes(forge, subject)
            marked = (note.id for note in notes if note.mark == f"review.{review.id}")
            mine = review.summary_note or next(marked, 0)
            up, down = await forge.thumbs(subject, mine) if mine else (0, 0)
        except NotFound:
            continue
        told = _seen(merge_request, notes) | {"up": up, "down": down}
        await reviews.keep_part(review.id, "seen", told)
        number += 1
    reviewed = {(one.project, one.iid) for one in await reviews.newest(limit=100_000)}
    for path in sorted({path for path, _ in newest}):
        for one in await forge.merged(path):
            if (path, one.iid) not in reviewed:
                told = _seen(one, await _notes(forge, Subject(path, "!", one.iid)))
                await reviews.keep_part(f"{path}!{one.iid}", UNREVIEWED, {"project": path, "iid": one.iid, **told})
    return number


async def _notes(forge: "ReviewForge", subject: Subject) -> list[Note]:
    return [note for one in await forge.discussions(subject) for note in one.notes]


def _seen(merge_request: MergeRequest, notes: Iterable[Note]) -> dict[str, JSON]:
    human = [note for note in notes if not note.system and not note.author.bot and not note.mark]
    at = {"created_at": merge_request.created_at, "merged_at": merge_request.merged_at}
    return {**at, "human_notes": len(human)}


def as_text(value: JSON) -> str:
    """Write a value of the audit's details on one line."""
    return json.dumps(value, ensure_ascii=False, sort_keys=True)
