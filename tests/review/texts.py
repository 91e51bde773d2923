"""Diffs of texts, as git prints them, without starting git."""

import difflib
from collections.abc import Mapping, Sequence

from mergewright.review.diff import FileDiff, parse_diff

Files = Mapping[str, Sequence[str]]


def diff(
    before: Files, after: Files, *, renames: Mapping[str, str] | None = None, context: int = 3
) -> tuple[FileDiff, ...]:
    """Compare two trees of lines; `renames` maps a new path to the old one."""
    renames = renames or {}
    old_paths = set(before) - set(renames.values())
    parts: list[str] = []
    for path in sorted(old_paths | set(after)):
        old = renames.get(path, path)
        a, b = before.get(old), after.get(path)
        if (a is None and b is None) or (a == b and old == path):
            continue
        parts.append(f"diff --git a/{old} b/{path}\n")
        if a is None:
            parts.append("new file mode 100644\n")
        elif b is None:
            parts.append("deleted file mode 100644\n")
        elif old != path:
            parts.append(f"similarity index 90%\nrename from {old}\nrename to {path}\n")
        parts.append(f"index {'1' * 40}..{'2' * 40} 100644\n")
        names = ("/dev/null" if a is None else f"a/{old}", "/dev/null" if b is None else f"b/{path}")
        lines = difflib.unified_diff(list(a or ()), list(b or ()), *names, n=context, lineterm="")
        parts.extend(f"{line}\n" for line in lines)
    return parse_diff("".join(parts).encode())
