"""Changes to a text by exact replacement: each lands in one place or none of them is made."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher, get_close_matches

from mergewright.agent.filetext import clip_line
from mergewright.domain.errors import ToolError

_LINE_END = r"(?:\r\n|(?<!\r)\n)"


@dataclass(frozen=True, slots=True)
class Edit:
    """Put `new` where `old` stands: in one place, or with `all` in every place."""

    old: str
    new: str
    all: bool = False


def apply(text: str, edits: Sequence[Edit], path: str) -> str:
    """Make all edits, one after the other, or raise ToolError and make none.

    An old text with plain line ends also matches lines that end in CRLF, and the new text is then written with
    the line ends of the place where it lands.
    """
    for number, edit in enumerate(edits, 1):
        which = f"edit {number} of {len(edits)}: " if len(edits) > 1 else ""
        if not edit.old:
            raise ToolError(f"{which}the old text is empty", hint="quote the lines to replace, or use `write`")
        if edit.old == edit.new:
            raise ToolError(f"{which}old and new text are the same")
        spans = _places(text, edit.old)
        if not spans:
            raise ToolError(f"{which}the old text is not in `{path}`", hint=_nearest(text, edit.old))
        if len(spans) > 1 and not edit.all:
            lines = ", ".join(str(text.count("\n", 0, start) + 1) for start, _ in spans[:20])
            raise ToolError(
                f"{which}the old text stands in {len(spans)} places of `{path}`, at lines {lines}",
                hint="quote more lines around the one you mean, or set `all`",
            )
        text = _put(text, spans, edit)
    return text


def _places(text: str, old: str) -> list[tuple[int, int]]:
    """Where the old text stands, places that overlap included, so that none is taken for the only one."""
    if "\r" in old or "\n" not in old or "\r\n" not in text:
        # Much faster than an expression, in a large file.
        found, at = [], text.find(old)
        while at >= 0:
            found.append((at, at + len(old)))
            at = text.find(old, at + 1)
        return found
    escaped = _LINE_END.join(re.escape(line) for line in old.split("\n"))
    return [match.span(1) for match in re.finditer(f"(?=({escaped}))", text)]


def _put(text: str, spans: list[tuple[int, int]], edit: Edit) -> str:
    parts: list[str] = []
    done = 0
    for start, end in spans:
        if start < done:
            continue
        new = edit.new
        if "\r" not in edit.old and _line_end_at(text, start, end) == "\r\n":
            new = re.sub(r"(?<!\r)\n", "\r\n", new)
        parts += [text[done:start], new]
        done = end
    return "".join([*parts, text[done:]])


def _line_end_at(text: str, start: int, end: int) -> str:
    inside = text.find("\n", start, end)
    at = inside if inside >= 0 else text.find("\n", end)
    at = at if at >= 0 else text.rfind("\n", 0, start)
    return "\r\n" if at > 0 and text[at - 1] == "\r" else "\n"


def _nearest(text: str, old: str) -> str:
    """Show the lines that the old text was probably meant to be."""
    lines = text.replace("\r\n", "\n").split("\n")
    wanted = [line.strip() for line in old.replace("\r\n", "\n").strip("\n").split("\n")]
    stripped = [line.strip() for line in lines]
    span = len(wanted)
    first = next((line for line in wanted if line), "")
    for at in (n for n, line in enumerate(stripped) if line == wanted[0]):
        if stripped[at : at + span] == wanted:
            shown = "\n".join(clip_line(line, 200) for line in lines[at : at + min(span, 30)])
            return f"it differs in white space only from lines {at + 1}-{at + span}, which are:\n{shown}"
    close = get_close_matches(first, set(stripped), n=1, cutoff=0.6) if first and len(lines) <= 5000 else []
    if not close and first not in stripped:
        return "read the file again: nothing like its first line is there"
    at = max(0, stripped.index(close[0] if close else first) - wanted.index(first))
    end = min(len(lines), at + min(span, 20) + 2)
    shown = "\n".join(clip_line(line, 200) for line in lines[at:end])
    return f"the nearest lines are {at + 1}-{end}:\n{shown}"


def short_diff(before: str, after: str, *, limit: int = 60) -> str:
    """What changed, as a unified diff of at most so many lines, with two lines around each change."""
    old, new = before.replace("\r\n", "\n").split("\n"), after.replace("\r\n", "\n").split("\n")
    low = 0
    while low < min(len(old), len(new)) and old[low] == new[low]:
        low += 1
    high = 0
    while high < min(len(old), len(new)) - low and old[-1 - high] == new[-1 - high]:
        high += 1
    # Only the part between the first and the last change is compared, or a long file would cost seconds.
    skipped = max(0, low - 2)
    old, new = old[skipped : len(old) - max(0, high - 2)], new[skipped : len(new) - max(0, high - 2)]
    out: list[str] = []
    for group in SequenceMatcher(None, old, new, autojunk=False).get_grouped_opcodes(2):
        a, b = group[0][1], group[0][3]
        out.append(f"@@ -{a + skipped + 1},{group[-1][2] - a} +{b + skipped + 1},{group[-1][4] - b} @@")
        for tag, a1, a2, b1, b2 in group:
            if tag == "equal":
                out += [f" {clip_line(line, 300)}" for line in old[a1:a2]]
                continue
            out += [f"-{clip_line(line, 300)}" for line in old[a1:a2]]
            out += [f"+{clip_line(line, 300)}" for line in new[b1:b2]]
    if len(out) > limit:
        out = [*out[:limit], f"[… {len(out) - limit} more lines of the diff]"]
    return "\n".join(out)
