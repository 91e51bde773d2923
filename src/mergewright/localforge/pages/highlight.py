"""Source code as coloured lines: each line whole in itself, every character escaped."""

import subprocess
import sys
from functools import lru_cache
from pathlib import PurePosixPath

from markupsafe import Markup

LONGEST = 200_000
"""Characters that are coloured; longer files are shown plain."""
SECONDS = 3.0
"""After which a file is shown plain."""
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
OPTIONS = "nowrap=True,classprefix=t-,stripnl=False,ensurenl=False,encoding=utf-8"


def highlighted(path: str, text: str) -> list[Markup]:
    """Give a file's lines as HTML."""
    # As the lexers read it: what comes back must have as many lines.
    text = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    plain = [Markup.escape(line) for line in text.removesuffix("\n").split("\n")] if text else []
    name = PurePosixPath(path).name
    language = LEXERS.get(name) or LEXERS.get(name.rpartition(".")[2].lower(), "")
    if not language or len(text) > LONGEST:
        return plain
    lines = _coloured(language, text)
    return list(lines) if len(lines) == len(plain) else plain


@lru_cache(maxsize=32)
def _coloured(language: str, text: str) -> tuple[Markup, ...]:
    """The lines as Pygments colours them; none where it cannot."""
    # In a process of its own: a file under review can be made to keep a lexer busy for hours.
    command = [sys.executable, "-I", "-m", "pygments", "-l", language, "-f", "html", "-O", OPTIONS]
    try:
        done = subprocess.run(command, input=text.encode(), capture_output=True, timeout=SECONDS, check=False)
    except subprocess.TimeoutExpired:
        return ()
    lines = done.stdout.decode().removesuffix("\n").split("\n") if not done.returncode else []
    return tuple(Markup(line) for line in lines)  # noqa: S704 - Pygments escapes every piece of the text
