"""What may stand in a text that we write to a forge: no order to it, and no mark but our own."""

import re

from mergewright.domain.errors import WrongUse

NOTE_LIMIT = 1_000_000
DESCRIPTION_LIMIT = 1_048_576
TITLE_LIMIT = 255
CUT = "\n\n*The rest was cut: the text is longer than the forge takes.*"

_MARK = re.compile(r"[A-Za-z0-9]+(?:[._:/-][A-Za-z0-9]+)*")
_MARKED = re.compile(r"<!-- mergewright:(?P<mark>\S+) -->")
_ANY_MARK = re.compile(r"<(?=!--\s*mergewright\s*:)", re.IGNORECASE)
# GitLab ends a quick action's name at a blank or the end of the line, so `/usr/bin` is none. Letters are Unicode's,
# because GitLab ignores case and Unicode folds `ſ` to `s`.
_QUICK_ACTION = re.compile(r"(?P<blank>\s*)/(?=\w[\w-]*(?![\w/.-]))")
_OPENING = re.compile(r"```[^`]*")
_FENCE = re.compile(r" {0,3}(?P<fence>`{3,}(?=[^`]*$)|~{3,})(?P<info>.*)")
# GitLab reads a fence inside HTML, a block quote or front matter differently from version to version.
_UNSURE = re.compile(r"\s*(?:<|>|---|\+\+\+|;;;)")


def marked(text: str, mark: str) -> str:
    """The text of a note, made safe, with our mark hidden at its end."""
    if len(mark) > 100 or not _MARK.fullmatch(mark):
        raise WrongUse(f"`{mark}` is no mark", hint="letters and digits, joined by single `.`, `_`, `:`, `/` or `-`")
    end = f"\n\n<!-- mergewright:{mark} -->"
    return safe_text(text, limit=NOTE_LIMIT - len(end)) + end


def mark_of(body: str) -> str | None:
    """The mark at the end of a note; worth nothing in a note that somebody else wrote."""
    match = _MARKED.fullmatch(body.rstrip().rpartition("\n")[2])
    return match["mark"] if match else None


def safe_text(text: str, *, limit: int) -> str:
    """The text as it reads, but without quick actions and without anything that looks like a mark of ours."""
    text = text.replace("\r\n", "\n").replace("\r", "\n").replace("\0", "\N{REPLACEMENT CHARACTER}")
    text = text.encode("utf-8", "replace").decode()
    budget = min(limit, len(text))
    while len(safe := _disarmed(_cut(text, budget))) > limit:
        budget -= len(safe) - limit
    return safe


def safe_title(title: str) -> str:
    """A title in one line, no longer than the forge takes."""
    line = " ".join(title.replace("\0", " ").split()).encode("utf-8", "replace").decode()
    return line if len(line) <= TITLE_LIMIT else line[: TITLE_LIMIT - 1].rstrip() + "…"


def _cut(text: str, limit: int) -> str:
    if len(text) <= limit:
        return text
    kept = text[: max(limit - len(CUT), 0)]
    whole_lines = kept.rpartition("\n")[0]
    return (whole_lines if len(whole_lines) > len(kept) // 2 else kept) + CUT


def _disarmed(text: str) -> str:
    lines = _ANY_MARK.sub("&lt;", text).split("\n")
    code = _lines_of_code(lines)
    safe = [line if number in code else _line(line) for number, line in enumerate(lines)]
    return "\n".join(safe) + _closing(lines)


def _line(line: str) -> str:
    match = _QUICK_ACTION.match(line)
    return f"{match['blank']}\\{line[match.end() - 1 :]}" if match else line


def _lines_of_code(lines: list[str]) -> set[int]:
    """The lines that every GitLab shows as code: in a plain closed fence, with nothing doubtful before it."""
    code: set[int] = set()
    number = 0
    while number < len(lines):
        if _UNSURE.match(lines[number]):
            break
        if _FENCE.fullmatch(lines[number]):
            end = next((n for n in range(number + 1, len(lines)) if "```" in lines[n]), None)
            if end is None or lines[end] != "```" or not _OPENING.fullmatch(lines[number]):
                break
            code.update(range(number + 1, end))
            number = end
        number += 1
    return code


def _closing(lines: list[str]) -> str:
    """What closes a fence that the text leaves open, so that the mark after it stays hidden."""
    fence = ""
    for line in lines:
        match = _FENCE.fullmatch(line)
        if match and not fence:
            fence = match["fence"]
        elif match and fence and match["fence"].startswith(fence) and not match["info"].strip():
            fence = ""
    return f"\n{fence}" if 0 < len(fence) < 100 else ""
