"""Projects, hooks and labels on the wire."""

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from mergewright.localforge.approval_rules import settings_of
from mergewright.localforge.call import Wire
from mergewright.localforge.instance import Instance
from mergewright.localforge.tables import Hook, Issue, Label, MergeRequest, Project
from mergewright.localforge.wire.users import user_or_none

VISIBILITY_LEVELS = {"private": 0, "internal": 10, "public": 20}
HOOK_EVENTS = (
    "push_events",
    "tag_push_events",
    "merge_requests_events",
    "repository_update_events",
    "issues_events",
    "confidential_issues_events",
    "note_events",
    "confidential_note_events",
    "pipeline_events",
    "wiki_page_events",
    "deployment_events",
    "feature_flag_events",
    "job_events",
    "releases_events",
    "milestone_events",
    "emoji_events",
    "resource_access_token_events",
    "vulnerability_events",
)
ON, OFF = "enabled", "disabled"


def web_url(instance: Instance, project: Project) -> str:
    return f"{instance.url}/{project.path_with_namespace}"


def git_url(instance: Instance, project: Project) -> str:
    return f"{web_url(instance, project)}.git"


def ssh_url(project: Project) -> str:
    # Nothing listens there; clients want the key and never use it with a token.
    return f"git@localhost:{project.path_with_namespace}.git"


def name_with_namespace(project: Project) -> str:
    return " / ".join([*project.namespace.split("/"), project.name]) if project.namespace else project.name


def namespace_wire(instance: Instance, project: Project) -> Wire:
    path = project.namespace
    return {
        "id": project.id,
        "name": path.rpartition("/")[2],
        "path": path.rpartition("/")[2],
        "kind": "group",
        "full_path": path,
        "parent_id": None,
        "avatar_url": None,
        "web_url": f"{instance.url}/groups/{path}",
    }


def _status_checks(instance: Instance, session: Session, project: Project) -> Wire:
    if instance.settings.tier != "ultimate":
        return {}
    on = settings_of(session, project.id).only_allow_merge_if_all_status_checks_passed
    return {"only_allow_merge_if_all_status_checks_passed": on}


def project_wire(instance: Instance, session: Session, project: Project, *, level: int, member: int | None) -> Wire:
    url = web_url(instance, project)
    api = f"{instance.url}/api/v4/projects/{project.id}"
    repository = instance.repository(project)
    empty = repository.empty()
    open_issues = select(func.count()).where(Issue.project_id == project.id, Issue.state == "opened")
    return {
        "id": project.id,
        "description": project.description,
        "name": project.name,
        "name_with_namespace": name_with_namespace(project),
        "path": project.path,
        "path_with_namespace": project.path_with_namespace,
        "created_at": project.created_at,
        "updated_at": project.updated_at,
        "default_branch": None if empty and not level else project.default_branch,
        "tag_list": [],
        "topics": [],
        "ssh_url_to_repo": ssh_url(project),
        "http_url_to_repo": git_url(instance, project),
        "web_url": url,
        "readme_url": None,
        "forks_count": 0,
        "avatar_url": None,
        "star_count": 0,
        "last_activity_at": project.updated_at,
        "namespace": namespace_wire(instance, project),
        "_links": {
            "self": api,
            "issues": f"{api}/issues",
            "merge_requests": f"{api}/merge_requests",
            "repo_branches": f"{api}/repository/branches",
            "labels": f"{api}/labels",
            "events": f"{api}/events",
            "members": f"{api}/members",
        },
        "empty_repo": empty,
        "archived": False,
        "visibility": project.visibility,
        "owner": user_or_none(instance, session, project.creator_id),
        "creator_id": project.creator_id,
        "resolve_outdated_diff_discussions": False,
        "repository_object_format": "sha1",
        "issues_enabled": project.issues_enabled,
        "merge_requests_enabled": project.merge_requests_enabled,
        "jobs_enabled": project.jobs_enabled,
        "wiki_enabled": False,
        "snippets_enabled": False,
        "container_registry_enabled": False,
        "packages_enabled": False,
        "service_desk_enabled": False,
        "lfs_enabled": False,
        "shared_runners_enabled": instance.runs_jobs,
        "can_create_merge_request_in": level >= 20,
        "issues_access_level": ON if project.issues_enabled else OFF,
        "repository_access_level": ON,
        "merge_requests_access_level": ON if project.merge_requests_enabled else OFF,
        "forking_access_level": OFF,
        "wiki_access_level": OFF,
        "builds_access_level": ON if project.jobs_enabled else OFF,
        "snippets_access_level": OFF,
        "import_status": "none",
        "import_error": None,
        "open_issues_count": session.scalar(open_issues),
        "ci_default_git_depth": 20,
        "ci_config_path": None,
        "public_jobs": True,
        "shared_with_groups": [],
        "only_allow_merge_if_pipeline_succeeds": project.only_allow_merge_if_pipeline_succeeds,
        "allow_merge_on_skipped_pipeline": project.allow_merge_on_skipped_pipeline,
        "request_access_enabled": False,
        "only_allow_merge_if_all_discussions_are_resolved": project.only_allow_merge_if_all_discussions_are_resolved,
        **_status_checks(instance, session, project),
        "remove_source_branch_after_merge": project.remove_source_branch_after_merge,
        "printing_merge_request_link_enabled": True,
        "merge_method": "merge",
        "squash_option": "default_off",
        "suggestion_commit_message": None,
        "merge_commit_template": None,
        "squash_commit_template": None,
        "autoclose_referenced_issues": project.autoclose_referenced_issues,
        "permissions": {
            "project_access": {"access_level": member, "notification_level": 3} if member else None,
            "group_access": None,
        },
    }


def hook_project(instance: Instance, project: Project) -> Wire:
    """A project as webhook payloads show it."""
    url, git = web_url(instance, project), git_url(instance, project)
    return {
        "id": project.id,
        "name": project.name,
        "description": project.description,
        "web_url": url,
        "avatar_url": None,
        "git_ssh_url": ssh_url(project),
        "git_http_url": git,
        "namespace": project.namespace,
        "visibility_level": VISIBILITY_LEVELS[project.visibility],
        "path_with_namespace": project.path_with_namespace,
        "default_branch": project.default_branch,
        "ci_config_path": None,
        "homepage": url,
        "url": git,
        "ssh_url": ssh_url(project),
        "http_url": git,
    }


def hook_repository(instance: Instance, project: Project) -> Wire:
    url, git = web_url(instance, project), git_url(instance, project)
    return {
        "name": project.name,
        "url": git,
        "description": project.description,
        "homepage": url,
        "git_http_url": git,
        "git_ssh_url": ssh_url(project),
        "visibility_level": VISIBILITY_LEVELS[project.visibility],
    }


def hook_wire(hook: Hook) -> Wire:
    """A webhook; its secret token is never shown."""
    return {
        "id": hook.id,
        "url": hook.url,
        "name": hook.name,
        "description": hook.description,
        "created_at": hook.created_at,
        "project_id": hook.project_id,
        "enable_ssl_verification": hook.enable_ssl_verification,
        "alert_status": "executable",
        "disabled_until": None,
        "url_variables": [],
        "push_events_branch_filter": None,
        "branch_filter_strategy": "wildcard",
        "custom_webhook_template": None,
        "custom_headers": [],
        **{event: event in hook.events for event in HOOK_EVENTS},
    }


def label_wire(session: Session, label: Label) -> Wire:
    issues = session.execute(select(Issue.labels, Issue.state).where(Issue.project_id == label.project_id)).all()
    merge_requests = session.scalars(
        select(MergeRequest.labels).where(MergeRequest.project_id == label.project_id, MergeRequest.state == "opened")
    )
    states = [state for labels, state in issues if label.name in labels]
    return {
        "id": label.id,
        "name": label.name,
        "description": label.description,
        "description_html": "",
        "text_color": "#FFFFFF",
        "color": label.color,
        "archived": False,
        "open_issues_count": states.count("opened"),
        "closed_issues_count": states.count("closed"),
        "open_merge_requests_count": sum(label.name in labels for labels in merge_requests),
        "subscribed": False,
        "priority": None,
        "is_project_label": True,
    }


def hook_label(label: Label) -> Wire:
    return {
        "id": label.id,
        "title": label.name,
        "color": label.color,
        "project_id": label.project_id,
        "created_at": label.created_at,
        "updated_at": label.created_at,
        "template": False,
        "description": label.description,
        "type": "ProjectLabel",
        "group_id": None,
    }
