"""How a merge request is reviewed on a forge: drafts, reviewer states, approvals, and what blocks a merge."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from mergewright.domain.forge import DiffRefs, Discussion, Forge, MergeRequest, Note, User
from mergewright.domain.session import Subject


@dataclass(frozen=True, slots=True)
class Position:
    """Where a diff note stands, as GitLab wants it: both numbers for an unchanged line, one for a changed one."""

    refs: DiffRefs
    old_path: str
    new_path: str
    old_line: int | None = None
    new_line: int | None = None
    start: "tuple[int | None, int | None] | None" = None
    """The first line's old and new number, for a range of lines."""
    whole_file: bool = False


@dataclass(frozen=True, slots=True)
class Reviewer:
    """Somebody who was asked to review, and how far they are."""

    user: User
    state: str
    """`unreviewed`, `review_started`, `reviewed`, `requested_changes`, `approved` or `unapproved`."""


@dataclass(frozen=True, slots=True)
class ApprovalRule:
    """A rule that must be met before a merge; an `any_approver` rule takes anybody's approval."""

    name: str
    rule_type: str
    approvals_required: int
    approved_by: tuple[str, ...] = ()
    """Usernames whose approval counts in it now."""
    users: tuple[str, ...] = ()
    """Usernames that the rule names itself."""
    approved: bool = False


@dataclass(frozen=True, slots=True)
class Approvals:
    """Who has approved a merge request, and what its rules say of that."""

    approved_by: tuple[User, ...] = ()
    rules: tuple[ApprovalRule, ...] = ()
    """Empty where the forge has no approval rules."""


@dataclass(frozen=True, slots=True)
class StatusCheck:
    """An external status check of a project: its answer for a commit blocks a merge."""

    id: int
    name: str
    external_url: str
    status: str = ""
    """`pending`, `passed` or `failed` for the head of the merge request that was asked about."""


@dataclass(frozen=True, slots=True)
class Gates:
    """What a forge can enforce for a project, as it was probed; nothing here is assumed."""

    native: bool
    """Requested changes block a merge, and approval rules are there: Premium or more."""
    status_checks: tuple[StatusCheck, ...] = ()
    """The project's external status checks; only Ultimate has any."""
    status_checks_must_pass: bool = False
    pipelines_must_succeed: bool = False
    """A failed commit status blocks."""
    discussions_must_be_resolved: bool = False


@dataclass(frozen=True, slots=True)
class CommitStatus:
    """A commit status, with who set it: anybody with the role Developer can set one of the same name."""

    name: str
    status: str
    author: str
    description: str = ""
    sha: str = ""


@dataclass(frozen=True, slots=True)
class DraftNote:
    """A note of ours that nobody else sees before it is published."""

    id: int
    note: str
    discussion_id: str = ""
    mark: str = ""
    """The mark hidden in it."""


class ReviewForge(Forge, Protocol):
    """What a forge must be able to do for a review; errors as with Forge.

    `body` texts are made safe by the adapter: no quick action of theirs runs, and no mark but ours stands in them.
    """

    async def versions(self, project: str, iid: int) -> Sequence[DiffRefs]:
        """The heads that a merge request has had, newest first."""
        ...

    async def reviewers(self, project: str, iid: int) -> Sequence[Reviewer]: ...

    async def ask_reviewer(self, project: str, iid: int, username: str) -> None:
        """Make a user a reviewer if they are none; the others stay, as far as the forge takes more than one."""
        ...

    async def ask_again(self, project: str, iid: int, reviewer: User) -> None:
        """Ask a reviewer to look again; their state becomes `unreviewed`."""
        ...

    async def approvals(self, project: str, iid: int) -> Approvals: ...

    async def gates(self, project: str, iid: int) -> Gates: ...

    async def draft_notes(self, project: str, iid: int) -> Sequence[DraftNote]: ...

    async def add_draft_note(
        self,
        project: str,
        iid: int,
        body: str,
        *,
        mark: str,
        position: Position | None = None,
        discussion_id: str = "",
        resolve: bool | None = None,
    ) -> DraftNote:
        """Write a draft once: where a draft of ours carries the mark already, that one is returned.

        Raises ForgeError for a position that the forge refuses.
        """
        ...

    async def drop_draft_note(self, project: str, iid: int, draft_id: int) -> None: ...

    async def publish_review(
        self, project: str, iid: int, *, state: Literal["reviewed", "requested_changes"] | None, note: str, mark: str
    ) -> None:
        """Publish all drafts with a summary and the reviewer's state, as one notification.

        A forge that cannot do it in one call is asked in several; each is looked for before it is made.
        """
        ...

    async def update_note(self, subject: Subject, note_id: int, body: str, *, mark: str) -> Note: ...

    async def reply(self, subject: Subject, discussion_id: str, body: str, *, mark: str) -> Note:
        """Answer in a thread once: where our answer with this mark stands already, that one is returned."""
        ...

    async def resolve(self, subject: Subject, discussion_id: str, *, resolved: bool) -> Discussion: ...

    async def approve(self, project: str, iid: int, *, sha: str) -> None:
        """Approve, if the head is still that commit; approving twice is once. Raises Conflict when the head moved."""
        ...

    async def unapprove(self, project: str, iid: int) -> None:
        """Take our approval back; without one nothing happens."""
        ...

    async def request_changes(self, project: str, iid: int) -> None:
        """Record our request for changes; it takes our approval back."""
        ...

    async def clear_request(self, project: str, iid: int) -> None:
        """Take our request for changes back without approving; without one nothing happens."""
        ...

    async def set_commit_status(
        self,
        project: str,
        sha: str,
        *,
        state: Literal["pending", "running", "success", "failed"],
        name: str,
        description: str,
        target_url: str = "",
        ref: str = "",
        pipeline_id: int = 0,
    ) -> None:
        """Set a commit's status; a status that stands already as it should is left alone."""
        ...

    async def commit_statuses(self, project: str, sha: str) -> Sequence[CommitStatus]: ...

    async def answer_status_check(
        self, project: str, iid: int, check_id: int, *, sha: str, status: Literal["pending", "passed", "failed"]
    ) -> None:
        """Answer an external status check; raises Conflict when the head moved."""
        ...

    async def merged(self, project: str, *, most: int = 50) -> Sequence[MergeRequest]:
        """A project's merged merge requests, the one that was touched last first."""
        ...

    async def thumbs(self, subject: Subject, note_id: int) -> tuple[int, int]:
        """How many people put a thumb up and a thumb down under a note."""
        ...
