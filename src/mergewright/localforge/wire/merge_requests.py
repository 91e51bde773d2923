"""Merge requests on the wire."""

from sqlalchemy import select
from sqlalchemy.orm import Session

from mergewright.localforge.access import may_merge
from mergewright.localforge.call import Wire
from mergewright.localforge.clock import hook_time
from mergewright.localforge.instance import Instance
from mergewright.localforge.mergeability import any_open_thread, detailed_merge_status, has_conflicts, head_pipeline
from mergewright.localforge.references import is_draft, task_completion
from mergewright.localforge.tables import MergeRequest, Project, Reviewer, Version
from mergewright.localforge.wire.ci import pipeline_basic, pipeline_wire
from mergewright.localforge.wire.issues import TIME_STATS, count_notes, count_votes, hook_labels, references
from mergewright.localforge.wire.projects import hook_project, web_url
from mergewright.localforge.wire.repository import hook_commit
from mergewright.localforge.wire.users import hook_user, user_basic, user_or_none, users_by_id


def merge_request_url(instance: Instance, project: Project, merge_request: MergeRequest) -> str:
    return f"{web_url(instance, project)}/-/merge_requests/{merge_request.iid}"


def reviewers(session: Session, merge_request: MergeRequest) -> list[Reviewer]:
    rows = select(Reviewer).where(Reviewer.merge_request_id == merge_request.id).order_by(Reviewer.id)
    return list(session.scalars(rows))


def reviewer_wire(instance: Instance, reviewer: Reviewer) -> Wire:
    return {
        "user": user_basic(instance, reviewer.user),
        "state": reviewer.state,
        "created_at": reviewer.created_at,
    }


def diff_refs(merge_request: MergeRequest) -> Wire:
    return {
        "base_sha": merge_request.base_sha,
        "head_sha": merge_request.sha,
        "start_sha": merge_request.start_sha,
    }


def merge_request_basic(instance: Instance, session: Session, merge_request: MergeRequest) -> Wire:
    """A merge request as lists show it."""
    project = session.get_one(Project, merge_request.project_id)
    status = detailed_merge_status(instance, session, merge_request)
    conflicts = merge_request.state == "opened" and has_conflicts(instance.repository(project), merge_request)
    draft = is_draft(merge_request.title)
    assignees = [user_basic(instance, user) for user in users_by_id(session, merge_request.assignee_ids)]
    merge_user = user_or_none(instance, session, merge_request.merge_user_id)
    return {
        "id": merge_request.id,
        "iid": merge_request.iid,
        "project_id": merge_request.project_id,
        "title": merge_request.title,
        "description": merge_request.description,
        "state": merge_request.state,
        "created_at": merge_request.created_at,
        "updated_at": merge_request.updated_at,
        "merged_by": merge_user,
        "merge_user": merge_user,
        "merged_at": merge_request.merged_at,
        "closed_by": user_or_none(instance, session, merge_request.closed_by_id),
        "closed_at": merge_request.closed_at,
        "target_branch": merge_request.target_branch,
        "source_branch": merge_request.source_branch,
        "user_notes_count": count_notes(session, "MergeRequest", merge_request.id),
        **count_votes(session, "MergeRequest", merge_request.id),
        "author": user_basic(instance, merge_request.author),
        "assignees": assignees,
        "assignee": assignees[0] if assignees else None,
        "reviewers": [user_basic(instance, row.user) for row in reviewers(session, merge_request)],
        "source_project_id": merge_request.project_id,
        "target_project_id": merge_request.project_id,
        "labels": sorted(merge_request.labels),
        "draft": draft,
        "imported": False,
        "imported_from": "none",
        "work_in_progress": draft,
        "milestone": None,
        "merge_when_pipeline_succeeds": merge_request.merge_when_pipeline_succeeds,
        "merge_status": "cannot_be_merged" if conflicts else "can_be_merged",
        "detailed_merge_status": status,
        "merge_after": None,
        "sha": merge_request.sha or None,
        "merge_commit_sha": merge_request.merge_commit_sha,
        "squash_commit_sha": merge_request.squash_commit_sha,
        "discussion_locked": None,
        "should_remove_source_branch": None,
        "force_remove_source_branch": merge_request.force_remove_source_branch,
        "prepared_at": merge_request.created_at,
        "reference": f"!{merge_request.iid}",
        "references": references(project, "!", merge_request.iid),
        "web_url": merge_request_url(instance, project, merge_request),
        "time_stats": TIME_STATS,
        "squash": merge_request.squash,
        "squash_on_merge": merge_request.squash,
        "task_completion_status": task_completion(merge_request.description),
        "has_conflicts": conflicts,
        "blocking_discussions_resolved": not any_open_thread(session, merge_request),
        "approvals_before_merge": None,
    }


def merge_request_wire(
    instance: Instance, session: Session, merge_request: MergeRequest, *, level: int, diverged: bool = False
) -> Wire:
    """One merge request with everything about it, as somebody of an access level sees it."""
    project = session.get_one(Project, merge_request.project_id)
    pipeline = head_pipeline(session, merge_request)
    version = latest_version(session, merge_request)
    wire = merge_request_basic(instance, session, merge_request) | {
        "subscribed": False,
        "changes_count": version.real_size if version and version.real_size != "0" else None,
        "latest_build_started_at": pipeline.started_at if pipeline else None,
        "latest_build_finished_at": pipeline.finished_at if pipeline else None,
        "first_deployed_to_production_at": None,
        "pipeline": pipeline_basic(instance, project, pipeline) if pipeline else None,
        "head_pipeline": pipeline_wire(instance, project, pipeline) if pipeline else None,
        "diff_refs": diff_refs(merge_request) if merge_request.sha else None,
        "merge_error": None,
        "rebase_in_progress": False,
        "first_contribution": False,
        "user": {"can_merge": may_merge(session, project, level, merge_request.target_branch)},
    }
    if diverged:
        repository = instance.repository(project)
        target = repository.branch(merge_request.target_branch)
        behind = repository.count(target, f"^{merge_request.sha}") if target and merge_request.sha else 0
        wire["diverged_commits_count"] = behind
    return wire


def latest_version(session: Session, merge_request: MergeRequest) -> Version | None:
    rows = select(Version).where(Version.merge_request_id == merge_request.id).order_by(Version.id.desc()).limit(1)
    return session.scalar(rows)


def version_wire(version: Version) -> Wire:
    return {
        "id": version.id,
        "head_commit_sha": version.head_commit_sha,
        "base_commit_sha": version.base_commit_sha,
        "start_commit_sha": version.start_commit_sha,
        "created_at": version.created_at,
        "merge_request_id": version.merge_request_id,
        "state": "collected" if version.real_size != "0" else "empty",
        "real_size": version.real_size,
        "patch_id_sha": version.patch_id_sha,
    }


def hook_reviewer(reviewer: Reviewer) -> Wire:
    return hook_user(reviewer.user) | {"state": reviewer.state, "re_requested": False}


def hook_merge_request(instance: Instance, session: Session, merge_request: MergeRequest) -> Wire:
    """A merge request as webhook payloads show it."""
    project = session.get_one(Project, merge_request.project_id)
    repository = instance.repository(project)
    status = detailed_merge_status(instance, session, merge_request)
    draft = is_draft(merge_request.title)
    pipeline = head_pipeline(session, merge_request)
    return {
        "id": merge_request.id,
        "iid": merge_request.iid,
        "target_branch": merge_request.target_branch,
        "source_branch": merge_request.source_branch,
        "source_project_id": merge_request.project_id,
        "target_project_id": merge_request.project_id,
        "author_id": merge_request.author_id,
        "assignee_ids": merge_request.assignee_ids,
        "assignee_id": merge_request.assignee_ids[0] if merge_request.assignee_ids else None,
        "reviewer_ids": [row.user_id for row in reviewers(session, merge_request)],
        "title": merge_request.title,
        "description": merge_request.description,
        "created_at": hook_time(merge_request.created_at),
        "updated_at": hook_time(merge_request.updated_at),
        "prepared_at": hook_time(merge_request.created_at),
        "last_edited_at": None,
        "last_edited_by_id": None,
        "milestone_id": None,
        "state": merge_request.state,
        "state_id": {"opened": 1, "closed": 2, "merged": 3}[merge_request.state],
        "draft": draft,
        "work_in_progress": draft,
        "blocking_discussions_resolved": not any_open_thread(session, merge_request),
        "first_contribution": False,
        "merge_status": "cannot_be_merged" if status == "conflict" else "can_be_merged",
        "detailed_merge_status": status,
        "merge_commit_sha": merge_request.merge_commit_sha,
        "merge_user_id": merge_request.merge_user_id,
        "merge_when_pipeline_succeeds": merge_request.merge_when_pipeline_succeeds,
        "head_pipeline_id": pipeline.id if pipeline else None,
        "url": merge_request_url(instance, project, merge_request),
        "source": hook_project(instance, project),
        "target": hook_project(instance, project),
        "last_commit": hook_commit(instance, project, repository.commit(merge_request.sha))
        if merge_request.sha
        else None,
        "time_estimate": 0,
        "total_time_spent": 0,
        "time_change": 0,
        "human_total_time_spent": None,
        "human_time_change": None,
        "human_time_estimate": None,
        "labels": hook_labels(session, merge_request),
    }
