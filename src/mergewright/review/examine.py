"""From a gathered case to findings and a verdict: nothing here writes to the forge or to the store of reviews."""

import asyncio
import hashlib
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from mergewright.domain.errors import MergewrightError, NotFound
from mergewright.domain.forge import Issue
from mergewright.domain.plain import clip
from mergewright.domain.review import Analyzer, Candidate, Coverage, Finding, Review, Seen, Verdict
from mergewright.domain.session import JSON
from mergewright.git.history import History
from mergewright.review.anchor import Anchored, Dropped, anchor
from mergewright.review.changed import Changed, Located, changed_lines, locate
from mergewright.review.decide import Decision, Facts, decide
from mergewright.review.diff import FileDiff, parse_diff
from mergewright.review.find import Found, find, instruction_tokens, room_for_diff
from mergewright.review.groups import Plan, plan_groups, without
from mergewright.review.prove import Bench, checked_out, prove
from mergewright.review.reconcile import Reply, reconcile
from mergewright.review.requirements import requirements
from mergewright.review.sceptic import check
from mergewright.review.steering import steering
from mergewright.review.talk import Talk, side_by_side
from mergewright.review.texts import Texts
from mergewright.review.verify import verify, with_proofs
from mergewright.review.world import Case, ReviewWork

_CLOSES = re.compile(r"\b(?:clos|fix|resolv|implement)\w*:?\s+(?:issue\s+)?#(?P<iid>[1-9]\d{0,8})\b", re.IGNORECASE)
LINK = "120000"
"""The mode of a symbolic link: it is no code, and an analyzer that followed it would stop at what is not there."""
MOST_PROOFS = 12
"""Proofs that one review runs."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a review came to."""

    decision: Decision
    findings: tuple[Finding, ...]
    replies: tuple[Reply, ...]
    coverage: tuple[Coverage, ...]
    dropped: Mapping[str, int]
    suppressed: tuple[str, ...]
    facts: Facts
    tokens: int = 0


@dataclass(slots=True)
class _Gathering:
    """What comes together while a case is looked at."""

    failed: list[str] = field(default_factory=list)
    dropped: Counter[str] = field(default_factory=Counter)
    suppressed: list[str] = field(default_factory=list)


async def examine(work: ReviewWork, case: Case, *, own_author: bool) -> Outcome:
    """Look for defects, prove, verify, anchor, reconcile, decide."""
    so_far = _Gathering()
    texts = Texts(case.history, case.refs.head_sha, case.refs.base_sha)
    since, changed = await _changed(work, case, so_far)
    located = await _locate(case, texts, since)
    plan = _plan(work, case, changed)
    model = work.world.open_model() if work.world.open_model is not None else None
    talk = Talk(work, model, case.prefix) if model is not None else None
    folder = work.folder / "review"
    try:
        analyzing = asyncio.ensure_future(_analyze(work, case, so_far))
        try:
            found = await _look(work, talk, case, plan, so_far)
            analyzed = await analyzing
        finally:
            analyzing.cancel()
            await asyncio.gather(analyzing, return_exceptions=True)
        candidates = [*steering(_only(case.files, changed)), *_in_change(case, analyzed, so_far), *found.candidates]
        anchored = await _anchor(candidates, case, texts, so_far)
        anchored = await _doubt(talk, case, texts, anchored, so_far)
        async with (
            checked_out(case.history, case.refs.head_sha, folder, work.world.open_sandbox) as head,
            checked_out(case.history, case.refs.base_sha, folder, work.world.open_sandbox) as base,
        ):
            anchored = await _prove(work, case, anchored, head, base)
            verified = await verify(talk, case, texts, located, analyzed=analyzed, bench=head)
        so_far.failed += verified.failed
    finally:
        if model is not None:
            await model.close()
    done = reconcile(
        with_proofs(located, verified.proofs),
        verified.answers,
        anchored,
        changed=changed,
        files={file.path: file for file in case.files},
        lines=texts.lines,
        round=case.review.round,
        sha=case.refs.head_sha,
    )
    so_far.dropped.update(done.dropped)
    findings = _named(case.review, done.findings)
    planned = without(plan.coverage, found.failed) if talk is not None else _read_by_analyzers(work, case, plan)
    coverage = _coverage(case, planned, changed)
    facts = Facts(
        coverage=coverage,
        failed_parts=tuple(so_far.failed),
        own_author=own_author,
        steering=any(one.category == "injection" and one.state.standing for one in findings),
        requests_before=sum(one.verdict is Verdict.REQUESTED_CHANGES for one in case.earlier),
        draft=case.merge_request.draft,
    )
    usage = talk.usage if talk is not None else None
    return Outcome(
        decide(findings, case.policy, facts),
        findings,
        done.replies,
        coverage,
        dict(so_far.dropped),
        tuple(so_far.suppressed),
        facts,
        usage.input_tokens + usage.output_tokens if usage else 0,
    )


async def _changed(work: ReviewWork, case: Case, so_far: _Gathering) -> tuple[Sequence[FileDiff], Changed | None]:
    """Give the diff since the last review and the lines that are new since then; None in the first round."""
    if not case.earlier:
        return (), None
    last = case.earlier[-1]
    history: History = case.history
    try:
        await history.fetch(await work.world.forge.remote(case.review.project), last.head_sha, last.base_sha)
    except NotFound:
        # Then nothing shows what is new: rather too much is looked at than too little.
        so_far.failed.append("the commit of the last review is gone, so all of the change counts as new")
        return (), None
    since = parse_diff(await history.raw_diff(last.head_sha, case.refs.head_sha))
    before = parse_diff(await history.raw_diff(last.base_sha, last.head_sha))
    changed = dict(changed_lines(case.files, before, since))
    unread = {one.path for one in last.coverage if one.seen is not Seen.REVIEWED and not one.excused}
    for file in case.files:
        # What the last review has not read is as new to this one as what was pushed since.
        if file.path in unread or file.old_path in unread:
            changed[file.path] = frozenset(line.new for hunk in file.hunks for line in hunk.lines if line.new)
    return since, changed


async def _locate(case: Case, texts: Texts, since: Sequence[FileDiff]) -> list[Located]:
    standing = [one for one in case.findings if one.state.standing]
    moved = {file.old_path: file.new_path for file in since}
    paths = [path for one in standing for path in (one.place.path, moved.get(one.place.path, ""))]
    kept = await texts.load(paths, [one.place.path for one in standing if one.place.side == "old"])
    return [locate(one, since, kept) if one.state.standing else Located(one, "unchanged") for one in case.findings]


def _only(files: Sequence[FileDiff], changed: Changed | None) -> list[FileDiff]:
    """Give what is new since the last review, in whole hunks."""
    if changed is None:
        return list(files)
    kept = []
    for file in files:
        numbers = changed.get(file.path, frozenset())
        hunks = tuple(
            hunk for hunk in file.hunks if any(line.new in numbers for line in hunk.lines if line.new is not None)
        )
        if hunks:
            kept.append(replace(file, hunks=hunks))
    return kept


def _plan(work: ReviewWork, case: Case, changed: Changed | None) -> Plan:
    room = room_for_diff(case.window, instruction_tokens(case))
    return plan_groups(
        _only(case.files, changed), room=room, most=work.world.settings.most_groups, exclude=case.policy.exclude
    )


def _read_by_analyzers(work: ReviewWork, case: Case, plan: Plan) -> list[Coverage]:
    """Say what was seen without a model: only files that an analyzer can read."""
    paths = [one.path for one in plan.coverage]
    analyzers = work.world.analyzers(case.policy, paths)
    links = {file.path for file in case.files if file.new_mode == LINK}
    told = []
    for one in plan.coverage:
        read = one.path not in links and any(each.reads(one.path) for each in analyzers)
        if one.seen is not Seen.SKIPPED and not read:
            one = replace(one, seen=Seen.SKIPPED, shown=0, reason="no analyzer reads it")
        told.append(one)
    return told


def _coverage(case: Case, planned: Sequence[Coverage], changed: Changed | None) -> tuple[Coverage, ...]:
    """Give every file of the change: what an earlier review has read and nobody has touched since is still read."""
    if changed is None:
        return tuple(planned)
    now = {one.path: one for one in planned}
    told = []
    for file in case.files:
        if (one := now.get(file.path)) is None:
            told.append(Coverage(file.path, Seen.REVIEWED, file.changed, file.changed))
        else:
            number = file.changed
            missing = one.changed - one.shown
            told.append(replace(one, changed=number, shown=max(number - missing, 0)))
    return tuple(told)


async def _look(work: ReviewWork, talk: Talk | None, case: Case, plan: Plan, so_far: _Gathering) -> Found:
    if talk is None:
        return Found()
    if plan.groups:
        parts = "the diff goes" if len(plan.groups) == 1 else f"{len(plan.groups)} parts of the diff go"
        await work.say(f"round {case.review.round}: {parts} to the model")
    found = await find(talk, case, plan)
    so_far.dropped.update(found.dropped)
    so_far.failed += [f"part {group.number} of the diff was not reviewed: {why}" for group, why in found.failed]
    if case.review.round == 1:
        issue = await _linked_issue(work, case)
        required, why = await requirements(talk, case, issue)
        found = replace(found, candidates=(*found.candidates, *required))
        so_far.failed += [why] if why else []
    return found


async def _linked_issue(work: ReviewWork, case: Case) -> Issue | None:
    """Give the issue that the description says it closes; a confidential one is not for the model, nor for threads."""
    match = _CLOSES.search(case.merge_request.description)
    if match is None:
        return None
    try:
        issue = await work.world.forge.issue(case.review.project, int(match["iid"]))
    except NotFound:
        return None
    return None if issue.confidential else issue


async def _analyze(work: ReviewWork, case: Case, so_far: _Gathering) -> dict[str, Sequence[Candidate]]:
    """Run the analyzers on the changed files of the head; by name, what each reports there."""
    paths = [
        file.new_path
        for file in case.files
        if file.status != "deleted" and not file.binary and not file.submodule and file.new_mode != LINK
    ]
    standing = {one.place.path for one in case.findings if one.state.standing and one.place.side == "new"}
    entries = await case.history.tree(case.refs.head_sha) if standing - set(paths) else []
    tree = {path for mode, path in entries if mode != LINK}
    paths += sorted(path for path in standing - set(paths) if path in tree)
    analyzers = work.world.analyzers(case.policy, paths)
    reports: dict[str, Sequence[Candidate]] = {}
    if not analyzers or not paths:
        return reports
    folder = work.folder / "review"
    async with checked_out(case.history, case.refs.head_sha, folder, work.world.open_analysis) as fresh:
        sandbox = await fresh()

        async def run(one: Analyzer) -> None:
            try:
                reports[one.name] = await one.run(sandbox, paths)
            except MergewrightError as error:
                so_far.failed.append(f"{one.name} gave no report: {clip(error.message, 200)}")

        await side_by_side(analyzers, run, most=len(analyzers))
    # In the order in which they were asked, however fast each one was.
    reports = {one.name: reports[one.name] for one in analyzers if one.name in reports}
    return reports


def _in_change(case: Case, analyzed: Mapping[str, Sequence[Candidate]], so_far: _Gathering) -> list[Candidate]:
    """Keep of the analyzers' reports what the change brings: what stood there before is nobody's fault now."""
    added = {
        file.path: {line.new for hunk in file.hunks for line in hunk.lines if line.kind == "+"} for file in case.files
    }
    kept: list[Candidate] = []
    for one in (each for reports in analyzed.values() for each in reports):
        lines = range(one.start_line or one.line, one.line + 1)
        if one.line and not added.get(one.path, set()).intersection(lines):
            continue
        if one.suppressed:
            so_far.suppressed.append(f"{one.path}:{one.line} {one.rule}: {one.title} ({one.suppressed})")
            continue
        kept.append(one)
    return kept


async def _anchor(candidates: Sequence[Candidate], case: Case, texts: Texts, so_far: _Gathering) -> list[Anchored]:
    files = {file.path: file for file in case.files}
    named = [files[one.path] for one in candidates if one.path in files]
    kept = await texts.load([file.new_path for file in named], [file.old_path for file in named])
    found: list[Anchored] = []
    for one in candidates:
        told = anchor(one, files, kept)
        if isinstance(told, Dropped):
            so_far.dropped[told.reason] += 1
        else:
            found.append(told)
    return found


async def _doubt(
    talk: Talk | None, case: Case, texts: Texts, found: Sequence[Anchored], so_far: _Gathering
) -> list[Anchored]:
    """Let the sceptic look at what a model claims; what tries to steer a model is not for a model to judge."""
    doubted = [one for one in found if one.candidate.source == "model" and one.candidate.category != "injection"]
    if talk is None or not doubted:
        return list(found)
    checked = await check(talk, case, texts, doubted)
    so_far.dropped.update(checked.dropped)
    so_far.failed += checked.failed
    return [*(one for one in found if one not in doubted), *checked.kept]


async def _prove(work: ReviewWork, case: Case, found: Sequence[Anchored], head: Bench, base: Bench) -> list[Anchored]:
    ordered = sorted(found, key=lambda one: -one.candidate.severity.rank)
    told: list[Anchored] = []
    for number, one in enumerate(ordered):
        proof = one.candidate.proof
        if proof is None:
            told.append(one)
            continue
        ran = await prove(proof, sha=case.refs.head_sha, head=head, base=base) if number < MOST_PROOFS else proof
        if ran.holds:
            await work.say(f"proved: {clip(one.candidate.title, 100)}")
            told.append(replace(one, candidate=replace(one.candidate, proof=ran)))
        else:
            said = "\n".join(part for part in (one.candidate.evidence, "its proof did not fail as claimed") if part)
            told.append(replace(one, candidate=replace(one.candidate, proof=None, evidence=said)))
    return told


def _named(review: Review, findings: Sequence[Finding]) -> tuple[Finding, ...]:
    """Give new findings their ids: the same ones again when a killed review comes to the same result."""
    told, used = [], {one.id for one in findings if one.id}
    for one in findings:
        if one.id:
            told.append(one)
            continue
        number = 0
        while True:
            text = f"{review.id}\0{one.fingerprint}\0{number}"
            name = hashlib.sha256(text.encode()).hexdigest()[:12]
            if name not in used:
                break
            number += 1
        used.add(name)
        told.append(replace(one, id=name))
    return tuple(told)


def kept_facts(outcome: Outcome, remarks: Sequence[str]) -> Mapping[str, JSON]:
    """Give what a later change of a finding's fate is decided with."""
    return {
        "failed_parts": list(outcome.facts.failed_parts),
        "own_author": outcome.facts.own_author,
        "requests_before": outcome.facts.requests_before,
        "remarks": list(remarks),
        "suppressed": list(outcome.suppressed),
    }
