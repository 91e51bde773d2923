"""Verifies earlier findings on the new head: the proof first, else the analyzer, else the model reading the code."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from mergewright.agent.fence import fence
from mergewright.domain.errors import MergewrightError
from mergewright.domain.forge import Discussion
from mergewright.domain.plain import clip
from mergewright.domain.review import Candidate, Finding, FindingState, Proof
from mergewright.domain.session import JSON
from mergewright.review import prompts
from mergewright.review.changed import Located
from mergewright.review.fingerprint import kind
from mergewright.review.look import looking
from mergewright.review.prove import Bench, prove
from mergewright.review.reconcile import Answer, needs_answer
from mergewright.review.sceptic import around
from mergewright.review.talk import Talk, passing, side_by_side
from mergewright.review.texts import Texts
from mergewright.review.world import Case

BATCH = 6


@dataclass(frozen=True, slots=True)
class Verified:
    """What is known of the earlier findings now."""

    answers: Mapping[str, Answer] = field(default_factory=dict)
    proofs: Mapping[str, Proof] = field(default_factory=dict)
    """The proofs that were run again, by finding."""
    failed: tuple[str, ...] = ()


async def verify(
    talk: Talk | None,
    case: Case,
    texts: Texts,
    located: Sequence[Located],
    *,
    analyzed: Mapping[str, Sequence[Candidate]],
    bench: Bench | None,
) -> Verified:
    """Answer for each standing finding whose code has changed or that is disputed.

    `analyzed` holds what each analyzer that ran reports on the new head; `bench` opens a sandbox there.
    """
    answers: dict[str, Answer] = {}
    proofs: dict[str, Proof] = {}
    failed: tuple[str, ...] = ()
    asked: list[Located] = []
    for one in located:
        finding = one.finding
        if not needs_answer(one) or one.state == "gone":
            continue
        disputed = finding.state is FindingState.DISPUTED
        if finding.proof is not None and finding.proof.sha and bench is not None and not disputed:
            ran = await prove(finding.proof, sha=case.refs.head_sha, head=bench)
            if (answer := _by_proof(finding.proof, ran)) is not None:
                proofs[finding.id], answers[finding.id] = ran, answer
                continue
        if finding.source == "steering" and not disputed:
            answers[finding.id] = Answer("fixed", "the text is gone", "code")
        elif finding.source != "model" and not disputed:
            if finding.source in analyzed:
                answers[finding.id] = _by_analyzer(one, analyzed[finding.source])
        else:
            asked.append(one)
    if asked and talk is not None:
        told, failed = await _ask(talk, case, texts, asked)
        answers |= told
    return Verified(answers, proofs, failed)


def _by_proof(before: Proof, now: Proof) -> Answer | None:
    """Read a second run: None where it says nothing, because the command itself does not work any more."""
    if not before.holds:
        return None
    if now.exit_code == 0:
        return Answer("fixed", "the proof passes now", "proof")
    if now.holds:
        return Answer("open", f"the proof still fails with `{now.expect}`", "proof")
    return None


def _by_analyzer(one: Located, found: Sequence[Candidate]) -> Answer:
    finding = one.finding
    still = [each for each in found if each.path == finding.place.path and kind(each) == kind(finding)]
    near = [each for each in still if not finding.place.line or abs(each.line - finding.place.line) <= 3]
    # A report elsewhere in the file may be the same line, moved and changed at once: only an absence shows a fix.
    if near or any(each.quote and each.quote.strip() == finding.quote.strip() for each in still):
        return Answer("open", f"{finding.source} still reports {finding.rule or 'it'} here", "analyzer")
    return Answer("fixed", f"{finding.source} reports {finding.rule or 'it'} here no more", "analyzer")


async def _ask(
    talk: Talk, case: Case, texts: Texts, asked: Sequence[Located]
) -> tuple[dict[str, Answer], tuple[str, ...]]:
    threads = {one.id: one for one in case.discussions}
    batches = [(number, asked[start : start + BATCH]) for number, start in enumerate(range(0, len(asked), BATCH), 1)]

    async def ask(batch: tuple[int, Sequence[Located]]) -> tuple[dict[str, Answer], str]:
        number, ones = batch
        prompt = "\n".join(_question(index, one, case, texts, threads) for index, one in enumerate(ones, start=1))
        tools = looking(case.history, head=case.refs.head_sha, base=case.refs.base_sha, room=case.window)
        try:
            answer = await talk.ask(f"verify:{number}", prompts.VERIFY, prompt, prompts.verify_schema(), tools)
        except MergewrightError as error:
            if not passing(error):
                raise
            return {}, f"verifying {len(ones)} earlier findings failed: {clip(error.message, 200)}"
        told: dict[str, Answer] = {}
        for item in answer["answers"]:
            if 1 <= int(item["number"]) <= len(ones):
                finding = ones[int(item["number"]) - 1].finding
                told[finding.id] = await _read(item, finding, texts)
        return told, ""

    answers: dict[str, Answer] = {}
    failed: list[str] = []
    for told, why in await side_by_side(batches, ask, most=talk.work.world.settings.parallel):
        answers |= told
        failed += [why] if why else []
    return answers, tuple(failed)


async def _read(item: Mapping[str, JSON], finding: Finding, texts: Texts) -> Answer:
    """Believe an answer only with a line of the present code to show for it."""
    reason = clip(" ".join(str(item["reason"]).split()), 600)
    outcome = item["outcome"]
    if outcome == "open":
        return Answer("open", reason, "model")
    if outcome == "conceded" and finding.state is not FindingState.DISPUTED:
        return Answer("unanswered", "nobody disputed it, so it stays open", "code")
    path, quote = str(item.get("path") or finding.place.path), str(item.get("quote") or "").strip()
    await texts.load([path])
    stands = any(line.strip() for line in quote.splitlines()) and _stands(quote, texts.kept.get(("new", path), ()))
    if not stands:
        return Answer("unanswered", "the answer showed no line of the present code, so it stays open", "code")
    shown = quote.splitlines()[0].strip()[:200]
    return Answer(outcome, f"{reason} (`{path}`: `{shown}`)" if "`" not in shown else reason, "model")


def _stands(quote: str, lines: Sequence[str]) -> bool:
    wanted = [line.strip() for line in quote.splitlines() if line.strip()]
    if len(wanted) == 1:
        return len(wanted[0]) >= 3 and any(wanted[0] in line for line in lines)
    have = [line.strip() for line in lines if line.strip()]
    return any(have[start : start + len(wanted)] == wanted for start in range(len(have) - len(wanted) + 1))


def _question(number: int, one: Located, case: Case, texts: Texts, threads: Mapping[str, Discussion]) -> str:
    finding = one.finding
    disputed = " (disputed)" if finding.state is FindingState.DISPUTED else ""
    claim = f"{finding.severity.value}, {finding.category}: {finding.title}\n{finding.body}"
    said = []
    if thread := threads.get(finding.discussion_id):
        said = [
            f"{note.author.username}: {note.body}" for note in thread.notes[1:] if not note.system and not note.internal
        ]
    if finding.state is FindingState.DISPUTED and finding.answer:
        said.append(f"The argument against it: {finding.answer}")
    parts = [
        f"Number {number}{disputed}:",
        fence(f"claim {number}", claim),
        fence(f"the code that claim {number} was made about", finding.quote[:3_000]),
        fence(
            f"the code now, around line {finding.place.line}", f"{finding.place.path}\n{around(texts, finding.place)}"
        ),
    ]
    if said:
        parts.append(fence(f"answers of people to claim {number}", clip("\n".join(said), 4_000)))
    return "\n".join(parts)


def with_proofs(located: Sequence[Located], proofs: Mapping[str, Proof]) -> list[Located]:
    """Put the newest runs of proofs into their findings."""
    return [
        one._replace(finding=replace(one.finding, proof=_again(one.finding.proof, proofs[one.finding.id])))
        if one.finding.id in proofs
        else one
        for one in located
    ]


def _again(before: Proof | None, now: Proof) -> Proof:
    """Keep beside a proof's newest run what the first one ended with."""
    if before is None or before.first_exit_code is not None:
        return now
    return replace(now, first_exit_code=before.exit_code)
