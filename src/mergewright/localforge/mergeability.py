"""May this merge request be merged, and if not, the first reason why."""

from collections.abc import Sequence

from sqlalchemy import ColumnElement, select
from sqlalchemy.orm import Session

from mergewright.localforge.approval_rules import approved, changes_requested
from mergewright.localforge.commits import merged_tree
from mergewright.localforge.instance import Instance
from mergewright.localforge.references import is_draft
from mergewright.localforge.repository import Repository
from mergewright.localforge.status_checks import must_pass
from mergewright.localforge.tables import MergeRequest, Note, Pipeline, Project

RUNNING = frozenset({"created", "waiting_for_resource", "preparing", "pending", "running", "scheduled"})


def head_pipeline(session: Session, merge_request: MergeRequest) -> Pipeline | None:
    """The pipeline that speaks for a merge request: one made for it comes before a branch's."""
    rows = session.scalars(
        select(Pipeline)
        .where(Pipeline.project_id == merge_request.project_id, Pipeline.sha == merge_request.sha)
        .order_by(Pipeline.id.desc())
    ).all()
    own = [row for row in rows if row.merge_request_id == merge_request.id]
    branch = [row for row in rows if row.merge_request_id is None and row.ref == merge_request.source_branch]
    return next(iter([*own, *branch]), None)


def open_threads(session: Session, merge_request: MergeRequest) -> Sequence[Note]:
    """The notes that still wait to be resolved."""
    return session.scalars(select(Note).where(*_unresolved(merge_request))).all()


def any_open_thread(session: Session, merge_request: MergeRequest) -> bool:
    """Whether a note still waits to be resolved."""
    return session.scalar(select(Note.id).where(*_unresolved(merge_request)).limit(1)) is not None


def _unresolved(merge_request: MergeRequest) -> tuple[ColumnElement[bool], ...]:
    return (
        Note.noteable_type == "MergeRequest",
        Note.noteable_id == merge_request.id,
        Note.type.is_not(None),
        Note.system.is_(False),
        Note.resolved_at.is_(None),
    )


def has_conflicts(repository: Repository, merge_request: MergeRequest) -> bool:
    target, source = repository.branch(merge_request.target_branch), repository.branch(merge_request.source_branch)
    return bool(target and source) and merged_tree(repository, str(target), str(source)) is None


def detailed_merge_status(instance: Instance, session: Session, merge_request: MergeRequest) -> str:
    """GitLab's word for what stands in the way; `mergeable` when nothing does."""
    project = session.get_one(Project, merge_request.project_id)
    repository = instance.repository(project)
    if merge_request.state != "opened":
        return "not_open"
    if is_draft(merge_request.title):
        return "draft_status"
    source, target = repository.branch(merge_request.source_branch), repository.branch(merge_request.target_branch)
    if source is None or target is None or repository.is_ancestor(source, target):
        return "commits_status"
    if project.only_allow_merge_if_all_discussions_are_resolved and any_open_thread(session, merge_request):
        return "discussions_not_resolved"
    if changes_requested(instance, session, merge_request):
        return "requested_changes"
    if instance.settings.tier != "free" and not approved(instance, session, merge_request):
        return "not_approved"
    if must_pass(instance, session, merge_request):
        return "status_checks_must_pass"
    if has_conflicts(repository, merge_request):
        return "conflict"
    return _pipeline_gate(session, project, merge_request) or "mergeable"


def _pipeline_gate(session: Session, project: Project, merge_request: MergeRequest) -> str | None:
    if not project.only_allow_merge_if_pipeline_succeeds:
        return None
    pipeline = head_pipeline(session, merge_request)
    if pipeline is None:
        return "ci_must_pass"
    if pipeline.status in RUNNING:
        return "ci_still_running"
    skipped = pipeline.status == "skipped" and project.allow_merge_on_skipped_pipeline
    return None if pipeline.status == "success" or skipped else "ci_must_pass"
