"""What people read on the merge request: threads, answers, the summary. Every word of a model is made harmless."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from mergewright.domain.plain import clip, code, markdown, one_line
from mergewright.domain.policy import Policy
from mergewright.domain.review import Coverage, Finding, FindingState, Proof, Review, Seen
from mergewright.review.decide import Decision, blocking
from mergewright.review.prove import shown_command
from mergewright.review.reconcile import Reply

_OUTCOMES = {
    "fixed": "Fixed",
    "open": "Still open",
    "obsolete": "Obsolete",
    "conceded": "You are right, the finding is withdrawn",
    "unanswered": "Still open",
}
_BY = {
    "proof": "the proof was run again",
    "model": "by reading the new code",
    "code": "by comparing the code",
    "analyzer": "the analyzer ran again",
}
MOST_ROWS = 40


def thread(finding: Finding, policy: Policy, *, reviewer: str, inline: bool) -> str:
    """Give the first note of a finding's thread; `inline` when it stands on its lines, where a suggestion applies."""
    head = f"**{finding.severity.value.title()} · {finding.category}**"
    head += " · blocks the merge" if blocking(finding, policy) and policy.request_changes else ""
    parts = [f"{head}: {one_line(finding.title)}"]
    if finding.body.strip():
        parts.append(markdown(finding.body, most=4_000))
    if not inline and finding.place.line:
        parts.append(f"This is about {place(finding)}.")
    if inline and (block := suggestion(finding)):
        parts.append(block)
    told = []
    if finding.instruction:
        told.append(f"under the instruction {code(finding.instruction)}")
    if finding.source not in {"model", "steering"}:
        told.append(f"found by {code(finding.source)}" + (f", rule {code(finding.rule)}" if finding.rule else ""))
    if told:
        parts.append(f"<sub>{_first(', '.join(told))}</sub>")
    if finding.proof is not None and finding.proof.holds:
        parts.append(proof(finding.proof))
    parts.append(f"<sub>{how_to_answer(reviewer)}</sub>")
    return "\n\n".join(parts)


def how_to_answer(reviewer: str) -> str:
    """Name the commands that a reply in the thread may hold."""
    words = " · ".join(f"`@{reviewer} {one}`" for one in ("dismiss because …", "incorrect because …", "help"))
    return f"Answer with {words}, or push a fix."


def suggestion(finding: Finding) -> str:
    """Give a block that GitLab offers to commit; empty where there is none, or it could not be applied."""
    at = finding.place
    if finding.suggestion is None or at.side != "new" or not at.line or finding.suggestion == finding.quote:
        return ""
    above = at.line - (at.start_line or at.line)
    text = finding.suggestion.replace("\r\n", "\n").strip("\n")
    if above > 100 or "\r" in text:
        return ""
    ticks = "`" * max([3, *(len(run) + 1 for run in re.findall("`+", text))])
    return f"{ticks}suggestion:-{above}+0\n{text}\n{ticks}" if text else f"{ticks}suggestion:-{above}+0\n{ticks}"


def proof(ran: Proof) -> str:
    """Show a proof, folded."""
    text = f"{shown_command(ran)}\n\nexit code {ran.exit_code}\n{ran.output.strip()}"
    return f"<details><summary>Proof: it fails on {ran.sha[:8]}</summary>\n\n{block(text)}\n\n</details>"


def block(text: str) -> str:
    """Give text as a code block that it cannot close."""
    plain = clip(text.replace("\r\n", "\n").replace("<!--", "<! --"), 8_000)
    ticks = "`" * max([3, *(len(run) + 1 for run in re.findall("`+", plain))])
    return f"{ticks}text\n{plain}\n{ticks}"


def place(finding: Finding) -> str:
    """Name where a finding stands."""
    at = finding.place
    lines = f":{at.start_line}-{at.line}" if at.start_line and at.start_line != at.line else f":{at.line}"
    before = " (before the change)" if at.side == "old" else ""
    return code(f"{at.path}{lines if at.line else ''}") + before


def answer(reply: Reply, sha: str) -> str:
    """Tell a finding's own thread what this review says of it."""
    said, finding = reply.answer, reply.finding
    if reply.reopened:
        return f"**It is back** on {sha[:8]}, at {place(finding)}: {markdown(said.evidence, most=1_500)}"
    how = _BY[said.by] if said.outcome != "unanswered" else "nobody could verify it"
    told = f"**{_OUTCOMES[said.outcome]}** on {sha[:8]} ({how}): {markdown(said.evidence, most=1_500)}"
    if said.by == "proof" and finding.proof is not None:
        ran = f"{finding.proof.command}\n\nexit code {finding.proof.exit_code}\n{finding.proof.output.strip()}"
        told += f"\n\n<details><summary>The proof on {sha[:8]}</summary>\n\n{block(ran)}\n\n</details>"
    return told


@dataclass(frozen=True, slots=True)
class Told:
    """What a summary is written from."""

    review: Review
    decision: Decision
    policy: Policy
    findings: Sequence[Finding]
    replies: Sequence[Reply] = ()
    coverage: Sequence[Coverage] = ()
    dropped: Mapping[str, int] = field(default_factory=dict)
    remarks: Sequence[str] = ()
    """What the person should know of files that could not be read, and of fallbacks."""
    failed_parts: Sequence[str] = ()
    suppressed: Sequence[str] = ()
    """What comments in the code silence, each in a line."""
    unposted: Sequence[Finding] = ()
    """Findings of this review that got no thread of their own."""
    gate: str = ""
    model: str = ""
    """Empty for a review by analyzers alone."""
    links: Mapping[str, str] = field(default_factory=dict)
    """The address of a finding's thread, by the finding's id."""
    takes_reviewers: bool = False
    """Whether a merge request here may have several reviewers."""
    headline: str = ""
    """What stands above it all; the verdict unless given."""


def summary(told: Told) -> str:
    """Give the one note that carries the verdict."""
    review, decision = told.review, told.decision
    parts = [
        f"## {told.headline or decision.verdict.shown}",
        f"{_first(decision.reason)} Reviewed: {code(review.head_sha[:8])}, round {review.round}.",
    ]
    if told.gate:
        parts.append(told.gate)
    if decision.hand_over:
        parts.append(_hand_over(told))
    standing = [one for one in told.findings if one.state.standing and not one.late]
    if standing:
        parts.append(_table(told, standing))
    if told.replies:
        parts.append(_answers(told.replies))
    unposted = {one.id for one in told.unposted}
    late = [one for one in told.findings if one.late and one.state.standing]
    if unposted:
        rest = [one for one in told.findings if one.id in unposted and not one.late]
        parts += _fold(f"{len(rest)} findings without a thread of their own", map(_in_full, rest)) if rest else []
    if late:
        title = f"{len(late)} remarks on lines that have not changed since the last review: they block nothing"
        parts += _fold(title, map(_in_full, late))
    parts += _seen(told.coverage)
    ended = [one for one in told.findings if one.state is FindingState.DISMISSED]
    if ended:
        rows = [f"- {place(one)}: {one_line(one.title)} — {one_line(one.answer, most=500)}" for one in ended]
        parts += _fold(f"{len(ended)} dismissed or overridden", rows)
    if told.suppressed:
        rows = [f"- {one_line(one)}" for one in told.suppressed[:MOST_ROWS]]
        parts += _fold(f"{len(told.suppressed)} silenced by comments in the code", rows)
    notes = [*told.failed_parts, *told.remarks]
    if told.dropped:
        counted = ", ".join(f"{number} {reason}" for reason, number in sorted(told.dropped.items()))
        notes.append(f"Claims that were not posted: {counted}.")
    if notes:
        parts.append("\n".join(f"- {one_line(note, most=600)}" for note in notes))
    parts.append(_signature(told))
    return "\n\n".join(parts)


def failed(review: Review, *, message: str, hint: str, reviewer: str, sentence: str) -> str:
    """Tell that a review failed, with its code and the way to have another one."""
    parts = [
        f"## Review failed ({review.error_code})",
        f"{one_line(_first(message), most=600)}" + (f" {one_line(_first(hint), most=400)}" if hint else ""),
        sentence,
        f"Write `@{reviewer} review`, or ask for a review again, to have another one.",
    ]
    return "\n\n".join(part for part in parts if part)


def _first(text: str) -> str:
    """Make a sentence of a phrase."""
    text = text.strip()
    text = text[:1].upper() + text[1:]
    return text if not text or text[-1] in ".!?…" else f"{text}."


def _table(told: Told, standing: Sequence[Finding]) -> str:
    ordered = sorted(standing, key=lambda one: (-one.severity.rank, one.place.path, one.place.line))
    rows = ["| severity | finding | where | |", "|---|---|---|---|"]
    for one in ordered[:MOST_ROWS]:
        title = one_line(one.title, most=160)
        link = f"[{title}]({told.links[one.id]})" if one.id in told.links else title
        blocks = "blocks" if blocking(one, told.policy) and told.policy.request_changes else ""
        state = "disputed" if one.state is FindingState.DISPUTED else ""
        rows.append(f"| {one.severity.value} | {link} | {place(one)} | {', '.join(filter(None, (blocks, state)))} |")
    more = [f"\nand {len(ordered) - MOST_ROWS} more."] if len(ordered) > MOST_ROWS else []
    return "\n".join([*rows, *more])


def _answers(replies: Sequence[Reply]) -> str:
    counted: dict[str, int] = {}
    for one in replies:
        name = "back again" if one.reopened else _OUTCOMES[one.answer.outcome].split(",")[0].lower()
        counted[name] = counted.get(name, 0) + 1
    return "Earlier findings: " + ", ".join(f"{number} {name}" for name, number in counted.items()) + "."


def _seen(coverage: Sequence[Coverage]) -> list[str]:
    shown, changed = sum(one.shown for one in coverage), sum(one.changed for one in coverage)
    whole = [one for one in coverage if one.seen is Seen.REVIEWED]
    rest = [one for one in coverage if one.seen is not Seen.REVIEWED]
    line = f"Seen: {len(whole)} of {len(coverage)} files, {shown} of {changed} changed lines."
    rows = [f"- {code(one.path)}: {one.seen.value}, {one.shown} of {one.changed} lines ({one.reason})" for one in rest]
    if len(rows) <= 5:
        return ["\n".join([line, *([""] if rows else []), *rows])]
    more = [f"- and {len(rows) - 500} more"] if len(rows) > 500 else []
    return [line, *_fold(f"{len(rows)} files not seen, or not whole", [*rows[:500], *more])]


def _in_full(finding: Finding) -> str:
    body = one_line(finding.body, most=700)
    return f"- **{finding.severity.value}** {place(finding)}: {one_line(finding.title)}" + (f" {body}" if body else "")


def _fold(title: str, rows: "Sequence[str] | map[str]") -> list[str]:
    listed = "\n".join(rows)
    return [f"<details><summary>{title}</summary>\n\n{listed}\n\n</details>"]


def _hand_over(told: Told) -> str:
    rounds = told.policy.round_limit
    return (
        f"**A person goes on from here.** Changes were requested {rounds} times, which is this project's limit, so no "
        "further review starts by itself. What is open stands below; asking for a review again gives one more round."
    )


def _signature(told: Told) -> str:
    by = "no model: this review sees only what analyzers see, which is little of what a person would"
    if told.model:
        kind, _, name = told.model.partition(":")
        by = f"model {code(f'{kind}:' + name.rpartition('/')[2] if kind == 'recorded' else told.model)}"
    return f"<sub>mergewright session {code(told.review.session)}, {by}</sub>"
