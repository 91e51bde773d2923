"""Answers one note that somebody wrote to the reviewer: a command is carried out, a question gets an answer."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from mergewright.agent.fence import fence
from mergewright.domain.agent import Message, Role
from mergewright.domain.errors import Conflict, Forbidden, ForgeError, MergewrightError, WrongUse
from mergewright.domain.forge import AccessLevel, Discussion, Note, User
from mergewright.domain.plain import clip, markdown, one_line
from mergewright.domain.review import Finding, ReviewerStatus
from mergewright.domain.session import Subject
from mergewright.review import prompts
from mergewright.review.commands import Command, Malformed, forms, parse
from mergewright.review.gather import policy_of
from mergewright.review.override import Desk, dismiss, dispute, override
from mergewright.review.world import ReviewWorld

LONGEST_TALK = 12_000
"""Characters of a thread that a model is shown."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What was answered, and what is to be done besides."""

    text: str
    """Empty where there was nothing to answer."""
    then: Literal["", "review", "fix"] = ""
    discussion: str = ""


async def desk_for(world: ReviewWorld, subject: Subject) -> Desk:
    """Open a merge request's affairs with the policy in force there."""
    merge_request = await world.forge.merge_request(subject.project, subject.iid)
    resolved = await policy_of(world, merge_request, await world.forge.remote(subject.project))
    return Desk(world, subject, resolved.policy, (await world.forge.status()).user.username)


async def answer(world: ReviewWorld, subject: Subject, note_id: int) -> Reply:
    """Answer a note once, where it was written; a note of a bot's, or one that is gone, gets nothing.

    Raises Conflict while the review that wrote the thread is still being published.
    """
    discussions = await world.forge.discussions(subject)
    thread = next((one for one in discussions if any(note.id == note_id for note in one.notes)), None)
    note = next((each for each in thread.notes if each.id == note_id), None) if thread else None
    if thread is None or note is None or note.system or note.author.bot:
        return Reply("")
    mark = f"answer.{note_id}"
    desk = await desk_for(world, subject)
    if note.author.username == desk.reviewer:
        return Reply("")
    if any(each.mark == mark for one in discussions for each in one.notes):
        return Reply("", discussion=thread.id)
    if thread.notes[0].mark.startswith("finding.") and await _finding(desk, thread) is None:
        await _need_published(desk)
    said = await _answered(desk, thread, note)
    if thread.individual_note:
        await world.forge.add_note(subject, said.text, mark=mark)
    else:
        await world.forge.reply(subject, thread.id, said.text, mark=mark)
    return said


async def _answered(desk: Desk, thread: Discussion, note: Note) -> Reply:
    command = parse(note.body, desk.reviewer)
    try:
        if isinstance(command, Malformed):
            return Reply(f"This is not how the command reads. The right form: `{command.form}`")
        if isinstance(command, Command):
            return await _done(desk, thread, note, command)
        return Reply(await _talked(desk, thread, note))
    except (Forbidden, WrongUse, Conflict) as error:
        hint = f" {one_line(_sentence(error.hint))}" if error.hint else ""
        return Reply(f"Not done: {one_line(_sentence(error.message, capital=False))}{hint}")


async def _done(desk: Desk, thread: Discussion, note: Note, command: Command) -> Reply:
    who = note.author
    if command.kind == "help":
        return Reply(forms(desk.reviewer))
    if command.kind == "override":
        return Reply(await override(desk, who, command.reason))
    if command.kind in {"review", "fix"}:
        await _need_developer(desk, who)
        flow = "code_review" if command.kind == "review" else "feedback"
        if not desk.policy.allows(flow):
            raise Forbidden(f"the flow `{flow}` is off here", hint="the project's settings turn it on again")
        if command.kind == "review":
            return Reply("On it: the newest head is reviewed next.", "review", thread.id)
        if thread.individual_note:
            raise WrongUse("there is no thread here to work on", hint="write it in a thread on the diff")
        return Reply("On it: the developer flow works this thread in on the same branch.", "fix", thread.id)
    finding = await _finding(desk, thread)
    if finding is None:
        raise WrongUse(
            "this is no thread of a finding of mine",
            hint=f"write it in one, or `@{desk.reviewer} override because …` for the whole request",
        )
    if command.kind == "dismiss":
        return Reply(await dismiss(desk, finding.id, who, command.reason))
    return Reply(await dispute(desk, finding.id, who, command.reason))


async def _need_developer(desk: Desk, who: User) -> None:
    level = await desk.world.forge.access_level(desk.subject.project, who.id)
    if level >= AccessLevel.DEVELOPER:
        return
    refused = f"that takes the role Developer or more; @{who.username} has {level.name.title()}"
    await desk.world.reviews.audit(desk.entry(who.username, "refuse", reason=refused))
    raise Forbidden(refused)


async def _need_published(desk: Desk) -> None:
    reviews = await desk.world.reviews.reviews(desk.subject.project, desk.subject.iid)
    if reviews and reviews[-1].status is ReviewerStatus.REVIEWING:
        raise Conflict("the review that found this is still being published", hint="try again in a moment")


async def _finding(desk: Desk, thread: Discussion) -> Finding | None:
    findings: Sequence[Finding] = await desk.world.reviews.findings(desk.subject.project, desk.subject.iid)
    return next((one for one in findings if one.discussion_id == thread.id), None)


async def _talked(desk: Desk, thread: Discussion, note: Note) -> str:
    """Let the model answer; whoever has no role in the project costs nobody any money."""
    commands = forms(desk.reviewer)
    if desk.world.open_model is None:
        return f"I can only be told one of these, as no model is set up here:\n\n{commands}"
    level = await desk.world.forge.access_level(desk.subject.project, note.author.id)
    if level < AccessLevel.REPORTER:
        return f"I talk with members of the project only. What everybody can write:\n\n{commands}"
    finding = await _finding(desk, thread)
    lines = [f"{one.author.username}: {one.body}" for one in thread.notes if not one.system and not one.internal]
    about = f"{finding.title}\n{finding.body}\n\n{finding.quote}" if finding else ""
    parts = [fence("the finding", clip(about, 4_000))] if about else []
    parts += [fence("the thread", clip("\n\n".join(lines)[-LONGEST_TALK:], LONGEST_TALK))]
    parts.append(f"Answer the last note, by {note.author.username}.")
    short = f"`@{desk.reviewer} dismiss because …`, `… incorrect because …`, `… override because …`, `… review`"
    messages = [
        Message(Role.SYSTEM, prompts.ANSWER.format(commands=short)),
        Message(Role.USER, "\n".join(parts)),
    ]
    model = desk.world.open_model()
    try:
        reply = await model.reply(f"answer:{note.id}", messages, [])
    except ForgeError:
        raise
    except MergewrightError as error:
        return f"I could not answer: {one_line(error.message)}. What I do without a model:\n\n{commands}"
    finally:
        await model.close()
    text = markdown(reply.message.text, most=3_000)
    return text or f"I have no answer to that. What I can be told:\n\n{commands}"


def _sentence(text: str, *, capital: bool = True) -> str:
    text = text.strip()
    text = (text[:1].upper() + text[1:]) if capital else text
    return text if not text or text[-1] in ".!?…" else f"{text}."
