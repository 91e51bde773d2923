"""The second, sceptical pass: what it cannot be convinced of is not posted."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from mergewright.agent.fence import fence
from mergewright.domain.errors import MergewrightError
from mergewright.domain.plain import clip
from mergewright.domain.review import Place, Severity
from mergewright.domain.session import JSON
from mergewright.review import prompts
from mergewright.review.anchor import Anchored
from mergewright.review.look import looking
from mergewright.review.talk import Talk, passing, side_by_side
from mergewright.review.texts import Texts
from mergewright.review.world import Case

BATCH = 8
AROUND = 12
"""Lines shown before and after a claim's own."""


@dataclass(frozen=True, slots=True)
class Checked:
    """What is left of the claims."""

    kept: tuple[Anchored, ...] = ()
    dropped: Mapping[str, int] = field(default_factory=dict)
    failed: tuple[str, ...] = ()


async def check(talk: Talk, case: Case, texts: Texts, found: Sequence[Anchored]) -> Checked:
    """Ask about each claim of the model's again; one without an answer stays, with that said, and fails the pass."""
    batches = [(number, found[start : start + BATCH]) for number, start in enumerate(range(0, len(found), BATCH), 1)]

    async def ask(batch: tuple[int, Sequence[Anchored]]) -> tuple[Sequence[Anchored], Mapping[int, JSON], str]:
        number, claims = batch
        tools = looking(case.history, head=case.refs.head_sha, base=case.refs.base_sha, room=case.window)
        prompt = "\n".join(_claim(index, claim, texts) for index, claim in enumerate(claims, start=1))
        try:
            answer = await talk.ask(f"sceptic:{number}", prompts.SCEPTIC, prompt, prompts.sceptic_schema(), tools)
        except MergewrightError as error:
            if not passing(error):
                raise
            return claims, {}, clip(error.message, 200)
        return claims, {int(one["number"]): one for one in answer["answers"]}, ""

    kept: list[Anchored] = []
    dropped: Counter[str] = Counter()
    failed: list[str] = []
    for claims, answers, why in await side_by_side(batches, ask, most=talk.work.world.settings.parallel):
        if why:
            failed.append(f"the second look at {len(claims)} findings failed: {why}")
        for index, claim in enumerate(claims, start=1):
            said = answers.get(index)
            if said is None and not why:
                failed.append("the second look left a finding unanswered")
            if said is not None and said["outcome"] == "drop":
                dropped["refuted by the second look"] += 1
                continue
            kept.append(_after(claim, said))
    return Checked(tuple(kept), dict(dropped), tuple(dict.fromkeys(failed)))


def _after(claim: Anchored, said: Mapping[str, JSON] | None) -> Anchored:
    one = claim.candidate
    if said is None:
        return replace(claim, candidate=replace(one, evidence="not checked a second time"))
    severity = one.severity
    if said["outcome"] == "lower" and said.get("severity") in {each.value for each in Severity}:
        severity = min(severity, Severity(said["severity"]), key=lambda each: each.rank)
    confidence = min(max(float(said.get("confidence", one.confidence)), 0.0), 1.0)
    return replace(
        claim,
        candidate=replace(one, severity=severity, confidence=confidence, evidence=clip(str(said["reason"]), 1_000)),
    )


def _claim(number: int, claim: Anchored, texts: Texts) -> str:
    one, place = claim.candidate, claim.place
    before = " before the change" if place.side == "old" else ""
    said = f"{one.severity.value}, {one.category}: {one.title}\n{one.body}\n"
    where = f"{place.path}{before}, lines {place.start_line or place.line} to {place.line}"
    told = [fence(f"claim {number}", said + where), fence(f"code of claim {number}", around(texts, place))]
    return "\n".join([f"Number {number}:", *told])


def around(texts: Texts, place: Place) -> str:
    """Show a place's lines with their numbers and a few around them."""
    lines = texts.lines(place)
    first = max((place.start_line or place.line) - AROUND, 1)
    last = min(place.line + AROUND, len(lines))
    return "\n".join(f"{number}: {lines[number - 1][:400]}" for number in range(first, last + 1))
