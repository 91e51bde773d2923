"""Names the files of a change that decide what runs where no sandbox of ours is."""

from collections.abc import Iterable
from fnmatch import fnmatchcase

IN_CI = (
    *("*.gitlab-ci.yml", "*.gitlab-ci.yaml", ".gitlab/*", ".ci/*", "ci/*", ".github/*", ".circleci/*", "jenkinsfile*"),
    *("*dockerfile*", "*containerfile*", "compose.y*ml", "*docker-compose*.y*ml", ".dockerignore", "*.tf"),
)
ON_A_DESK = (
    *(".husky/*", ".githooks/*", ".hooks/*", ".pre-commit-*", "lefthook*", ".lefthook*", ".gitmodules"),
    *(".gitattributes", ".envrc", ".devcontainer*", ".vscode/*", ".idea/*", ".npmrc", ".yarnrc*", ".yarn/*"),
)
FOR_AGENTS = (
    *("agents.md", "claude.md", "gemini.md", ".mergewright.yml", ".gitlab/duo/*", ".cursor*", ".claude/*", "mcp.json"),
)
PLACES = (
    ("This change alters what runs in CI", IN_CI),
    ("This change alters what runs on the machines of those who check it out", ON_A_DESK),
    ("This change alters what later agents are told to do", FOR_AGENTS),
)


def altered(paths: Iterable[str]) -> list[tuple[str, list[str]]]:
    """Give a sentence and the files that it is about, for each place where this change would make itself felt."""
    known = sorted(paths)
    found = [(sentence, [path for path in known if _fits(path, patterns)]) for sentence, patterns in PLACES]
    return [(sentence, files) for sentence, files in found if files]


def _fits(path: str, patterns: Iterable[str]) -> bool:
    """Whether a pattern fits the path from its root, or what lies below one of its folders."""
    # Some file systems take any case for the same.
    parts = path.lower().split("/")
    ends = ["/".join(parts[start:]) for start in range(len(parts))]
    return any(fnmatchcase(end, pattern) for end in ends for pattern in patterns)
