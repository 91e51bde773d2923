"""May a ref be changed, and what follows when it was."""

from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from mergewright.localforge.access import DEVELOPER, MAINTAINER, access_level, may_push, protection
from mergewright.localforge.announce import announce_push
from mergewright.localforge.ci.pipelines import create_pipeline
from mergewright.localforge.instance import Instance
from mergewright.localforge.merge_requests import source_pushed, target_pushed
from mergewright.localforge.notes import close_issue
from mergewright.localforge.references import issues_closed
from mergewright.localforge.repository import safe_branch
from mergewright.localforge.tables import Issue, MergeRequest, Project, ProtectedBranch, User
from mergewright.localforge.wire.projects import web_url

NO_SHA = "0" * 40


@dataclass(frozen=True, slots=True)
class RefUpdate:
    """A ref and the commits it goes from and to; zeros for none."""

    old: str
    new: str
    ref: str


def refusal(instance: Instance, session: Session, project: Project, user: User, update: RefUpdate) -> str | None:
    """Why this user may not make this change, in GitLab's words; None when they may."""
    level = access_level(session, project, user)
    if level < DEVELOPER:
        return "You are not allowed to push code to this project."
    if update.ref.startswith("refs/tags/"):
        return None
    if not update.ref.startswith("refs/heads/"):
        return "You can only push to branches and tags."
    branch = update.ref.removeprefix("refs/heads/")
    if not safe_branch(branch):
        return f"`{branch}` is not a valid branch name."
    repository = instance.repository(project)
    if update.new == NO_SHA:
        return _deletion_refusal(session, project, level, branch)
    empty = repository.empty()
    if empty and branch == project.default_branch and instance.settings.developers_can_push_first:
        return None
    if not may_push(session, project, level, branch):
        if empty:
            return (
                f"A default branch (e.g. {project.default_branch}) does not yet exist for "
                f"{project.path_with_namespace}\nAsk a project Owner or Maintainer to create a default branch:\n\n"
                f"  {web_url(instance, project)}/-/project_members"
            )
        return "You are not allowed to push code to protected branches on this project."
    return None


def _deletion_refusal(session: Session, project: Project, level: int, branch: str) -> str | None:
    if branch == project.default_branch:
        return "The default branch of a project cannot be deleted."
    if protection(session, project, branch) is None:
        return None
    if level < MAINTAINER:
        return (
            "You are not allowed to delete protected branches from this project. "
            "Only a project maintainer or owner can delete a protected branch."
        )
    return "You can only delete protected branches using the web interface."


def keeps_history(session: Session, project: Project, update: RefUpdate) -> bool:
    """Whether a ref's branch is protected against a push that rewrites it."""
    rule = protection(session, project, update.ref.removeprefix("refs/heads/"))
    return rule is not None and not rule.allow_force_push


def protect_default(session: Session, project: Project) -> None:
    """Protect the default branch as GitLab does: Maintainers push and merge."""
    known = select(ProtectedBranch).where(
        ProtectedBranch.project_id == project.id, ProtectedBranch.name == project.default_branch
    )
    if session.scalar(known) is None:
        session.add(ProtectedBranch(project_id=project.id, name=project.default_branch))
        session.flush()


def after_push(
    instance: Instance, session: Session, project: Project, user: User, update: RefUpdate, *, ci: bool = True
) -> None:
    """Everything that follows a changed ref: merge requests, pipelines, webhooks, closed issues."""
    announce_push(instance, session, project, user, ref=update.ref, before=update.old, after=update.new)
    if update.new == NO_SHA:
        return
    branch = update.ref.removeprefix("refs/heads/")
    tag = update.ref.startswith("refs/tags/")
    if not tag:
        source_pushed(instance, session, project, user, branch, update.old, update.new)
        target_pushed(instance, session, project, user, branch)
        if branch == project.default_branch:
            _close_issues(instance, session, project, user, update)
    if not ci:
        return
    # Only a tag may stand for something else than a commit.
    sha = (instance.repository(project).resolve(update.new) if tag else None) or update.new
    name = update.ref.removeprefix("refs/tags/") if tag else branch
    create_pipeline(instance, session, project, user, ref=name, sha=sha, source="push", before=update.old, tag=tag)
    if not tag:
        rows = select(MergeRequest).where(
            MergeRequest.project_id == project.id,
            MergeRequest.source_branch == branch,
            MergeRequest.state == "opened",
        )
        for merge_request in session.scalars(rows):
            merge_request_pipeline(instance, session, merge_request, user)


def merge_request_pipeline(instance: Instance, session: Session, merge_request: MergeRequest, user: User) -> None:
    """Make the pipeline a merge request has of its own, where the configuration asks for one."""
    if merge_request.sha:
        create_pipeline(
            instance,
            session,
            session.get_one(Project, merge_request.project_id),
            user,
            ref=f"refs/merge-requests/{merge_request.iid}/head",
            sha=merge_request.sha,
            source="merge_request_event",
            merge_request=merge_request,
        )


def _close_issues(instance: Instance, session: Session, project: Project, user: User, update: RefUpdate) -> None:
    # A first push brings a whole history along; only what is pushed afterwards closes issues.
    if update.old == NO_SHA or not project.autoclose_referenced_issues:
        return
    for commit in instance.repository(project).log(update.new, f"^{update.old}", limit=100):
        for iid in issues_closed(commit.message, project):
            issue = session.scalar(select(Issue).where(Issue.project_id == project.id, Issue.iid == iid))
            if issue:
                close_issue(instance, session, issue, user)
