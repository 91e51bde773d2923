"""Puts what was found now beside what was found before: each old finding gets its answer, nothing is said twice."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from mergewright.domain.review import Finding, FindingState, Place
from mergewright.review.anchor import Anchored
from mergewright.review.changed import Changed, Located, touches
from mergewright.review.diff import FileDiff
from mergewright.review.fingerprint import fingerprint, identifiers, kind, same_claim

Outcome = Literal["fixed", "open", "obsolete", "conceded", "unanswered"]


@dataclass(frozen=True, slots=True)
class Answer:
    """What a verification says of an old finding."""

    outcome: Outcome
    evidence: str
    by: Literal["proof", "model", "analyzer", "code"]


NO_ANSWER = Answer("unanswered", "nothing could be verified, so it stays open", "code")


@dataclass(frozen=True, slots=True)
class Reply:
    """What an old finding's thread is told."""

    finding: Finding
    answer: Answer
    reopened: bool = False


@dataclass(frozen=True, slots=True)
class Reconciled:
    """Every finding as it stands after this review."""

    findings: tuple[Finding, ...]
    """Old ones with their new state, then new ones; the most severe first among the new."""
    new: tuple[Finding, ...] = ()
    """Those made by this review, late ones included."""
    replies: tuple[Reply, ...] = ()
    dropped: Mapping[str, int] = field(default_factory=dict)


def needs_answer(located: Located) -> bool:
    """Whether anybody must be asked about an old finding: untouched code answers for itself.

    A dispute always needs one: the argument, not the code, is new.
    """
    if located.finding.state is FindingState.DISPUTED:
        return True
    return located.finding.state is FindingState.OPEN and located.state == "changed"


def settle(located: Located, answer: Answer | None) -> tuple[Finding, Answer]:
    """Give an old finding its new state; what is not shown to be fixed stays open."""
    finding = located.finding
    if answer is not None and answer.outcome == "conceded" and finding.state is FindingState.DISPUTED:
        return replace(finding, state=FindingState.DISMISSED, answer=answer.evidence), answer
    if located.state == "gone":
        final = Answer("obsolete", "the code is gone", "code")
        return replace(finding, state=FindingState.OBSOLETE, answer=final.evidence), final
    if located.state == "unchanged":
        said = answer.evidence if answer and finding.state is FindingState.DISPUTED else ""
        final = Answer("open", said or "the flagged code is unchanged", answer.by if answer and said else "code")
        return replace(finding, answer=final.evidence), final
    final = answer or NO_ANSWER
    states = {"fixed": FindingState.FIXED, "obsolete": FindingState.OBSOLETE}
    return replace(finding, state=states.get(final.outcome, finding.state), answer=final.evidence), final


def reconcile(
    old: Sequence[Located],
    answers: Mapping[str, Answer],
    found: Sequence[Anchored],
    *,
    changed: Changed | None,
    files: Mapping[str, FileDiff],
    lines: Callable[[Place], Sequence[str]],
    round: int,
    sha: str,
) -> Reconciled:
    """Answer for every standing finding, and take in what is new.

    `changed` is None in the first round, when everything is new. A claim on lines that have not changed since the last
    review is kept as late: it can never block. `lines` gives the file that a place counts in.
    """
    findings: list[Finding] = []
    replies: list[Reply] = []
    for located in old:
        finding = located.finding
        if finding.state.standing:
            settled, answer = settle(located, answers.get(finding.id))
            settled = replace(settled, last_sha=sha)
            findings.append(settled)
            replies.append(Reply(settled, answer))
        else:
            findings.append(finding)
    known = len(findings)
    dropped: Counter[str] = Counter()
    for one in sorted(found, key=lambda one: (-one.candidate.severity.rank, one.place.path, one.place.line)):
        candidate = one.candidate
        file = files.get(one.place.path) or next((f for f in files.values() if f.old_path == one.place.path), None)
        origin = file.old_path if file else one.place.path
        name = fingerprint(one, lines(one.place), origin=origin)
        late = not one.in_diff or (changed is not None and not touches(one.place, changed, files))
        match = _match(one, name, findings)
        if match is None:
            findings.append(_finding(one, name, late=late, round=round, sha=sha))
            continue
        known_one = findings[match]
        if known_one.state is FindingState.DISMISSED:
            dropped["dismissed before"] += 1
        elif known_one.state.standing:
            dropped["repeated"] += 1
            if match >= known:
                findings[match] = _merged(known_one, one)
        else:
            again = replace(
                known_one,
                state=FindingState.OPEN,
                place=one.place,
                quote=one.quote,
                late=known_one.late or late,
                answer="it is back",
                last_sha=sha,
            )
            findings[match] = again
            replies = [reply for reply in replies if reply.finding.id != again.id]
            replies.append(Reply(again, Answer("open", candidate.body, "code"), reopened=True))
    return Reconciled(tuple(findings), tuple(findings[known:]), tuple(replies), dict(dropped))


def _match(one: Anchored, name: str, findings: Sequence[Finding]) -> int | None:
    """Find the finding that already makes this claim; a standing one goes before one that has ended."""
    order = sorted(range(len(findings)), key=lambda number: not findings[number].state.standing)
    for number in order:
        if findings[number].fingerprint == name and not _apart(one, findings[number]):
            return number
    for number in order:
        if same_claim(one.candidate, one.place, findings[number], findings[number].place):
            return number
    # Two open findings never carry one name.
    return next((number for number in order if findings[number].fingerprint == name), None)


def _apart(one: Anchored, other: Finding) -> bool:
    """Whether two claims about the same code name different things."""
    first, second = identifiers(one.candidate), identifiers(other)
    return bool(first and second) and not first & second and kind(one.candidate) != kind(other)


def _finding(one: Anchored, name: str, *, late: bool, round: int, sha: str) -> Finding:
    candidate = one.candidate
    return Finding(
        id="",
        fingerprint=name,
        place=one.place,
        severity=candidate.severity,
        category=candidate.category,
        title=candidate.title,
        body=candidate.body,
        quote=one.quote,
        suggestion=candidate.suggestion,
        proof=candidate.proof,
        evidence=candidate.evidence,
        confidence=candidate.confidence,
        source=candidate.source,
        rule=candidate.rule,
        instruction=candidate.instruction,
        late=late,
        first_round=round,
        first_sha=sha,
        last_sha=sha,
    )


def _merged(finding: Finding, one: Anchored) -> Finding:
    """Let a second voice for the same new claim add what the first one lacks."""
    candidate = one.candidate
    evidence = "\n".join(dict.fromkeys(part for part in (finding.evidence, candidate.evidence) if part))
    # An analyzer names the rule; whoever understood the code says what comes of it.
    wiser = candidate if finding.source != "model" and candidate.source == "model" else finding
    return replace(
        finding,
        title=wiser.title,
        body=wiser.body,
        evidence=evidence,
        proof=finding.proof or candidate.proof,
        suggestion=finding.suggestion if finding.suggestion is not None else candidate.suggestion,
        instruction=finding.instruction or candidate.instruction,
    )
