"""GitLab's nouns, with its field names and wire values, and what a forge must be able to do."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Protocol

from mergewright.domain.session import Subject


class AccessLevel(IntEnum):
    """What a member may do in a project; the numbers are GitLab's."""

    NONE = 0
    MINIMAL = 5
    GUEST = 10
    PLANNER = 15
    REPORTER = 20
    DEVELOPER = 30
    MAINTAINER = 40
    OWNER = 50


@dataclass(frozen=True, slots=True)
class User:
    id: int
    username: str
    name: str = ""
    bot: bool = False
    admin: bool = field(default=False, compare=False)
    """Whether they administer the forge; a forge tells that only to those whose own token asks."""


@dataclass(frozen=True, slots=True)
class Project:
    id: int
    path_with_namespace: str
    default_branch: str
    """Empty while the repository is empty and no default is set."""
    web_url: str
    http_url_to_repo: str
    empty_repo: bool = False
    only_allow_merge_if_pipeline_succeeds: bool = False
    visibility: str = "private"


@dataclass(frozen=True, slots=True)
class Note:
    id: int
    body: str
    author: User
    created_at: str = ""
    system: bool = False
    web_url: str = ""
    internal: bool = False
    """Whether only members of the team may read it."""
    resolvable: bool = False
    resolved: bool = False
    resolved_by: str = ""
    path: str = ""
    """The file that a diff note stands on, by its new path."""
    line: int = 0
    """The line in the new file that a diff note stands on; 0 for a removed line or a whole file."""
    mark: str = ""
    """The mark of ours in it; empty in every note that another account wrote."""


@dataclass(frozen=True, slots=True)
class Discussion:
    """A thread: its first note and the answers to it."""

    id: str
    notes: tuple[Note, ...]
    individual_note: bool = False


@dataclass(frozen=True, slots=True)
class Issue:
    id: int
    iid: int
    project: str
    title: str
    description: str
    state: str
    author: User
    web_url: str
    labels: tuple[str, ...] = ()
    confidential: bool = False


@dataclass(frozen=True, slots=True)
class DiffRefs:
    base_sha: str
    start_sha: str
    head_sha: str


@dataclass(frozen=True, slots=True)
class MergeRequest:
    id: int
    iid: int
    project: str
    title: str
    description: str
    state: str
    draft: bool
    source_branch: str
    target_branch: str
    sha: str
    author: User
    web_url: str
    detailed_merge_status: str = ""
    diff_refs: DiffRefs | None = None
    reviewers: tuple[User, ...] = ()
    head_pipeline: int = 0
    """The id of the pipeline that speaks for the head; 0 when there is none."""
    source_project: str = ""
    """Another project's path or id where the merge request comes from a fork; empty otherwise."""
    merged_at: str = ""
    """When it was merged, as the forge writes times; empty before."""
    created_at: str = ""
    """When it was opened, as the forge writes times."""
    closes_issues: tuple[int, ...] = ()
    """The iids of the project's issues that merging it closes; only `Forge.merge_request` asks for them."""


@dataclass(frozen=True, slots=True)
class Pipeline:
    id: int
    status: str
    """`created`, `pending`, `running`, `success`, `failed`, `canceled`, `skipped`, `manual` and GitLab's others."""
    ref: str
    sha: str
    web_url: str
    yaml_errors: str = ""
    """What is wrong with its configuration, where that kept it from having jobs; lists of pipelines do not tell."""

    @property
    def ended(self) -> bool:
        return self.status in {"success", "failed", "canceled", "skipped", "manual"}


@dataclass(frozen=True, slots=True)
class Job:
    id: int
    name: str
    stage: str
    status: str
    web_url: str
    failure_reason: str = ""
    allow_failure: bool = False
    """Whether the pipeline may succeed without it."""


@dataclass(frozen=True, slots=True)
class ForgeStatus:
    """Who we are on the forge and what its token allows."""

    url: str
    version: str
    user: User
    scopes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Remote:
    """Where git pushes to and fetches from; the password is never written to disk or an argument."""

    url: str
    username: str
    password: str = field(repr=False)
    authorities: str = ""
    """A file with the certificates that are believed instead of the machine's."""
    proxy: str = field(default="", repr=False)


class Forge(Protocol):
    """A GitLab: gitlab.com, a self-managed one, or the local forge.

    Every method raises Unauthorized, Forbidden, NotFound, Conflict or Unreachable, and a plain ForgeError for
    any other refusal, such as a branch that a merge request names but nobody pushed; a passing fault
    of the forge has been tried again before Unreachable is raised. A write that the adapter tries again
    looks first whether the earlier try got through.
    """

    async def status(self) -> ForgeStatus: ...

    async def project(self, path: str) -> Project: ...

    async def access_level(self, project: str, user_id: int) -> AccessLevel:
        """The user's level in the project, inherited ones included; NONE for a stranger."""
        ...

    async def group(self, path: str) -> str:
        """A group's path as the forge writes it; raises NotFound for one that we do not see."""
        ...

    async def group_level(self, group: str, user_id: int) -> AccessLevel:
        """The user's level in a group, inherited ones included; raises NotFound for a group that we do not see."""
        ...

    async def remote(self, project: str) -> Remote: ...

    async def branch(self, project: str, name: str) -> str | None:
        """The commit a branch stands at; None when there is no such branch."""
        ...

    async def may_push(self, project: str, branch: str) -> bool:
        """Whether we may push to a branch that is there; a protected one may be for others."""
        ...

    async def file(self, project: str, path: str, *, ref: str) -> bytes | None:
        """A file's bytes at a ref; None when it is not there."""
        ...

    async def issue(self, project: str, iid: int) -> Issue: ...

    async def open_issue(self, project: str, *, title: str, description: str) -> Issue: ...

    async def discussions(self, subject: Subject) -> Sequence[Discussion]:
        """All threads on an issue or a merge request, oldest first, system notes included."""
        ...

    async def add_note(self, subject: Subject, body: str, *, mark: str) -> Note:
        """Write a note once: where our own note with this mark stands already, that one is returned.

        The mark is a short word that is hidden in the note; only notes of our own user are searched for it.
        """
        ...

    async def merge_request(self, project: str, iid: int) -> MergeRequest: ...

    async def find_merge_request(self, project: str, *, source_branch: str) -> MergeRequest | None:
        """The open merge request from a branch; None when there is none."""
        ...

    async def open_merge_request(
        self, project: str, *, source_branch: str, target_branch: str, title: str, description: str
    ) -> MergeRequest:
        """Open a merge request; where one from this branch is open already, that one is returned."""
        ...

    async def update_merge_request(
        self, project: str, iid: int, *, title: str | None = None, description: str | None = None
    ) -> MergeRequest: ...

    async def pipelines(self, project: str, *, sha: str) -> Sequence[Pipeline]:
        """The pipelines of a commit, newest first."""
        ...

    async def pipeline(self, project: str, pipeline_id: int) -> Pipeline: ...

    async def jobs(self, project: str, pipeline_id: int) -> Sequence[Job]: ...

    async def job_trace(self, project: str, job_id: int) -> str:
        """What a job has printed, as it came; only the end of a long one. Empty for a job that never ran."""
        ...
