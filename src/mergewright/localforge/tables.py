"""The forge's state apart from git: one class per table."""

from typing import Any, ClassVar

from sqlalchemy import JSON, ForeignKey, UniqueConstraint
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

from mergewright.localforge.clock import now

NUMBERED = {"sqlite_autoincrement": True}


class Table(DeclarativeBase):
    # Numbers are never given twice, even after the newest row was deleted.
    __table_args__: Any = NUMBERED
    type_annotation_map: ClassVar = {list[str]: JSON, list[int]: JSON, dict[str, Any]: JSON, dict[str, str]: JSON}


class User(Table):
    __tablename__ = "users"
    id: Mapped[int] = mapped_column(primary_key=True)
    username: Mapped[str] = mapped_column(unique=True)
    name: Mapped[str]
    email: Mapped[str]
    admin: Mapped[bool] = mapped_column(default=False)
    bot: Mapped[bool] = mapped_column(default=False)
    created_at: Mapped[str] = mapped_column(default=now)


class Token(Table):
    __tablename__ = "tokens"
    id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    name: Mapped[str]
    digest: Mapped[str] = mapped_column(unique=True)
    """SHA-256 of the token; the token itself is never stored."""
    scopes: Mapped[list[str]]
    expires_at: Mapped[str | None]
    revoked: Mapped[bool] = mapped_column(default=False)
    created_at: Mapped[str] = mapped_column(default=now)
    user: Mapped[User] = relationship(lazy="joined", innerjoin=True)


class Project(Table):
    __tablename__ = "projects"
    id: Mapped[int] = mapped_column(primary_key=True)
    path_with_namespace: Mapped[str] = mapped_column(unique=True)
    name: Mapped[str]
    description: Mapped[str] = mapped_column(default="")
    visibility: Mapped[str] = mapped_column(default="private")
    default_branch: Mapped[str] = mapped_column(default="main")
    creator_id: Mapped[int | None]
    only_allow_merge_if_pipeline_succeeds: Mapped[bool] = mapped_column(default=False)
    allow_merge_on_skipped_pipeline: Mapped[bool] = mapped_column(default=False)
    only_allow_merge_if_all_discussions_are_resolved: Mapped[bool] = mapped_column(default=False)
    remove_source_branch_after_merge: Mapped[bool] = mapped_column(default=True)
    autoclose_referenced_issues: Mapped[bool] = mapped_column(default=True)
    issues_enabled: Mapped[bool] = mapped_column(default=True)
    merge_requests_enabled: Mapped[bool] = mapped_column(default=True)
    jobs_enabled: Mapped[bool] = mapped_column(default=True)
    created_at: Mapped[str] = mapped_column(default=now)
    updated_at: Mapped[str] = mapped_column(default=now)

    @property
    def path(self) -> str:
        return self.path_with_namespace.rpartition("/")[2]

    @property
    def namespace(self) -> str:
        return self.path_with_namespace.rpartition("/")[0]


class Member(Table):
    __tablename__ = "members"
    __table_args__ = (UniqueConstraint("project_id", "user_id"), NUMBERED)
    id: Mapped[int] = mapped_column(primary_key=True)
    project_id: Mapped[int] = mapped_column(ForeignKey("projects.id", ondelete="CASCADE"))
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    access_level: Mapped[int]
    expires_at: Mapped[str | None]
    created_at: Mapped[str] = mapped_column(default=now)
    user: Mapped[User] = relationship(lazy="joined", innerjoin=True)


class ProtectedBranch(Table):
    __tablename__ = "protected_branches"
    __table_args__ = (UniqueConstraint("project_id", "name"), NUMBERED)
    id: Mapped[int] = mapped_column(primary_key=True)
    project_id: Mapped[int] = mapped_column(ForeignKey("projects.id", ondelete="CASCADE"))
    name: Mapped[str]
    """A branch name, or a pattern with `*`."""
    push_access_level: Mapped[int] = mapped_column(default=40)
    merge_access_level: Mapped[int] = mapped_column(default=40)
    allow_force_push: Mapped[bool] = mapped_column(default=False)


class Label(Table):
    __tablename__ = "labels"
    __table_args__ = (UniqueConstraint("project_id", "name"), NUMBERED)
    id: Mapped[int] = mapped_column(primary_key=True)
    project_id: Mapped[int] = mapped_column(ForeignKey("projects.id", ondelete="CASCADE"))
    name: Mapped[str]
    color: Mapped[str] = mapped_column(default="#6699cc")
    description: Mapped[str | None]
    created_at: Mapped[str] = mapped_column(default=now)


class Issue(Table):
    __tablename__ = "issues"
    __table_args__ = (UniqueConstraint("project_id", "iid"), NUMBERED)
    id: Mapped[int] = mapped_column(primary_key=True)
    iid: Mapped[int]
    project_id: Mapped[int] = mapped_column(ForeignKey("projects.id", ondelete="CASCADE"))
    title: Mapped[str]
    description: Mapped[str | None]
    state: Mapped[str] = mapped_column(default="opened")
    author_id: Mapped[int] = mapped_column(ForeignKey("users.id"))
    labels: Mapped[list[str]] = mapped_column(default=list)
    assignee_ids: Mapped[list[int]] = mapped_column(default=list)
    confidential: Mapped[bool] = mapped_column(default=False)
    closed_at: Mapped[str | None]
    closed_by_id: Mapped[int | None]
    created_at: Mapped[str] = mapped_column(default=now)
    updated_at: Mapped[str] = mapped_column(default=now)
    author: Mapped[User] = relationship(lazy="joined", innerjoin=True)


class MergeRequest(Table):
    __tablename__ = "merge_requests"
    __table_args__ = (UniqueConstraint("project_id", "iid"), NUMBERED)
    id: Mapped[int] = mapped_column(primary_key=True)
    iid: Mapped[int]
    project_id: Mapped[int] = mapped_column(ForeignKey("projects.id", ondelete="CASCADE"))
    title: Mapped[str]
    description: Mapped[str | None]
    state: Mapped[str] = mapped_column(default="opened")
    author_id: Mapped[int] = mapped_column(ForeignKey("users.id"))
    source_branch: Mapped[str]
    target_branch: Mapped[str]
    sha: Mapped[str] = mapped_column(default="")
    base_sha: Mapped[str] = mapped_column(default="")
    start_sha: Mapped[str] = mapped_column(default="")
    labels: Mapped[list[str]] = mapped_column(default=list)
    assignee_ids: Mapped[list[int]] = mapped_column(default=list)
    squash: Mapped[bool] = mapped_column(default=False)
    force_remove_source_branch: Mapped[bool] = mapped_column(default=False)
    merge_when_pipeline_succeeds: Mapped[bool] = mapped_column(default=False)
    merge_commit_sha: Mapped[str | None]
    squash_commit_sha: Mapped[str | None]
    merge_user_id: Mapped[int | None]
    merged_at: Mapped[str | None]
    closed_by_id: Mapped[int | None]
    closed_at: Mapped[str | None]
    created_at: Mapped[str] = mapped_column(default=now)
    updated_at: Mapped[str] = mapped_column(default=now)
    author: Mapped[User] = relationship(lazy="joined", innerjoin=True)


class Reviewer(Table):
    __tablename__ = "reviewers"
    __table_args__ = (UniqueConstraint("merge_request_id", "user_id"), NUMBERED)
    id: Mapped[int] = mapped_column(primary_key=True)
    merge_request_id: Mapped[int] = mapped_column(ForeignKey("merge_requests.id", ondelete="CASCADE"))
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"))
    state: Mapped[str] = mapped_column(default="unreviewed")
    created_at: Mapped[str] = mapped_column(default=now)
    user: Mapped[User] = relationship(lazy="joined", innerjoin=True)


class Version(Table):
    """One state of a merge request's branches; a push makes a new one."""

    __tablename__ = "versions"
    id: Mapped[int] = mapped_column(primary_key=True)
    merge_request_id: Mapped[int] = mapped_column(ForeignKey("merge_requests.id", ondelete="CASCADE"))
    head_commit_sha: Mapped[str]
    base_commit_sha: Mapped[str]
    start_commit_sha: Mapped[str]
    real_size: Mapped[str]
    patch_id_sha: Mapped[str]
    created_at: Mapped[str] = mapped_column(default=now)


class Note(Table):
    __tablename__ = "notes"
    id: Mapped[int] = mapped_column(primary_key=True)
    project_id: Mapped[int] = mapped_column(ForeignKey("projects.id", ondelete="CASCADE"))
    noteable_type: Mapped[str]
    noteable_id: Mapped[int] = mapped_column(index=True)
    discussion_id: Mapped[str] = mapped_column(index=True)
    type: Mapped[str | None]
    """None, DiscussionNote or DiffNote."""
    author_id: Mapped[int] = mapped_column(ForeignKey("users.id"))
    body: Mapped[str]
    system: Mapped[bool] = mapped_column(default=False)
    internal: Mapped[bool] = mapped_column(default=False)
    position: Mapped[dict[str, Any] | None] = mapped_column(JSON)
    resolved_by_id: Mapped[int | None]
    resolved_at: Mapped[str | None]
    created_at: Mapped[str] = mapped_column(default=now)
    updated_at: Mapped[str] = mapped_column(default=now)
    author: Mapped[User] = relationship(lazy="joined", innerjoin=True)


class NoteTrace(Table):
    """Where a note at a line was written, once a push has moved on."""

    __tablename__ = "note_traces"
    note_id: Mapped[int] = mapped_column(ForeignKey("notes.id", ondelete="CASCADE"), primary_key=True)
    original_position: Mapped[dict[str, Any]]


class Suggestion(Table):
    """What a note at a line says should stand there instead."""

    __tablename__ = "suggestions"
    id: Mapped[int] = mapped_column(primary_key=True)
    note_id: Mapped[int] = mapped_column(ForeignKey("notes.id", ondelete="CASCADE"), index=True)
    relative_order: Mapped[int]
    lines_above: Mapped[int]
    lines_below: Mapped[int]
    from_content: Mapped[str]
    to_content: Mapped[str]
    commit_id: Mapped[str | None]
    """The commit that applied it."""


class AwardEmoji(Table):
    __tablename__ = "award_emoji"
    __table_args__ = (UniqueConstraint("awardable_type", "awardable_id", "name", "user_id"), NUMBERED)
    id: Mapped[int] = mapped_column(primary_key=True)
    awardable_type: Mapped[str]
    awardable_id: Mapped[int]
    name: Mapped[str]
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"))
    created_at: Mapped[str] = mapped_column(default=now)
    user: Mapped[User] = relationship(lazy="joined", innerjoin=True)


class Hook(Table):
    __tablename__ = "hooks"
    id: Mapped[int] = mapped_column(primary_key=True)
    project_id: Mapped[int] = mapped_column(ForeignKey("projects.id", ondelete="CASCADE"))
    url: Mapped[str]
    token: Mapped[str] = mapped_column(default="")
    uuid: Mapped[str]
    name: Mapped[str | None]
    description: Mapped[str | None]
    events: Mapped[list[str]]
    """The `…_events` switches that are on."""
    enable_ssl_verification: Mapped[bool] = mapped_column(default=True)
    created_at: Mapped[str] = mapped_column(default=now)


class Delivery(Table):
    """One event on its way to one webhook; kept after it arrived."""

    __tablename__ = "deliveries"
    id: Mapped[int] = mapped_column(primary_key=True)
    hook_id: Mapped[int] = mapped_column(ForeignKey("hooks.id", ondelete="CASCADE"), index=True)
    event: Mapped[str]
    """The value of X-Gitlab-Event."""
    event_uuid: Mapped[str]
    idempotency_key: Mapped[str]
    payload: Mapped[dict[str, Any]] = mapped_column(JSON)
    state: Mapped[str] = mapped_column(default="pending", index=True)
    attempts: Mapped[int] = mapped_column(default=0)
    response_status: Mapped[int | None]
    error: Mapped[str | None]
    created_at: Mapped[str] = mapped_column(default=now)


class Pipeline(Table):
    __tablename__ = "pipelines"
    id: Mapped[int] = mapped_column(primary_key=True)
    iid: Mapped[int]
    project_id: Mapped[int] = mapped_column(ForeignKey("projects.id", ondelete="CASCADE"))
    sha: Mapped[str] = mapped_column(index=True)
    before_sha: Mapped[str] = mapped_column(default="0" * 40)
    ref: Mapped[str]
    tag: Mapped[bool] = mapped_column(default=False)
    source: Mapped[str]
    status: Mapped[str] = mapped_column(default="created")
    yaml_errors: Mapped[str | None]
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"))
    merge_request_id: Mapped[int | None]
    stages: Mapped[list[str]] = mapped_column(default=list)
    variables: Mapped[dict[str, str]] = mapped_column(default=dict)
    started_at: Mapped[str | None]
    finished_at: Mapped[str | None]
    created_at: Mapped[str] = mapped_column(default=now)
    updated_at: Mapped[str] = mapped_column(default=now)
    user: Mapped[User] = relationship(lazy="joined", innerjoin=True)


class Job(Table):
    """A job of a pipeline, or a status that somebody outside posted on its commit."""

    __tablename__ = "jobs"
    id: Mapped[int] = mapped_column(primary_key=True)
    pipeline_id: Mapped[int] = mapped_column(ForeignKey("pipelines.id", ondelete="CASCADE"), index=True)
    project_id: Mapped[int] = mapped_column(ForeignKey("projects.id", ondelete="CASCADE"))
    name: Mapped[str]
    stage: Mapped[str]
    status: Mapped[str] = mapped_column(default="created")
    when: Mapped[str] = mapped_column(default="on_success")
    allow_failure: Mapped[bool] = mapped_column(default=False)
    external: Mapped[bool] = mapped_column(default=False)
    retried: Mapped[bool] = mapped_column(default=False)
    script: Mapped[list[str]] = mapped_column(default=list)
    after_script: Mapped[list[str]] = mapped_column(default=list)
    variables: Mapped[dict[str, str]] = mapped_column(default=dict)
    notices: Mapped[list[str]] = mapped_column(default=list)
    """Lines for the head of the trace: what the forge does not do with this job."""
    failure_reason: Mapped[str | None]
    timeout: Mapped[float | None]
    target_url: Mapped[str | None]
    description: Mapped[str | None]
    coverage: Mapped[float | None]
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"))
    created_at: Mapped[str] = mapped_column(default=now)
    queued_at: Mapped[str | None]
    started_at: Mapped[str | None]
    finished_at: Mapped[str | None]
    pipeline: Mapped[Pipeline] = relationship()
    user: Mapped[User] = relationship(lazy="joined", innerjoin=True)


class ApprovalRow(Table):
    """One user's approval of a merge request."""

    __tablename__ = "approvals"
    __table_args__ = (UniqueConstraint("merge_request_id", "user_id"), NUMBERED)
    id: Mapped[int] = mapped_column(primary_key=True)
    merge_request_id: Mapped[int] = mapped_column(ForeignKey("merge_requests.id", ondelete="CASCADE"))
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"))
    created_at: Mapped[str] = mapped_column(default=now)
    user: Mapped[User] = relationship(lazy="joined", innerjoin=True)


class ChangeRequest(Table):
    """One user's standing request for changes; it outlives the user's being a reviewer."""

    __tablename__ = "change_requests"
    __table_args__ = (UniqueConstraint("merge_request_id", "user_id"), NUMBERED)
    id: Mapped[int] = mapped_column(primary_key=True)
    merge_request_id: Mapped[int] = mapped_column(ForeignKey("merge_requests.id", ondelete="CASCADE"))
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"))
    created_at: Mapped[str] = mapped_column(default=now)
    user: Mapped[User] = relationship(lazy="joined", innerjoin=True)


class ChangeRequestBypass(Table):
    """Somebody who may merge has set all requests for changes aside."""

    __tablename__ = "change_request_bypasses"
    merge_request_id: Mapped[int] = mapped_column(ForeignKey("merge_requests.id", ondelete="CASCADE"), primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"))


class ApprovalRule(Table):
    """Who must approve; a merge request's own rules stand in for its project's."""

    __tablename__ = "approval_rules"
    id: Mapped[int] = mapped_column(primary_key=True)
    project_id: Mapped[int] = mapped_column(ForeignKey("projects.id", ondelete="CASCADE"), index=True)
    merge_request_id: Mapped[int | None] = mapped_column(ForeignKey("merge_requests.id", ondelete="CASCADE"))
    source_rule_id: Mapped[int | None]
    name: Mapped[str]
    rule_type: Mapped[str] = mapped_column(default="regular")
    approvals_required: Mapped[int] = mapped_column(default=0)
    user_ids: Mapped[list[int]] = mapped_column(default=list)


class ApprovalSettings(Table):
    """A project's approval settings; without a row GitLab's defaults hold."""

    __tablename__ = "approval_settings"
    project_id: Mapped[int] = mapped_column(ForeignKey("projects.id", ondelete="CASCADE"), primary_key=True)
    reset_approvals_on_push: Mapped[bool] = mapped_column(default=True)
    selective_code_owner_removals: Mapped[bool] = mapped_column(default=False)
    disable_overriding_approvers_per_merge_request: Mapped[bool] = mapped_column(default=False)
    merge_requests_author_approval: Mapped[bool] = mapped_column(default=False)
    merge_requests_disable_committers_approval: Mapped[bool] = mapped_column(default=False)
    require_password_to_approve: Mapped[bool] = mapped_column(default=False)
    only_allow_merge_if_all_status_checks_passed: Mapped[bool] = mapped_column(default=False)


class StatusCheck(Table):
    """A service outside that is asked about each merge request."""

    __tablename__ = "status_checks"
    id: Mapped[int] = mapped_column(primary_key=True)
    project_id: Mapped[int] = mapped_column(ForeignKey("projects.id", ondelete="CASCADE"), index=True)
    name: Mapped[str]
    external_url: Mapped[str]
    shared_secret: Mapped[str | None]


class StatusCheckDelivery(Table):
    """One question on its way to such a service; kept after it arrived."""

    __tablename__ = "status_check_deliveries"
    id: Mapped[int] = mapped_column(primary_key=True)
    status_check_id: Mapped[int] = mapped_column(ForeignKey("status_checks.id", ondelete="CASCADE"), index=True)
    idempotency_key: Mapped[str]
    payload: Mapped[dict[str, Any]] = mapped_column(JSON)
    state: Mapped[str] = mapped_column(default="pending", index=True)
    attempts: Mapped[int] = mapped_column(default=0)
    response_status: Mapped[int | None]
    error: Mapped[str | None]
    created_at: Mapped[str] = mapped_column(default=now)


class StatusCheckResponse(Table):
    """What such a service answered for one commit."""

    __tablename__ = "status_check_responses"
    id: Mapped[int] = mapped_column(primary_key=True)
    status_check_id: Mapped[int] = mapped_column(ForeignKey("status_checks.id", ondelete="CASCADE"))
    merge_request_id: Mapped[int] = mapped_column(ForeignKey("merge_requests.id", ondelete="CASCADE"), index=True)
    sha: Mapped[str]
    status: Mapped[str]
    created_at: Mapped[str] = mapped_column(default=now)


class DraftNote(Table):
    """A note that only its author sees until it is published."""

    __tablename__ = "draft_notes"
    id: Mapped[int] = mapped_column(primary_key=True)
    merge_request_id: Mapped[int] = mapped_column(ForeignKey("merge_requests.id", ondelete="CASCADE"), index=True)
    author_id: Mapped[int] = mapped_column(ForeignKey("users.id"))
    note: Mapped[str]
    position: Mapped[dict[str, Any] | None] = mapped_column(JSON)
    discussion_id: Mapped[str | None]
    resolve_discussion: Mapped[bool] = mapped_column(default=False)
