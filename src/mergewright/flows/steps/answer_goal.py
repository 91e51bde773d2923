"""Answers a goal that needs no change of code: in a note where there is something to write it on."""

from collections.abc import Mapping

from mergewright.domain.plain import markdown, one_line
from mergewright.domain.session import JSON, Status
from mergewright.flows.steps.notes import signature, tell
from mergewright.flows.world import Done, Ending, Work, given

MOST_ANSWER = 20_000
MOST_QUESTIONS = 10


async def step(work: Work, arguments: Mapping[str, JSON]) -> Done:
    """Give `text`, the answer, and how the session ends; nothing else on the forge changes."""
    answer = given(arguments, "answer", "answer_goal")
    text, reason = _told(answer, str(arguments.get("why_not") or "nothing is to be changed here"))
    await work.say(text)
    done: dict[str, JSON] = {"text": text}
    if work.session.subject.kind:
        note = await tell(work, f"{text}\n\n{signature(work)}", mark=f"{work.session.id}-answer")
        done |= {"note": note.id, "web_url": note.web_url}
    return Done(done, Ending(Status.FINISHED, reason))


def _told(answer: Mapping[str, JSON], why_not: str) -> tuple[str, str]:
    summary = markdown(str(answer.get("summary") or ""), most=4_000)
    if answer["outcome"] == "questions":
        questions = [one_line(str(question)) for question in answer.get("questions") or []][:MOST_QUESTIONS]
        asked = "\n".join(f"{number}. {question}" for number, question in enumerate(questions, 1))
        parts = ["I cannot work on this as it stands, and I would rather ask than guess.", summary, asked]
        count = f"{len(questions)} question{'' if len(questions) == 1 else 's'}" if questions else "for more"
        return "\n\n".join(part for part in parts if part), f"the goal is too vague to act on: asked {count}"
    if answer["outcome"] == "plan":
        tasks = "\n".join(f"- {one_line(str(task))}" for task in answer.get("tasks") or ())
        parts = [f"This is a plan and nothing more: {why_not}.", summary, tasks]
        return "\n\n".join(part for part in parts if part), f"planned it and changed nothing: {why_not}"
    said = markdown(str(answer.get("answer") or ""), most=MOST_ANSWER) or summary
    return said or "(no answer was given)", "answered; nothing was changed"
