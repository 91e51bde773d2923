"""What happens to merge requests: new versions, merging, closing what they close."""

from sqlalchemy import ColumnElement, select
from sqlalchemy.orm import Session

from mergewright.localforge.announce import announce_merge_request
from mergewright.localforge.approval_rules import licensed, settings_of
from mergewright.localforge.approvals import reset
from mergewright.localforge.clock import now
from mergewright.localforge.errors import Refused
from mergewright.localforge.instance import Instance
from mergewright.localforge.notes import add_system_note, close_issue
from mergewright.localforge.references import is_draft, issues_closed, without_draft
from mergewright.localforge.repository import Repository
from mergewright.localforge.tables import Issue, MergeRequest, Project, User, Version
from mergewright.localforge.tracing import Refs, trace_notes


def refresh(instance: Instance, session: Session, merge_request: MergeRequest) -> bool:
    """Bring a merge request up to its branches; true when its commits changed."""
    project = session.get_one(Project, merge_request.project_id)
    repository = instance.repository(project)
    head = repository.branch(merge_request.source_branch)
    target = repository.branch(merge_request.target_branch)
    if head is None or target is None:
        return False
    base = repository.merge_base(target, head) or target
    if merge_request.sha == head and merge_request.base_sha == base:
        return False
    moved = merge_request.sha != head
    merge_request.sha, merge_request.base_sha, merge_request.start_sha = head, base, target
    repository.git("update-ref", f"refs/merge-requests/{merge_request.iid}/head", head)
    session.add(
        Version(
            merge_request_id=merge_request.id,
            head_commit_sha=head,
            base_commit_sha=base,
            start_commit_sha=target,
            real_size=str(len(repository.diff(base, head))),
            patch_id_sha=repository.patch_id(base, head),
        )
    )
    session.flush()
    return moved


def source_pushed(
    instance: Instance, session: Session, project: Project, user: User, branch: str, before: str, after: str
) -> None:
    """Carry a push of a source branch into its open merge requests."""
    repository = instance.repository(project)
    for merge_request in _open(session, project, MergeRequest.source_branch == branch):
        old = merge_request.sha
        refs = Refs(merge_request.base_sha, merge_request.start_sha, merge_request.sha)
        patch = merge_request_patch(session, merge_request)
        if not refresh(instance, session, merge_request):
            continue
        resets = licensed(instance) and settings_of(session, project.id).reset_approvals_on_push
        # A pure rebase changes nothing that was approved.
        if resets and merge_request_patch(session, merge_request) != patch:
            reset(session, merge_request)
        trace_notes(repository, session, merge_request, refs, user)
        merge_request.updated_at = now()
        merge_request.merge_when_pipeline_succeeds = False
        add_system_note(session, merge_request, user, added_commits_note(repository, merge_request, before, after))
        announce_merge_request(instance, session, merge_request, user, "update", oldrev=old or before)


def merge_request_patch(session: Session, merge_request: MergeRequest) -> str:
    """The name of what a merge request changes, the same wherever it is based."""
    rows = select(Version.patch_id_sha).where(Version.merge_request_id == merge_request.id)
    return session.scalar(rows.order_by(Version.id.desc()).limit(1)) or ""


def added_commits_note(repository: Repository, merge_request: MergeRequest, before: str, after: str) -> str:
    known = repository.resolve(before)
    commits = repository.log(after, f"^{known or merge_request.base_sha}", f"^{merge_request.start_sha}", limit=100)
    lines = "".join(f"<li>{c.sha[:8]} - {_escape(c.title)}</li>" for c in reversed(commits))
    return f"added {len(commits)} commit{'' if len(commits) == 1 else 's'}\n\n<ul>{lines}</ul>"


def _escape(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def target_pushed(instance: Instance, session: Session, project: Project, user: User, branch: str) -> None:
    """Mark merge requests as merged whose commits have reached their target by a push."""
    repository = instance.repository(project)
    waiting = _open(session, project, MergeRequest.target_branch == branch)
    heads = {one.sha for one in waiting if one.sha and one.sha != one.base_sha}
    target = repository.branch(branch)
    reached = repository.contained(heads, target) if target else set()
    for merge_request in waiting:
        if merge_request.sha in reached and merge_request.sha != merge_request.base_sha:
            finish(instance, session, merge_request, user, merge_commit=None)


def change_state(instance: Instance, session: Session, merge_request: MergeRequest, user: User, event: str) -> None:
    """Close or reopen; where it stands so already, nothing happens."""
    if event == "close" and merge_request.state == "opened":
        merge_request.state, merge_request.closed_by_id = "closed", user.id
        merge_request.closed_at = merge_request.updated_at = now()
        announce_merge_request(
            instance, session, merge_request, user, "close", {"state_id": {"previous": 1, "current": 2}}
        )
    elif event == "reopen" and merge_request.state == "closed":
        same = select(MergeRequest.iid).where(
            MergeRequest.project_id == merge_request.project_id,
            MergeRequest.source_branch == merge_request.source_branch,
            MergeRequest.target_branch == merge_request.target_branch,
            MergeRequest.state == "opened",
        )
        if (other := session.scalar(same)) is not None:
            text = f"Another open merge request already exists for this source branch: !{other}"
            raise Refused(409, {"message": [text]})
        merge_request.state, merge_request.closed_by_id, merge_request.closed_at = "opened", None, None
        merge_request.updated_at = now()
        refresh(instance, session, merge_request)
        announce_merge_request(
            instance, session, merge_request, user, "reopen", {"state_id": {"previous": 2, "current": 1}}
        )


def set_draft(instance: Instance, session: Session, merge_request: MergeRequest, user: User, *, draft: bool) -> bool:
    """Make a merge request a draft or ready; false when it was already."""
    if is_draft(merge_request.title) == draft:
        return False
    plain = without_draft(merge_request.title)
    merge_request.title = f"Draft: {plain}" if draft else plain
    merge_request.updated_at = now()
    add_system_note(session, merge_request, user, f"marked this merge request as **{'draft' if draft else 'ready'}**")
    changes = {"draft": {"previous": not draft, "current": draft}}
    announce_merge_request(instance, session, merge_request, user, "update", changes)
    return True


def _open(session: Session, project: Project, condition: ColumnElement[bool]) -> list[MergeRequest]:
    rows = select(MergeRequest).where(MergeRequest.project_id == project.id, MergeRequest.state == "opened")
    return list(session.scalars(rows.where(condition)))


def closing_iids(instance: Instance, project: Project, merge_request: MergeRequest) -> list[int]:
    """The issues that merging would close: only a merge into the default branch closes any."""
    if merge_request.target_branch != project.default_branch or not project.autoclose_referenced_issues:
        return []
    texts = [merge_request.title, merge_request.description or ""]
    if merge_request.sha:
        repository = instance.repository(project)
        texts += [c.message for c in repository.log(merge_request.sha, f"^{merge_request.base_sha}", limit=100)]
    return list(dict.fromkeys(iid for text in texts for iid in issues_closed(text, project)))


def closing_issues(instance: Instance, session: Session, merge_request: MergeRequest) -> list[Issue]:
    project = session.get_one(Project, merge_request.project_id)
    iids = closing_iids(instance, project, merge_request)
    rows = select(Issue).where(Issue.project_id == project.id, Issue.iid.in_(iids)).order_by(Issue.iid)
    return list(session.scalars(rows))


def finish(
    instance: Instance, session: Session, merge_request: MergeRequest, user: User, *, merge_commit: str | None
) -> None:
    """Record that a merge request is merged and close the issues it closes."""
    issues = closing_issues(instance, session, merge_request)
    merge_request.state = "merged"
    merge_request.merge_commit_sha = merge_commit
    merge_request.merge_user_id = user.id
    merge_request.merged_at = merge_request.updated_at = now()
    announce_merge_request(instance, session, merge_request, user, "merge", {"state_id": {"previous": 1, "current": 3}})
    for issue in issues:
        close_issue(instance, session, issue, user)
