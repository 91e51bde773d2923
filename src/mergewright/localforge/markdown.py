"""Shows what people write as they meant it: Markdown without HTML, pictures or anything that acts."""

import re
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from mergewright.localforge.folds import add_folds, find_folds

if TYPE_CHECKING:
    from collections.abc import Sequence

    from markdown_it import MarkdownIt
    from markdown_it.token import Token
    from markdown_it.utils import OptionsDict

LONGEST = 100_000
"""Characters that are set as Markdown; longer text is shown as it is."""
CODE = frozenset({"fence", "code_block"})
_SUB = re.compile(r"</?sub>")
_TASK = re.compile(r"<li>\[([ xX])\] ")


@cache
def _parser() -> "MarkdownIt":
    # Here, not above: a forge that nobody looks at never needs it.
    from markdown_it import MarkdownIt

    # Pictures would tell another machine who looks, and when.
    parser = MarkdownIt("commonmark", {"html": False, "breaks": True}).enable(["table", "strikethrough"])
    parser.disable("image")
    rules: dict[str, Any] = parser.renderer.rules  # type: ignore[attr-defined]
    usual = rules["fence"]

    def fence(tokens: "Sequence[Token]", index: int, options: "OptionsDict", env: dict[str, Any]) -> str:
        if env["suggested"] and tokens[index].info.startswith("suggestion"):
            return ""
        return str(usual(tokens, index, options, env))

    rules["fence"] = fence
    return add_folds(parser)


def markdown(text: str | None, *, suggested: bool = False) -> Markup:
    """Give a text as HTML; HTML in it is shown as text, but for folds, and hidden comments are not shown.

    What a text suggests is left out where it is shown as a change already.
    """
    text = text or ""
    if len(text) > LONGEST:
        return Markup('<div class="text">{}</div>').format(text)
    text = re.sub(r"\r\n?", "\n", _seen(text))
    folds = find_folds(text, _quoted(text, CODE)) if "<details>" in text else {}
    html = _parser().render(text, {"folds": folds, "suggested": suggested})
    html = _TASK.sub(lambda task: f'<li class="task">{"☐" if task[1] == " " else "☑"} ', html)
    return Markup(html)  # noqa: S704 - the parser escapes every piece of the text


def _seen(text: str) -> str:
    """The text without its hidden comments; one that never ends is shown."""
    kept, at = [], 0
    while (start := text.find("<!--", at)) >= 0 and (end := text.find("-->", start + 4)) >= 0:
        kept.append(text[at:start])
        at = end + 3
    return _SUB.sub("", "".join([*kept, text[at:]]))


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
    return _quoted(text.replace("\r", " "), CODE | {"html_block"})


def _quoted(text: str, types: frozenset[str]) -> frozenset[int]:
    blocks = [token.map for token in _blocks().parse(text) if token.type in types]
    return frozenset(number for block in blocks if block for number in range(*block))


@cache
def _blocks() -> "MarkdownIt":
    from markdown_it import MarkdownIt

    return MarkdownIt("commonmark").disable("inline")
