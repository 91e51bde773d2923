"""A line of a session's page: what it says, a short note beside it, and what folds out of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from mergewright.agent.filetext import clip_lines, plain

MOST = 20_000
"""Characters of one text on the page; the whole stands in the trace."""

Mood = Literal["", "good", "bad", "busy", "wait"]


@dataclass(frozen=True, slots=True)
class Block:
    """A text that folds out of a line."""

    look: Literal["text", "code", "diff"]
    text: str
    label: str = ""

    @property
    def lines(self) -> Sequence[tuple[str, str]]:
        """The lines of a diff, each with what it is."""
        return [(_SIGNS.get(line[:1], ""), line) for line in self.text.split("\n")]


_KINDS = frozenset({
    "answer", "check", "edit", "error", "finish", "forge", "message", "model", "plan", "progress", "prompt", "read",
    "run", "search", "status", "usage", "write",
})  # fmt: skip
_SIGNS = {"+": "add", "-": "del", "@": "hunk", "[": "hunk"}


@dataclass(frozen=True, slots=True)
class Told:
    """One line of the story."""

    tag: str
    """What kind of thing it is, in a word."""
    what: str
    note: str = ""
    mood: Mood = ""
    blocks: tuple[Block, ...] = ()
    href: str = ""
    fine: bool = False
    """Only for those who want to see everything."""
    open: bool = False
    """Shown unfolded."""

    @property
    def kind(self) -> str:
        """How it looks; a model can make up the name of a tool, but not how the page looks."""
        return self.tag if self.tag in _KINDS else ""


def shown(text: str) -> str:
    """Give a text as a person may read it: nothing hidden, nothing that moves, and not without end."""
    return clip_lines(plain(text), MOST)


def words(name: str) -> str:
    """Give a name of ours as words: `plan_approval_required` as `Plan approval required`."""
    return name.replace("_", " ").capitalize()


def link(address: str) -> str:
    """Give an address that a page may lead to; empty for what is none of the web's."""
    return address if address.startswith(("http://", "https://")) else ""
