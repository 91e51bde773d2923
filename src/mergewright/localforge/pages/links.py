"""References in what people write, as links: `#7`, `!12`, and addresses."""

import re

from markupsafe import Markup

_TAGS = re.compile(r"(<[^>]*>)")
_NAME = re.compile(r"<(/?)(\w+)")
_REFERENCE = re.compile(
    r"(?P<url>https?://(?:[^\s<>\"'&]|&amp;){1,2000})|(?<![\w&/#!.-])(?P<kind>[#!])(?P<iid>[1-9]\d{0,8})\b", re.ASCII
)
_AFTER = ".,;:!?)]}*_`"
"""What stands behind an address and is none of it."""
NOUNS = {"#": "issues", "!": "merge_requests"}
CLOSED = frozenset({"a", "code", "pre"})
"""Elements in which nothing becomes a link."""


def linked(html: Markup, here: str) -> Markup:
    """Make the references in a text links to pages of the project; the text is HTML that is safe already."""
    pieces: list[str] = []
    inside = 0
    for piece in _TAGS.split(str(html)):
        if found := _NAME.match(piece):
            if found[2] in CLOSED:
                inside += -1 if found[1] else 1
            pieces.append(piece)
        else:
            pieces.append(piece if inside else _REFERENCE.sub(lambda match: _link(match, here), piece))
    return Markup("".join(pieces))  # noqa: S704 - every piece came from HTML that is safe


def _link(match: re.Match[str], here: str) -> str:
    if match["url"]:
        url = match["url"].rstrip(_AFTER)
        rest = match["url"][len(url) :]
        return f'<a href="{url}" rel="nofollow noreferrer noopener">{url}</a>{rest}'
    return str(Markup('<a href="{}/-/{}/{}">{}</a>').format(here, NOUNS[match["kind"]], match["iid"], match[0]))
