"""Source code as coloured lines: each line whole in itself, every character escaped."""

import time
from pathlib import PurePosixPath
from typing import Any

from markupsafe import Markup

LONGEST = 200_000
"""Characters that are coloured; longer files are shown plain."""
SECONDS = 1.0
"""After which the rest of a file is shown plain."""
LEXERS = {
    **dict.fromkeys(("py", "pyi"), "python"),
    **dict.fromkeys(("js", "mjs", "cjs", "jsx"), "javascript"),
    **dict.fromkeys(("ts", "tsx"), "typescript"),
    **dict.fromkeys(("yml", "yaml"), "yaml"),
    **dict.fromkeys(("sh", "bash"), "bash"),
    **dict.fromkeys(("c", "h"), "c"),
    **dict.fromkeys(("cc", "cpp", "cxx", "hpp"), "cpp"),
    **dict.fromkeys(("html", "htm"), "html"),
    **dict.fromkeys(("ini", "cfg"), "ini"),
    **{name: name for name in ("css", "go", "java", "json", "kotlin", "php", "sql", "swift", "toml", "xml", "diff")},
    "rb": "ruby",
    "rs": "rust",
    "kt": "kotlin",
    "cs": "csharp",
    "md": "markdown",
    "Makefile": "make",
    "Dockerfile": "docker",
}
"""The languages by a file's ending or name: a choice, because a file under review chooses its ending itself."""
CLASSES = (
    ("Token.Comment", "co"),
    ("Token.Keyword", "kw"),
    ("Token.Literal.String", "st"),
    ("Token.Literal.Number", "nu"),
    ("Token.Name.Function", "fu"),
    ("Token.Name.Class", "fu"),
    ("Token.Name.Decorator", "de"),
    ("Token.Name.Tag", "kw"),
    ("Token.Name.Attribute", "fu"),
    ("Token.Generic.Heading", "kw"),
    ("Token.Generic.Subheading", "kw"),
)


def highlighted(path: str, text: str) -> list[Markup]:
    """Give a file's lines as HTML."""
    # As the lexers read it: what they take must fit what is left.
    text = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    lexer = _lexer(path) if len(text) <= LONGEST else None
    if lexer is None:
        return [Markup.escape(line) for line in _lines(text)]
    until = time.monotonic() + SECONDS
    lines: list[list[Markup]] = [[]]
    taken = 0
    for kind, piece in lexer.get_tokens(text):
        name = _class(str(kind))
        for number, part in enumerate(piece.split("\n")):
            if number:
                lines.append([])
            if part:
                lines[-1].append(_span(name, part))
        taken += len(piece)
        if time.monotonic() > until:
            break
    for number, part in enumerate(text[taken:].split("\n")):
        if number:
            lines.append([])
        lines[-1].append(Markup.escape(part))
    whole = [Markup("").join(line) for line in lines]
    return whole[:-1] if text.endswith("\n") or not text else whole


def _lines(text: str) -> list[str]:
    lines = text.split("\n")
    return lines[:-1] if lines[-1] == "" else lines


def _lexer(path: str) -> Any:
    name = PurePosixPath(path).name
    known = LEXERS.get(name) or LEXERS.get(name.rpartition(".")[2].lower())
    if known is None:
        return None
    # Here, not above: only who opens a file needs it.
    from pygments.lexers import get_lexer_by_name  # type: ignore[import-untyped]

    return get_lexer_by_name(known, stripnl=False, ensurenl=False)


def _class(kind: str) -> str:
    return next((name for start, name in CLASSES if kind.startswith(start)), "")


def _span(name: str, text: str) -> Markup:
    return Markup('<span class="{}">{}</span>').format(name, text) if name and text.strip() else Markup.escape(text)
