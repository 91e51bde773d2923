"""Shows what people write as they meant it: Markdown without HTML, pictures or anything that acts."""

import re
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from markupsafe import Markup

if TYPE_CHECKING:
    from markdown_it import MarkdownIt

LONGEST = 100_000
"""Characters that are set as Markdown; longer text is shown as it is."""
_UNSEEN = re.compile(r"<!--.*?-->|</?sub>", re.DOTALL)
_TASK = re.compile(r"<li>\[([ xX])\] ")


@cache
def _parser() -> "MarkdownIt":
    # Here, not above: a forge that nobody looks at never needs it.
    from markdown_it import MarkdownIt

    # Pictures would tell another machine who looks, and when.
    return MarkdownIt("commonmark", {"html": False, "breaks": True}).enable(["table", "strikethrough"]).disable("image")


def markdown(text: str | None) -> Markup:
    """Give a text as HTML; whatever HTML it holds itself is shown as text, hidden comments are not shown."""
    text = text or ""
    if len(text) > LONGEST:
        return Markup('<div class="text">{}</div>').format(text)
    html = _parser().render(_UNSEEN.sub("", text))
    html = _TASK.sub(lambda task: f'<li class="task">{"☐" if task[1] == " " else "☑"} ', html)
    return Markup(html)  # noqa: S704 - the parser escapes every piece of the text


@dataclass(frozen=True, slots=True)
class Fence:
    """A fenced block of code: what stands behind its opening, and in it."""

    info: str
    content: str


def fences(text: str) -> list[Fence]:
    """The fenced blocks of a text; none of one that is too long."""
    if len(text) > LONGEST:
        return []
    return [Fence(token.info, token.content) for token in _blocks().parse(text) if token.type == "fence"]


def unread_lines(text: str) -> frozenset[int]:
    """The lines, counted from 0, that are code or HTML; of a text too long to tell, all of them."""
    if len(text) > LONGEST:
        return frozenset(range(text.count("\n") + 1))
    blocks = [
        token.map
        for token in _blocks().parse(text.replace("\r", " "))
        if token.type in {"fence", "code_block", "html_block"}
    ]
    return frozenset(number for block in blocks if block for number in range(*block))


@cache
def _blocks() -> "MarkdownIt":
    from markdown_it import MarkdownIt

    return MarkdownIt("commonmark").disable("inline")
