"""What a review is made of: findings with their fate, the verdict on them, and the record that is kept."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Literal, Protocol

from mergewright.domain.sandbox import Sandbox
from mergewright.domain.session import JSON


class Severity(StrEnum):
    """GitLab Code Quality's scale, the mildest first."""

    INFO = "info"
    MINOR = "minor"
    MAJOR = "major"
    CRITICAL = "critical"
    BLOCKER = "blocker"

    @property
    def rank(self) -> int:
        """0 for `info` up to 4 for `blocker`; the names themselves do not sort."""
        return list(Severity).index(self)


class FindingState(StrEnum):
    """What became of a finding."""

    OPEN = "open"
    FIXED = "fixed"
    DISMISSED = "dismissed"
    OBSOLETE = "obsolete"
    DISPUTED = "disputed"

    @property
    def standing(self) -> bool:
        """Whether it still counts against the merge request: open or disputed."""
        return self in {FindingState.OPEN, FindingState.DISPUTED}


class Verdict(StrEnum):
    """What a review says of a merge request, in GitLab's reviewer states."""

    APPROVED = "approved"
    REVIEWED = "reviewed"
    REQUESTED_CHANGES = "requested_changes"

    @property
    def shown(self) -> str:
        """As people read it: Approved, Commented or Changes requested."""
        return {"approved": "Approved", "reviewed": "Commented"}.get(self.value, "Changes requested")


class ReviewerStatus(StrEnum):
    """Where the reviewer stands on a merge request."""

    NONE = "none"
    REVIEWING = "reviewing"
    APPROVED = "approved"
    COMMENTED = "commented"
    CHANGES_REQUESTED = "changes_requested"
    OVERRIDDEN = "overridden"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Place:
    """Lines of one side of a diff: `new` counts in the head's file, `old` in the base's; line 0 is the file itself."""

    path: str
    line: int = 0
    """The last line, counted from 1."""
    start_line: int = 0
    """The first line; the same as `line` for one line."""
    side: Literal["new", "old"] = "new"

    @property
    def lines(self) -> range:
        return range(self.start_line or self.line, self.line + 1)


@dataclass(frozen=True, slots=True)
class Proof:
    """A command, with the files it needs, that fails on the reviewed head because of the defect."""

    command: str
    files: Mapping[str, str] = field(default_factory=dict)
    """Path in the work tree to text: written before the command runs, never pushed."""
    expect: str = ""
    """What the output must contain for the failure to be the one that was claimed."""
    exit_code: int | None = None
    output: str = ""
    """The end of what the command printed when it was run last."""
    sha: str = ""
    """The head it ran on last."""
    holds: bool = False
    """Whether it failed there, for the reason given."""
    first_exit_code: int | None = None
    """What it ended with on the first head that it ran on; None until it has run on another one."""


CATEGORIES = (
    "correctness",
    "security",
    "reliability",
    "performance",
    "tests",
    "maintainability",
    "requirement",
    "injection",
)


@dataclass(frozen=True, slots=True)
class Candidate:
    """What a model or an analyzer claims, before anybody has checked that the code it names is there."""

    path: str
    """In the head's tree, or in the base's for `side="old"`."""
    line: int
    """The last line it speaks of, counted from 1; 0 for the whole file."""
    severity: Severity
    category: str
    title: str
    body: str
    start_line: int = 0
    """The first line; 0 means `line`."""
    side: Literal["new", "old"] = "new"
    quote: str = ""
    """The code it speaks of; when given, it must stand there word for word, blanks at line ends aside."""
    suggestion: str | None = None
    proof: Proof | None = None
    evidence: str = ""
    confidence: float = 1.0
    source: str = "model"
    rule: str = ""
    instruction: str = ""
    suppressed: str = ""
    """The comment in the code that silences it: it is told in the summary, and opens no thread."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One claim about the code, and what became of it."""

    id: str
    """Empty until it is kept."""
    fingerprint: str
    """The same for the same claim about the same code, however worded and wherever it has moved."""
    place: Place
    """On the head of the review that saw it last."""
    severity: Severity
    category: str
    """One of `CATEGORIES`."""
    title: str
    body: str
    quote: str = ""
    """The lines it speaks of, as they stood when it was made."""
    suggestion: str | None = None
    """What should stand in place of the lines; empty text takes them out, None offers nothing."""
    proof: Proof | None = None
    evidence: str = ""
    """Why it is believed: what the sceptical pass or the analyzer said."""
    confidence: float = 1.0
    source: str = "model"
    """`model`, or the analyzer that reported it."""
    rule: str = ""
    """The analyzer's rule."""
    instruction: str = ""
    """The name of the custom instruction it was made under."""
    late: bool = False
    """Noticed on lines that had not changed since an earlier review: it can never block."""
    state: FindingState = FindingState.OPEN
    answer: str = ""
    """What the last review answered for it, with its evidence; or who dismissed it and why."""
    discussion_id: str = ""
    """Its thread on the forge; empty for one that stands in the summary only."""
    first_round: int = 1
    first_sha: str = ""
    last_sha: str = ""
    """The head on which it was looked at last."""


def heed(kept: Finding, given: Finding) -> Finding:
    """Let stand what a person decided while a review that knew nothing of it was still at work."""
    undone = {FindingState.DISMISSED: set(FindingState), FindingState.DISPUTED: {FindingState.OPEN}}
    if given.state is kept.state or given.state not in undone.get(kept.state, ()):
        return given
    return replace(given, state=kept.state, answer=kept.answer)


class Seen(StrEnum):
    """How much of a file the reviewer was shown."""

    REVIEWED = "reviewed"
    PARTLY = "partly"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Coverage:
    """What was seen of one file, in changed lines, and why not all of it."""

    path: str
    seen: Seen
    changed: int
    shown: int
    reason: str = ""
    """`generated`, `lock file`, `vendored`, `binary`, `excluded`, `over budget`, `failed: …`; empty when reviewed."""
    excused: bool = False
    """Whether nobody expected it to be read: it does not stand in the way of an approval."""


@dataclass(frozen=True, slots=True)
class Review:
    """One look of the reviewer at one head of a merge request."""

    id: str
    """Empty until it is kept."""
    session: str
    project: str
    iid: int
    round: int
    """1 for the first review of the merge request."""
    head_sha: str
    base_sha: str = ""
    start_sha: str = ""
    status: ReviewerStatus = ReviewerStatus.REVIEWING
    verdict: Verdict | None = None
    reason: str = ""
    """Why the verdict is what it is, in a sentence; the error for a failed one."""
    error_code: str = ""
    author: str = ""
    """The username of the merge request's author."""
    explicit: bool = False
    """A person asked for it, which grants one more round past the limit."""
    coverage: tuple[Coverage, ...] = ()
    dropped: Mapping[str, int] = field(default_factory=dict)
    """How many candidates were not posted, by reason."""
    policy: Mapping[str, JSON] = field(default_factory=dict)
    """The policy in force."""
    summary_note: int = 0
    gate: str = ""
    """Which block the forge enforces, in a sentence."""
    model: str = ""
    tokens: int = 0
    created_at: float = 0.0
    ended_at: float = 0.0


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One line of the audit: it is never changed, and carries the hash of the line before."""

    at: float
    actor: str
    """A username; `reviewer:NAME` for the reviewer itself."""
    action: str
    """`review`, `finding`, `override`, `dismiss`, `dispute`, `concede`, `refuse`, `policy`, `handover`."""
    project: str
    iid: int = 0
    head_sha: str = ""
    finding: str = ""
    reason: str = ""
    details: Mapping[str, JSON] = field(default_factory=dict)
    policy: Mapping[str, JSON] = field(default_factory=dict)
    seq: int = 0
    previous: str = ""
    hash: str = ""


class Analyzer(Protocol):
    """A program that reports findings on files."""

    name: str

    def reads(self, path: str) -> bool:
        """Whether it can say anything about a file of this name."""
        ...

    async def run(self, sandbox: Sandbox, paths: Sequence[str]) -> Sequence[Candidate]:
        """Run it in the sandbox on files of the work tree; raises MergewrightError when it gave no usable report."""
        ...


class ReviewStore(Protocol):
    """Reviews, findings, policies and the audit."""

    async def open_review(self, review: Review) -> Review:
        """Keep a new review; a session that has one for that head already gets it back."""
        ...

    async def save_review(self, review: Review, *audit: AuditEntry) -> None:
        """Write a review's new state and what is to be audited, in one transaction."""
        ...

    async def review(self, review_id: str) -> Review:
        """Raises NotFound."""
        ...

    async def reviews(
        self, project: str = "", iid: int = 0, *, since: float = 0.0, until: float = 0.0, limit: int = 1000
    ) -> Sequence[Review]:
        """A merge request's reviews, a project's, or all; oldest first."""
        ...

    async def findings(self, project: str, iid: int) -> Sequence[Finding]:
        """Every finding ever made on a merge request, oldest first."""
        ...

    async def finding(self, finding_id: str) -> tuple[str, int, Finding]:
        """A finding with the project and iid it belongs to; raises NotFound."""
        ...

    async def save_findings(
        self, project: str, iid: int, findings: Sequence[Finding], *audit: AuditEntry
    ) -> Sequence[Finding]:
        """Keep findings, new ones under a new id, and what is to be audited, in one transaction."""
        ...

    async def part(self, review_id: str, key: str) -> JSON | None:
        """What a killed review had worked out already; None when it had not."""
        ...

    async def keep_part(self, review_id: str, key: str, value: JSON) -> None: ...

    async def settings(self, scope: str) -> Mapping[str, JSON]:
        """The policy set at `` (the organisation), `group/sub` or `group/project`; only what is set there."""
        ...

    async def change_settings(self, scope: str, values: Mapping[str, JSON], audit: AuditEntry) -> None: ...

    async def audit(self, entry: AuditEntry) -> AuditEntry: ...

    async def audit_entries(
        self, project: str = "", iid: int = 0, *, since: float = 0.0, until: float = 0.0, after: int = 0
    ) -> Sequence[AuditEntry]: ...
