"""Looks for defects: each part of the diff goes to the model once, and what it claims is read with suspicion."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from mergewright.agent.fence import fence
from mergewright.domain.errors import MergewrightError
from mergewright.domain.plain import clip
from mergewright.domain.review import CATEGORIES, Candidate, Proof, Severity
from mergewright.domain.session import JSON
from mergewright.review import prompts
from mergewright.review.groups import TOKEN, Group, Plan, tokens
from mergewright.review.look import looking
from mergewright.review.talk import Talk, passing, side_by_side
from mergewright.review.world import Case

MOST = 40
"""Claims that are read of one answer, the most severe first."""
ANSWER_ROOM = 4_000
"""Tokens that an answer may take."""
_OVERHEAD = 1_500
"""Tokens of what is sent with every part: the task, the tools, the form of the answer."""
_LIKELY = {"blocker": 0.7, "critical": 0.7}


@dataclass(frozen=True, slots=True)
class Found:
    """What the model claims, and which parts gave no answer."""

    candidates: tuple[Candidate, ...] = ()
    failed: tuple[tuple[Group, str], ...] = ()
    dropped: Mapping[str, int] = field(default_factory=dict)


def room_for_diff(window: int, instructions: int) -> int:
    """Give the tokens of one request that the diff may take: a part stays free for what is looked up."""
    return max((window - ANSWER_ROOM - _OVERHEAD - instructions) * 4 // 5, 1_000)


def instruction_tokens(case: Case) -> int:
    """Estimate what the project's instructions take in the request that is shown most of them."""
    return min(sum(tokens(group.text) + 10 for group in case.instructions.groups), case_room(case))


def case_room(case: Case) -> int:
    """Give the tokens that all instructions together may take in one request."""
    return case.window // 4


async def find(talk: Talk, case: Case, plan: Plan) -> Found:
    """Ask about every part; a part without a usable answer is told as failed, and nothing is lost of the others."""

    async def ask(group: Group) -> tuple[Group, Sequence[Candidate], int, str]:
        text = group.text()
        room = (case.window - ANSWER_ROOM - _OVERHEAD) * TOKEN - len(text)
        tools = looking(case.history, head=case.refs.head_sha, base=case.refs.base_sha, room=max(room, 4_000))
        prompt = _instructions(case, group) + fence("a part of the diff", text)
        try:
            answer = await talk.ask(f"find:{group.number}", prompts.FIND, prompt, prompts.found_schema(), tools)
        except MergewrightError as error:
            if not passing(error):
                raise
            return group, (), 0, clip(error.message, 200)
        items = sorted(answer["findings"], key=lambda one: -Severity(one["severity"]).rank)
        return group, [candidate(one) for one in items[:MOST]], max(len(items) - MOST, 0), ""

    told = await side_by_side(plan.groups, ask, most=talk.work.world.settings.parallel)
    over = sum(more for _, _, more, _ in told)
    return Found(
        tuple(one for _, found, _, _ in told for one in found),
        tuple((group, why) for group, _, _, why in told if why),
        {"more than one answer may hold": over} if over else {},
    )


def candidate(item: Mapping[str, JSON], *, category: str = "") -> Candidate:
    """Read one claim of an answer that fits its schema; texts are cut to what a thread can bear."""
    severity = Severity(item["severity"])
    proof = item.get("proof")
    kind = category or (item["category"] if item.get("category") in CATEGORIES else "correctness")
    return Candidate(
        path=str(item["path"]).removeprefix("./"),
        line=_whole(item.get("line")),
        start_line=_whole(item.get("start_line")),
        side="old" if item.get("side") == "old" else "new",
        quote=clip(str(item.get("quote") or ""), 4_000) if len(str(item.get("quote") or "")) <= 4_000 else "",
        severity=severity,
        category=kind,
        title=" ".join(clip(str(item["title"]), 200).split()) or "Untitled",
        body=clip(str(item["body"]), 3_000),
        suggestion=item.get("suggestion") if len(item.get("suggestion") or "") <= 8_000 else None,
        proof=_proof(proof) if isinstance(proof, Mapping) else None,
        confidence=min(max(float(item.get("confidence", _LIKELY.get(severity, 0.5))), 0.0), 1.0),
        instruction=clip(" ".join(str(item.get("instruction") or "").split()), 100),
    )


def _proof(item: Mapping[str, JSON]) -> Proof | None:
    command, files = str(item.get("command") or ""), item.get("files") or {}
    large = len(command) > 4_000 or sum(len(text) for text in files.values()) > 40_000 or len(files) > 5
    if not command.strip() or not str(item.get("expect") or "").strip() or large:
        return None
    return Proof(command, dict(files), clip(str(item["expect"]), 300))


def _instructions(case: Case, group: Group) -> str:
    wanted = {one.name: one.text for path in group.paths for one in case.instructions.for_path(path)}
    if not wanted:
        return ""
    told, left = [], case_room(case) * TOKEN
    for name, text in wanted.items():
        told.append(f"[{name}]\n{clip(text, max(left, 200))}")
        left -= len(text)
    return "The project asks its reviewers to look at this too, and to name it in `instruction`:\n" + "\n".join(
        [*told, ""]
    )


def _whole(value: JSON) -> int:
    return max(int(value), 0) if isinstance(value, (int, float)) and abs(value) < 1e9 else 0
