"""Reads the issue with its discussion, each text fenced as data with who wrote it."""

from collections.abc import Mapping

from mergewright.agent.fence import fence, without_hidden
from mergewright.domain.errors import Conflict, Forbidden, WrongUse
from mergewright.domain.forge import AccessLevel, Note, User
from mergewright.domain.plain import clip
from mergewright.domain.session import JSON
from mergewright.flows.world import Done, Work

MOST_TEXT = 24_000
"""Characters of the description; the same again for the discussion."""


async def step(work: Work, arguments: Mapping[str, JSON]) -> Done:
    """Give title and text, and `asked`, the words with which a person wanted it worked on, if there were any.

    System and internal notes are left out, and outsiders are marked as such.

    What the model reads it may repeat where more people read: a stranger's words could ask it to.
    """
    subject = work.session.subject
    if subject.kind != "#":
        raise WrongUse(f"`{subject}` is no issue", hint="this flow starts from an issue, written `group/project#7`")
    forge = work.world.forge
    issue = await forge.issue(subject.project, subject.iid)
    if issue.state == "closed":
        raise Conflict(f"`{subject}` is closed", hint="reopen it if there is still something to do")
    visibility = (await forge.project(subject.project)).visibility if issue.confidential else "private"
    if visibility != "private":
        raise Forbidden(
            f"`{subject}` is confidential, and a merge request in this {visibility} project is not",
            hint="work on it in a private project",
        )
    discussions = await forge.discussions(subject)
    levels: dict[int, AccessLevel] = {}

    async def standing(user: User) -> str:
        if user.id not in levels:
            levels[user.id] = await forge.access_level(subject.project, user.id)
        if levels[user.id] >= AccessLevel.DEVELOPER:
            return "a developer of the project"
        return "a member of the project" if levels[user.id] > AccessLevel.MINIMAL else "an outsider"

    body = f"{issue.title}\n\n{clip(issue.description, MOST_TEXT)}"
    parts = [fence(f"issue {subject.iid}, by {issue.author.username}, {await standing(issue.author)}", body)]
    said = [note for thread in discussions for note in thread.notes if not note.system and note.body.strip()]
    notes = [note for note in said if not note.internal]
    for note in _newest(notes):
        label = f"note by {note.author.username}, {await standing(note.author)}"
        parts.append(fence(label, note.body))
    left_out = len(notes) - (len(parts) - 1)
    if left_out:
        parts.insert(1, f"({left_out} older notes are left out.)")
    if len(notes) < len(said):
        parts.append("(Internal notes of the team are left out.)")
    await work.say(f"read {subject}: {issue.title}")
    goal = without_hidden(work.session.goal)[0].strip()
    return Done(
        {
            "title": issue.title,
            # Without words of their own, a session's goal is the issue's name.
            "asked": goal if goal != str(subject) else None,
            "text": f"The issue to work on is {subject}.\n" + "\n".join(parts),
            "web_url": issue.web_url,
            "state": issue.state,
            "notes": len(notes),
        }
    )


def _newest(notes: list[Note]) -> list[Note]:
    """Keep the newest notes that fit, in their order."""
    kept: list[Note] = []
    room = MOST_TEXT
    for note in reversed(notes):
        room -= len(note.body)
        if room < 0:
            break
        kept.append(note)
    return kept[::-1]
