"""Asks on the issue what nobody could guess, and ends the session there."""

from collections.abc import Mapping

from mergewright.domain.plain import markdown, one_line
from mergewright.domain.session import JSON, Status
from mergewright.flows.steps.notes import signature
from mergewright.flows.world import Done, Ending, Work

MOST_QUESTIONS = 10


async def step(work: Work, arguments: Mapping[str, JSON]) -> Done:
    """Write one note with the questions; nothing else on the forge changes."""
    questions = [one_line(str(question)) for question in arguments.get("questions") or []][:MOST_QUESTIONS]
    summary = markdown(str(arguments.get("summary") or ""), most=2_000)
    asked = "\n".join(f"{number}. {question}" for number, question in enumerate(questions, 1))
    body = "\n\n".join(
        part
        for part in (
            "I cannot work on this issue as it stands, and I would rather ask than guess.",
            summary,
            asked,
            "Answer here or in the description, then start me again.",
            signature(work),
        )
        if part
    )
    note = await work.world.forge.add_note(work.session.subject, body, mark=f"{work.session.id}-questions")
    await work.wrote("note", subject=str(work.session.subject), web_url=note.web_url)
    count = f"{len(questions)} question{'' if len(questions) == 1 else 's'}"
    return Done(
        {"note": note.id, "web_url": note.web_url, "questions": len(questions)},
        Ending(Status.FINISHED, f"the issue is too vague to act on: asked {count if questions else 'for more'} on it"),
    )
