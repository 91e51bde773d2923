"""Merging: at once, or when the pipeline has succeeded."""

from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from mergewright.localforge.commits import Person, delete_branch, merged_tree, set_branch, write_commit
from mergewright.localforge.errors import Refused
from mergewright.localforge.instance import Instance
from mergewright.localforge.merge_requests import finish
from mergewright.localforge.mergeability import detailed_merge_status, head_pipeline
from mergewright.localforge.pushes import NO_SHA, RefUpdate, after_push
from mergewright.localforge.references import issues_closed
from mergewright.localforge.tables import MergeRequest, Pipeline, Project, User


@dataclass(frozen=True, slots=True)
class MergeOptions:
    """How to merge; empty messages mean GitLab's own."""

    message: str = ""
    squash: bool = False
    squash_message: str = ""
    remove_source: bool = False


def auto_merge(instance: Instance, session: Session, pipeline: Pipeline) -> None:
    """Merge what was waiting for this pipeline to succeed, if nothing else stands in the way."""
    if pipeline.status != "success":
        return
    rows = select(MergeRequest).where(
        MergeRequest.project_id == pipeline.project_id,
        MergeRequest.state == "opened",
        MergeRequest.merge_when_pipeline_succeeds.is_(True),
        MergeRequest.sha == pipeline.sha,
    )
    for merge_request in session.scalars(rows).all():
        head = head_pipeline(session, merge_request)
        user = session.get(User, merge_request.merge_user_id) if merge_request.merge_user_id else None
        mergeable = detailed_merge_status(instance, session, merge_request) == "mergeable"
        if user and mergeable and head and head.id == pipeline.id:
            options = MergeOptions(squash=merge_request.squash, remove_source=merge_request.force_remove_source_branch)
            accept(instance, session, merge_request, user, options)


def accept(
    instance: Instance, session: Session, merge_request: MergeRequest, user: User, options: MergeOptions
) -> None:
    """Merge, and do what follows the pushes that a merge is made of; the caller has checked that it may."""
    project = session.get_one(Project, merge_request.project_id)
    repository = instance.repository(project)
    before, after = _merge(instance, session, merge_request, user, options)
    target = RefUpdate(before, after, f"refs/heads/{merge_request.target_branch}")
    after_push(instance, session, project, user, target)
    if repository.branch(merge_request.source_branch) is None:
        gone = RefUpdate(merge_request.sha, NO_SHA, f"refs/heads/{merge_request.source_branch}")
        after_push(instance, session, project, user, gone)


def _merge(
    instance: Instance, session: Session, merge_request: MergeRequest, user: User, options: MergeOptions
) -> tuple[str, str]:
    """Put the merge commit on the target branch; returns where that stood and stands."""
    project = session.get_one(Project, merge_request.project_id)
    repository = instance.repository(project)
    target = repository.branch(merge_request.target_branch) or ""
    tree = merged_tree(repository, target, merge_request.sha)
    if tree is None:
        raise Refused(422, {"message": "Branch cannot be merged"})
    person = Person(user.name, user.email)
    source = merge_request.sha
    if options.squash:
        author = session.get_one(User, merge_request.author_id)
        base_tree = f"{merge_request.sha}^{{tree}}"
        source = write_commit(
            repository,
            repository.git("rev-parse", base_tree).decode().strip(),
            [merge_request.base_sha],
            options.squash_message or merge_request.title,
            author=Person(author.name, author.email),
            committer=person,
        )
        merge_request.squash_commit_sha = source
    text = options.message or default_message(project, merge_request)
    sha = write_commit(repository, tree, [target, source], text, author=person, committer=person)
    set_branch(repository, merge_request.target_branch, sha, old=target)
    finish(instance, session, merge_request, user, merge_commit=sha)
    if options.remove_source and merge_request.source_branch != project.default_branch:
        delete_branch(repository, merge_request.source_branch)
    return target, sha


def default_message(project: Project, merge_request: MergeRequest) -> str:
    closed = " ".join(f"#{iid}" for iid in issues_closed(merge_request.description or "", project))
    closes = f"Closes {closed}\n\n" if closed else ""
    return (
        f"Merge branch '{merge_request.source_branch}' into '{merge_request.target_branch}'\n\n"
        f"{merge_request.title}\n\n{closes}See merge request {project.path_with_namespace}!{merge_request.iid}"
    )
