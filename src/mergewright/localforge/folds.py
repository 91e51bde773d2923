"""The one piece of HTML that notes may hold: `<details><summary>`, written on lines of its own."""

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from markdown_it import MarkdownIt
    from markdown_it.rules_block import StateBlock

_OPENS = re.compile(r"<details>(?:<summary>(?P<title>[^\n]{0,500}?)</summary>)?")
_SUMMARY = re.compile(r"<summary>(?P<title>[^\n]{0,500}?)</summary>")
_CLOSES = "</details>"
Folds = dict[int, tuple[int, int, str]]
"""By its first line: where a fold's content begins and its last line is, and its title."""


def find_folds(text: str, quoted: frozenset[int]) -> Folds:
    """The folds of a text that are closed again; a line that is code opens and closes nothing."""
    lines = text.split("\n")
    folds: Folds = {}
    opened: list[tuple[int, int, str]] = []
    for number, whole in enumerate(lines):
        line = whole.strip() if number not in quoted else ""
        if found := _OPENS.fullmatch(line):
            title, content = found["title"], number + 1
            if title is None and number + 1 < len(lines):
                below = _SUMMARY.fullmatch(lines[number + 1].strip())
                title, content = (below["title"], number + 2) if below else (None, content)
            opened.append((number, content, title or "Details"))
        elif line == _CLOSES and opened:
            first, content, title = opened.pop()
            folds[first] = (content, number, title)
    return folds


def add_folds(parser: "MarkdownIt") -> "MarkdownIt":
    """Teach a parser the folds that are in its environment."""
    parser.block.ruler.before("fence", "fold", _fold, {"alt": ["paragraph", "reference", "blockquote", "list"]})
    return parser


def _fold(state: "StateBlock", start: int, end: int, silent: bool) -> bool:
    folds: dict[int, Any] = state.env.get("folds", {})
    found = folds.get(start)
    if found is None or found[1] >= end:
        return False
    if silent:
        return True
    content, last, title = found
    state.push("details_open", "details", 1).map = [start, last + 1]
    state.push("summary_open", "summary", 1)
    inline = state.push("inline", "", 0)
    inline.content, inline.map, inline.children = title, [start, content], []
    state.push("summary_close", "summary", -1)
    parent, bound = state.parentType, state.lineMax
    state.parentType, state.lineMax = "details", last
    state.md.block.tokenize(state, content, last)
    state.parentType, state.lineMax = parent, bound
    state.push("details_close", "details", -1)
    state.line = last + 1
    return True
