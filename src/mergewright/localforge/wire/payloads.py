"""What webhooks are sent: one payload for each kind of event."""

from sqlalchemy import select
from sqlalchemy.orm import Session

from mergewright.localforge.call import Wire
from mergewright.localforge.clock import hook_time, seconds_between
from mergewright.localforge.instance import Instance
from mergewright.localforge.repository import Commit
from mergewright.localforge.tables import Issue, Job, Label, MergeRequest, Note, Pipeline, Project, User
from mergewright.localforge.wire.ci import pipeline_url
from mergewright.localforge.wire.issues import hook_issue, hook_labels, issue_url
from mergewright.localforge.wire.merge_requests import (
    hook_merge_request,
    hook_reviewer,
    merge_request_url,
    reviewers,
)
from mergewright.localforge.wire.notes import original_position
from mergewright.localforge.wire.projects import hook_label, hook_project, hook_repository, name_with_namespace
from mergewright.localforge.wire.repository import hook_commit
from mergewright.localforge.wire.users import hook_user, users_by_id

NO_SHA = "0" * 40


def push_payload(instance: Instance, project: Project, user: User, *, ref: str, before: str, after: str) -> Wire:
    repository = instance.repository(project)
    tag = ref.startswith("refs/tags/")
    commits: list[Commit] = []
    total = 0
    if after != NO_SHA and not tag:
        others = [f"^{sha}" for name, sha in repository.refs().items() if f"refs/heads/{name}" != ref]
        excluded = [f"^{before}"] if before != NO_SHA else others
        commits = repository.log(after, *excluded, limit=20)[::-1]
        total = repository.count(after, *excluded)
    kind = "tag_push" if tag else "push"
    return {
        "object_kind": kind,
        "event_name": kind,
        "before": before,
        "after": after,
        "ref": ref,
        "ref_protected": False,
        "checkout_sha": None if after == NO_SHA else repository.resolve(after),
        "message": None,
        "user_id": user.id,
        "user_name": user.name,
        "user_username": user.username,
        "user_email": "",
        "user_avatar": None,
        "project_id": project.id,
        "project": hook_project(instance, project),
        "commits": [_pushed_commit(instance, project, commit) for commit in commits],
        "total_commits_count": total,
        "push_options": {},
        "repository": hook_repository(instance, project),
    }


def _pushed_commit(instance: Instance, project: Project, commit: Commit) -> Wire:
    repository = instance.repository(project)
    from_tree = commit.parents[0] if commit.parents else "4b825dc642cb6eb9a060e54bf8d69288fbee4904"
    files = repository.diff(from_tree, commit.sha)
    return hook_commit(instance, project, commit) | {
        "added": [file.new_path for file in files if file.new_file],
        "modified": [file.new_path for file in files if not file.new_file and not file.deleted_file],
        "removed": [file.old_path for file in files if file.deleted_file],
    }


def issue_payload(instance: Instance, session: Session, issue: Issue, user: User, action: str, changes: Wire) -> Wire:
    project = session.get_one(Project, issue.project_id)
    assignees = [hook_user(row) for row in users_by_id(session, issue.assignee_ids)]
    payload: Wire = {
        "object_kind": "issue",
        "event_type": "confidential_issue" if issue.confidential else "issue",
        "user": hook_user(user),
        "project": hook_project(instance, project),
        "object_attributes": hook_issue(instance, session, issue) | {"action": action},
        "labels": hook_labels(session, issue),
        "changes": _changes(session, issue, changes),
        "repository": hook_repository(instance, project),
    }
    return payload | ({"assignees": assignees, "assignee": assignees[0]} if assignees else {})


def merge_request_payload(
    instance: Instance,
    session: Session,
    merge_request: MergeRequest,
    user: User,
    action: str,
    changes: Wire,
    *,
    oldrev: str = "",
) -> Wire:
    project = session.get_one(Project, merge_request.project_id)
    attributes = hook_merge_request(instance, session, merge_request) | {"action": action}
    payload: Wire = {
        "object_kind": "merge_request",
        "event_type": "merge_request",
        "user": hook_user(user),
        "project": hook_project(instance, project),
        "object_attributes": attributes | ({"oldrev": oldrev} if oldrev else {}),
        "labels": hook_labels(session, merge_request),
        "changes": _changes(session, merge_request, changes),
        "repository": hook_repository(instance, project),
    }
    if assignees := [hook_user(row) for row in users_by_id(session, merge_request.assignee_ids)]:
        payload["assignees"] = assignees
    if asked := [hook_reviewer(row) for row in reviewers(session, merge_request)]:
        payload["reviewers"] = asked
    return payload


def _changes(session: Session, subject: Issue | MergeRequest, changes: Wire) -> Wire:
    """What was changed, with labels and people told whole as everywhere in a payload."""
    told = dict(changes)
    if "labels" in told:
        rows = select(Label).where(Label.project_id == subject.project_id)
        labels = {label.name: hook_label(label) for label in session.scalars(rows)}
        told["labels"] = {
            side: [labels[name] for name in names if name in labels] for side, names in changes["labels"].items()
        }
    if ids := told.pop("assignee_ids", None):
        told["assignees"] = {side: [hook_user(row) for row in users_by_id(session, ids[side])] for side in ids}
    return told


def note_payload(instance: Instance, session: Session, note: Note, subject: Issue | MergeRequest, action: str) -> Wire:
    project = session.get_one(Project, note.project_id)
    if isinstance(subject, Issue):
        url = issue_url(instance, project, subject)
        about = {"issue": hook_issue(instance, session, subject)}
    else:
        url = merge_request_url(instance, project, subject)
        about = {"merge_request": hook_merge_request(instance, session, subject)}
    return {
        "object_kind": "note",
        "event_type": "note",
        "user": hook_user(note.author),
        "project_id": project.id,
        "project": hook_project(instance, project),
        "object_attributes": {
            "id": note.id,
            "note": note.body,
            "description": note.body,
            "noteable_type": note.noteable_type,
            "noteable_id": note.noteable_id,
            "author_id": note.author_id,
            "created_at": hook_time(note.created_at),
            "updated_at": hook_time(note.updated_at),
            "updated_by_id": None,
            "project_id": project.id,
            "attachment": None,
            "line_code": (note.position or {}).get("line_code"),
            "commit_id": "",
            "discussion_id": note.discussion_id,
            "type": note.type,
            "position": note.position,
            "original_position": original_position(session, note),
            "change_position": None,
            "resolved_at": note.resolved_at,
            "resolved_by_id": note.resolved_by_id,
            "resolved_by_push": None,
            "system": note.system,
            "internal": note.internal,
            "st_diff": None,
            "action": action,
            "url": f"{url}#note_{note.id}",
        },
        "repository": hook_repository(instance, project),
        **about,
    }


def pipeline_payload(instance: Instance, session: Session, pipeline: Pipeline) -> Wire:
    project = session.get_one(Project, pipeline.project_id)
    jobs = session.scalars(select(Job).where(Job.pipeline_id == pipeline.id, Job.retried.is_(False)).order_by(Job.id))
    commit = instance.repository(project).commit(pipeline.sha)
    merge_request = session.get(MergeRequest, pipeline.merge_request_id) if pipeline.merge_request_id else None
    return {
        "object_kind": "pipeline",
        "object_attributes": {
            "id": pipeline.id,
            "iid": pipeline.iid,
            "name": None,
            "ref": pipeline.ref,
            "tag": pipeline.tag,
            "sha": pipeline.sha,
            "before_sha": pipeline.before_sha,
            "source": pipeline.source,
            "status": pipeline.status,
            "detailed_status": "passed" if pipeline.status == "success" else pipeline.status,
            "stages": pipeline.stages,
            "created_at": hook_time(pipeline.created_at),
            "finished_at": hook_time(pipeline.finished_at),
            "duration": seconds_between(pipeline.started_at, pipeline.finished_at) if pipeline.finished_at else None,
            "queued_duration": None,
            "variables": [{"key": key, "value": value} for key, value in pipeline.variables.items()],
            "url": pipeline_url(instance, project, pipeline),
        },
        "merge_request": _pipeline_merge_request(instance, session, project, merge_request),
        "user": hook_user(pipeline.user),
        "project": hook_project(instance, project),
        "commit": hook_commit(instance, project, commit),
        "builds": [_pipeline_job(job) for job in jobs],
    }


def _pipeline_merge_request(
    instance: Instance, session: Session, project: Project, merge_request: MergeRequest | None
) -> Wire | None:
    if merge_request is None:
        return None
    full = hook_merge_request(instance, session, merge_request)
    keys = ("id", "iid", "title", "source_branch", "source_project_id", "target_branch", "target_project_id", "state")
    more = ("merge_status", "detailed_merge_status", "url")
    return {key: full[key] for key in (*keys, *more)}


def _pipeline_job(job: Job) -> Wire:
    return {
        "id": job.id,
        "stage": job.stage,
        "name": job.name,
        "status": job.status,
        "created_at": hook_time(job.created_at),
        "started_at": hook_time(job.started_at),
        "finished_at": hook_time(job.finished_at),
        "duration": seconds_between(job.started_at, job.finished_at),
        "queued_duration": None,
        "failure_reason": job.failure_reason,
        "when": job.when,
        "manual": job.when == "manual",
        "allow_failure": job.allow_failure,
        "user": hook_user(job.user),
        "runner": None,
        "artifacts_file": {"filename": None, "size": None},
        "environment": None,
    }


def job_payload(instance: Instance, project: Project, job: Job) -> Wire:
    pipeline = job.pipeline
    commit = instance.repository(project).commit(pipeline.sha)
    return {
        "object_kind": "build",
        "ref": pipeline.ref,
        "tag": pipeline.tag,
        "before_sha": pipeline.before_sha,
        "sha": pipeline.sha,
        "retries_count": 0,
        "build_id": job.id,
        "build_name": job.name,
        "build_stage": job.stage,
        "build_status": job.status,
        "build_created_at": hook_time(job.created_at),
        "build_started_at": hook_time(job.started_at),
        "build_finished_at": hook_time(job.finished_at),
        "build_duration": seconds_between(job.started_at, job.finished_at),
        "build_queued_duration": None,
        "build_allow_failure": job.allow_failure,
        "build_failure_reason": job.failure_reason or "unknown_failure",
        "pipeline_id": pipeline.id,
        "runner": None,
        "project_id": project.id,
        "project_name": name_with_namespace(project),
        "user": hook_user(job.user),
        "commit": {
            "id": pipeline.id,
            "name": None,
            "sha": pipeline.sha,
            "message": commit.message,
            "author_name": commit.author_name,
            "author_email": "[REDACTED]",
            "author_url": f"mailto:{commit.author_email}",
            "status": pipeline.status,
            "duration": seconds_between(pipeline.started_at, pipeline.finished_at),
            "started_at": hook_time(pipeline.started_at),
            "finished_at": hook_time(pipeline.finished_at),
        },
        "repository": hook_repository(instance, project),
        "project": hook_project(instance, project),
        "environment": None,
    }
