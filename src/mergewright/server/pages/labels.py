"""What the policy's names and the flows are called on pages, and what each decides."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from mergewright.server.pages.words import APPROVALS


@dataclass(frozen=True, slots=True)
class Label:
    """One name of the policy for people."""

    title: str
    says: str
    tighter: str
    """What a lower level may still do under a lock."""
    words: Mapping[str, str] = field(default_factory=dict)


LABELS: Mapping[str, Label] = {
    "request_changes": Label(
        "Request changes",
        "Whether a blocking finding requests changes; off, the reviewer only comments.",
        "it may only be turned on",
    ),
    "block_on": Label(
        "Block on", "The mildest severity that blocks a merge.", "it may only be a milder severity, which blocks more"
    ),
    "approval": Label(
        "Approval", "What the reviewer's approval is worth.", "it may only be worth more", words=APPROVALS
    ),
    "override_role": Label(
        "Who may override",
        "The role that dismisses findings and overrides requests for changes.",
        "it may only be a higher role",
    ),
    "on_failure": Label(
        "When a review fails",
        "Whether a review that failed blocks the merge.",
        "it may only be closed",
        words={"open": "A failed review blocks nothing.", "closed": "A failed review blocks the merge."},
    ),
    "auto_review": Label(
        "Review by itself", "Whether new merge requests are reviewed without being asked.", "it may only be turned on"
    ),
    "review_on_push": Label(
        "Review on push", "Whether a push to a reviewed merge request is reviewed again.", "it may only be turned on"
    ),
    "round_limit": Label(
        "Round limit", "Reviews with changes requested after which a person goes on.", "it may only be higher"
    ),
    "most_findings": Label(
        "Most findings",
        "Threads that one review may open; the mildest beyond that stand in the summary.",
        "it may only be higher",
    ),
    "exclude": Label(
        "Excludes", "Globs of paths that nobody reviews, one on each line.", "globs may only be taken out"
    ),
    "flows_off": Label("Flows", "Which flows may be started.", "flows may only be turned off"),
}
FLOWS: Mapping[str, str] = {
    "code_review": "Reviews merge requests",
    "developer": "From an issue to a draft merge request",
    "feedback": "Works the threads of a merge request in, and mends its failed pipelines",
    "software_development": "Works on a goal in a project or a merge request",
}
"""The flows that can be turned off by a click, and what each does."""
