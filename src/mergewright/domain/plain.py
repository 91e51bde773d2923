"""Makes words of a model or a stranger harmless where GitLab would read them as more than words."""

import re

_HIDDEN = re.compile(
    "[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\U000e0000-\U000e007f]"
)
_SPAN = re.compile(r"(?<!`)(`+)(?!`)(.+?)(?<!`)\1(?!`)")
_ADDRESS = re.compile(r"(?:https?|ftp)://[^\s`<>]+", re.IGNORECASE)
_CLOSING = re.compile(
    r"\b((?:clos|fix|resolv|implement)\w*:?)\s+(?=(?:issues?\s+)?(?:\S*[#!]\d|https?:|[A-Z][A-Z0-9_]+-\d))",
    re.IGNORECASE,
)
_SKIP_PIPELINE = re.compile(r"\[\s*(ci[ _-]skip|skip[ _-]ci|no[ _-]?ci|ci[ _-]no)\s*\]", re.IGNORECASE)
_TRAILER = re.compile(r"(?i)^(?:mergewright-[\w-]*|signed-off-by|co-authored-by|reviewed-by|changelog|acked-by)\s*:")
_MENTION = re.compile(r"(?<!\w)@(?=\w)")
_REFERENCE = re.compile(r"([#!&])(?=\d)")


def markdown(text: str, *, most: int = 20_000) -> str:
    """Keep prose, lists and code spans; take the force from mentions, references, links, HTML and quick actions.

    Every backtick that does not close on its own line is escaped, so that no line can open or shut
    what another line means.
    """
    lines = (_line(line) for line in clip(_HIDDEN.sub("", text), most).splitlines())
    return "\n".join(lines).strip()


def one_line(text: str, *, most: int = 300) -> str:
    """As `markdown`, on one line: for list items and table cells."""
    return markdown(" ".join(text.split()), most=most).replace("|", "\\|").replace("\n", " ")


def code(text: str, *, most: int = 200) -> str:
    """Give text as a code span that it cannot close."""
    flat = clip(" ".join(_HIDDEN.sub("", text).split()), most).replace("|", "¦")
    flat = _inert(flat)
    ticks = "`" * (max((len(run) for run in re.findall("`+", flat)), default=0) + 1)
    pad = " " if "`" in flat else ""
    return f"{ticks}{pad}{flat or ' '}{pad}{ticks}"


def title(text: str, *, most: int = 200) -> str:
    """Give a title on one line, without what would skip a pipeline, make it a draft of a draft or call somebody.

    GitLab closes issues by the words of a title too, and reads no Markdown there that could make them harmless.
    """
    flat = _SKIP_PIPELINE.sub(r"(\1)", " ".join(_HIDDEN.sub(" ", text).split()))
    flat = _MENTION.sub("@ ", _CLOSING.sub(r"\1 → ", flat))
    flat = re.sub(r"(?i)^(?:\[draft\]|\(draft\)|draft:)\s*", "", flat)
    return clip(flat, most) or "Untitled"


def commit_message(text: str, *, most: int = 4_000) -> str:
    """Give a commit message: no closing keywords, no trailers that it has no right to, no skipped pipeline."""
    plain = clip(_HIDDEN.sub("", text), most)
    plain = _SKIP_PIPELINE.sub(r"(\1)", _CLOSING.sub(r"\1 → ", plain))
    plain = _REFERENCE.sub(r"\1 ", plain)
    plain = _ADDRESS.sub(lambda match: f"<{match[0]}>", plain)
    lines = [line.rstrip() for line in plain.splitlines() if not _TRAILER.match(line.strip())]
    return "\n".join(lines).strip()


def clip(text: str, most: int) -> str:
    """Cut at a word, and show that something was cut."""
    if len(text) <= most:
        return text
    cut = text[: most - 1]
    return (cut[: cut.rfind(" ")] if " " in cut[most // 2 :] else cut).rstrip() + "…"


def _inert(text: str) -> str:
    """Break what GitLab and our own marks are looked for in raw text, code or not."""
    return _CLOSING.sub(r"\1 → ", text).replace("<!--", "<! --")


def _line(line: str) -> str:
    # Deeper than three spaces would be an indented code block, in which escapes are shown as they are.
    indent = min(len(line) - len(line.lstrip(" \t")), 3)
    parts, position, body = [], 0, line.strip()
    for match in _SPAN.finditer(body):
        parts.append(_prose(body[position : match.start()]))
        parts.append(code(match[2], most=len(body) + 1))
        position = match.end()
    parts.append(_prose(body[position:]))
    return " " * indent + re.sub(r"^([+*-]|\d+[.)])?(\s*)/", r"\1\2\\/", _join(parts))


def _prose(text: str) -> str:
    parts, position = [], 0
    for match in _ADDRESS.finditer(text):
        parts.append(_escape(text[position : match.start()]))
        parts.append(code(match[0], most=len(match[0]) + 1))
        position = match.end()
    parts.append(_escape(text[position:]))
    return _join(parts)


def _join(parts: list[str]) -> str:
    """Put parts together so that no two runs of backticks become one."""
    text = ""
    for part in parts:
        text += f" {part}" if text.endswith("`") and part.startswith("`") else part
    return text


def _escape(text: str) -> str:
    text = re.sub(r"([\\`@\[\]~%$!#^]|&(?=\d))", r"\\\1", text)
    text = re.sub(r"\b([A-Z][A-Z0-9_]+)-(?=\d)", r"\1\\-", text)
    return text.replace("<", "&lt;").replace(">", "&gt;")
