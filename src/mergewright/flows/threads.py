"""What people want of a merge request: its open threads, each fenced as data with who wrote it."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from mergewright.agent.fence import fence
from mergewright.domain.errors import NotFound
from mergewright.domain.forge import AccessLevel, Discussion, Forge, User
from mergewright.domain.plain import clip
from mergewright.domain.session import Subject
from mergewright.flows.labels import label

_MARK = re.compile(r"\n*(<sub>[^\n]*</sub>\s*)?<!-- mergewright:\S+ -->\s*$")
MOST_TEXT = 8_000
"""Characters of one thread."""
MOST_THREADS = 30
"""Threads that one session works on; the others wait for the next."""


@dataclass(frozen=True, slots=True)
class Threads:
    """The threads that are worked on, and what a model reads of each."""

    kept: tuple[Discussion, ...]
    texts: tuple[str, ...]
    found: int
    """How many there were at first."""
    later: int
    """How many are too many for one session."""


async def open_threads(forge: Forge, subject: Subject, *, wanted: str = "") -> Threads:
    """Give the open threads, or the one that is named; what people without the role Developer opened is left out."""
    discussions = await forge.discussions(subject)
    threads = _named(discussions, wanted, str(subject)) if wanted else [one for one in discussions if _open(one)]
    levels: dict[int, AccessLevel] = {}

    async def level(user: User) -> AccessLevel:
        if user.id not in levels:
            levels[user.id] = await forge.access_level(subject.project, user.id)
        return levels[user.id]

    heard = [one for one in threads if await level(one.notes[0].author) >= AccessLevel.DEVELOPER]
    kept = heard[:MOST_THREADS]
    texts = []
    for number, thread in enumerate(kept, start=1):
        said = [note for note in thread.notes if not note.system and not note.internal]
        lines = [
            f"{note.author.username}: {_said(note.body)}"
            for note in said
            if await level(note.author) > AccessLevel.NONE
        ]
        texts.append(fence(f"thread {number}{_place(thread)}", clip("\n\n".join(lines), MOST_TEXT)))
    return Threads(tuple(kept), tuple(texts), len(threads), len(heard) - len(kept))


def _said(body: str) -> str:
    """Leave out of a note what is there for the forge alone."""
    return _MARK.sub("", body).rstrip()


def _open(thread: Discussion) -> bool:
    first = thread.notes[0]
    return first.resolvable and not first.resolved and not first.system and not first.internal


def _named(discussions: Sequence[Discussion], wanted: str, name: str) -> list[Discussion]:
    found = [one for one in discussions if one.id == wanted]
    if not found:
        raise NotFound(f"`{name}` has no thread `{wanted}`", hint="copy the id from the API, or leave it out")
    return found


def _place(thread: Discussion) -> str:
    """Say where a thread stands."""
    first = thread.notes[0]
    if not first.path:
        return ""
    return f", on {label(first.path)}" + (f" line {first.line}" if first.line else "")
