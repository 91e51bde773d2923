"""References in Markdown: `#7`, `!12`, `group/project#7`, addresses, and the words that close an issue."""

import re

from mergewright.localforge.tables import Project

# Every repetition is bounded or cannot begin twice in the same run: a long text must not take long.
FULL_PATH = r"[\w.-]{1,255}(?:/[\w.-]{1,255}){1,20}"
PATH = rf"(?P<path>{FULL_PATH})?"
ISSUE = re.compile(rf"(?<![\w&/.-]){PATH}#(?P<iid>\d{{1,9}})\b|/(?P<web>{FULL_PATH})/-/issues/(?P<web_iid>\d{{1,9}})\b")
REFERENCE = rf"(?:(?:{FULL_PATH})?#\d{{1,9}}\b|https?://\S{{1,2000}}?/-/issues/\d{{1,9}}\b)"
CLOSING = re.compile(
    r"\b(?:clos(?:e[sd]?|ing)|fix(?:e[sd]|ing)?|resolv(?:e[sd]?|ing)|implement(?:s|ed|ing)?):?\s+"
    rf"(?:issues?\s+)?{REFERENCE}(?:(?:\s*,\s*and\s+|\s+and\s+|\s*,\s*)(?:issues?\s+)?{REFERENCE})*",
    re.IGNORECASE,
)
CODE = re.compile(r"```.*?(?:```|\Z)|`[^`\n]*`|<!--.*?(?:-->|\Z)", re.DOTALL)
DRAFT = re.compile(r"\A\s*(?:draft:|\[draft\]|\(draft\))\s*", re.IGNORECASE)


def issues_mentioned(text: str, project: Project) -> list[int]:
    """The iids of this project's issues that a text refers to, code and comments left out."""
    return _iids(CODE.sub(" ", text), project)


def issues_closed(text: str, project: Project) -> list[int]:
    """The iids of this project's issues that a text says it closes."""
    clean = CODE.sub(" ", text)
    return list(dict.fromkeys(iid for found in CLOSING.finditer(clean) for iid in _iids(found[0], project)))


def _iids(text: str, project: Project) -> list[int]:
    own = project.path_with_namespace.lower()
    found = []
    for match in ISSUE.finditer(text):
        path = match["web"] or match["path"] or own
        # An address carries the host before the project's path.
        if path.lower() == own or (match["web"] and path.lower().endswith(f"/{own}")):
            found.append(int(match["iid"] or match["web_iid"]))
    return list(dict.fromkeys(found))


def is_draft(title: str) -> bool:
    return DRAFT.match(title) is not None


def without_draft(title: str) -> str:
    """A title without its draft marks, however often they are repeated."""
    while DRAFT.match(title):
        title = DRAFT.sub("", title)
    return title


def task_completion(text: str | None) -> dict[str, int]:
    """How many check boxes a description has and how many are ticked."""
    boxes = re.findall(r"(?m)^[ \t]{0,100}(?:[-*+]|\d{1,9}[.)])[ \t]{1,100}\[([ xX~])\]\s", (text or "") + "\n")
    return {"count": len(boxes), "completed_count": sum(box in "xX" for box in boxes)}
