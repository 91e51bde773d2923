"""Globs of paths and names, as GitLab's files of review rules have them."""

from collections.abc import Sequence

LONGEST = 300


def problem(pattern: str) -> str:
    """Say what is wrong with a glob; empty when nothing is."""
    from wcmatch import _wcparse, glob

    if not pattern.strip("!"):
        return "a glob is empty"
    if len(pattern) > LONGEST:
        return f"a glob is longer than {LONGEST} characters"
    try:
        glob.compile(pattern.removeprefix("!"), flags=_flags(), limit=1000)
    except (_wcparse.PatternLimitException, ValueError) as error:
        return f"the glob `{pattern[:80]}` cannot be read: {error}"
    return ""


def matches(path: str, patterns: Sequence[str]) -> bool:
    """Whether a path is meant: by one of the globs, and by none that begins with `!`.

    `*.rb` is the root only, `**/*.rb` anywhere, `{a,b}` either; globs with `!` alone mean everything else.
    """
    from wcmatch import glob

    wanted = [pattern for pattern in patterns if not pattern.startswith("!")]
    unwanted = [pattern[1:] for pattern in patterns if pattern.startswith("!")]
    flags = _flags()
    if unwanted and glob.globmatch(path, unwanted, flags=flags):
        return False
    return bool(glob.globmatch(path, wanted, flags=flags)) if wanted else bool(unwanted)


def _flags() -> int:
    from wcmatch import glob

    return int(glob.GLOBSTAR | glob.BRACE | glob.DOTGLOB | glob.CASE)
