"""A GitLab as the reviewer needs it: drafts, verdicts, approvals, gates."""

import time
from collections.abc import Sequence
from typing import Literal

from mergewright.domain.approval import (
    Approvals,
    CommitStatus,
    DraftNote,
    Gates,
    Position,
    Reviewer,
    ReviewForge,
    StatusCheck,
)
from mergewright.domain.errors import Conflict, Forbidden, ForgeError, NotFound, Unauthorized
from mergewright.domain.forge import DiffRefs, Discussion, ForgeStatus, MergeRequest, Note, Project, Remote, User
from mergewright.domain.session import JSON, Subject
from mergewright.gitlab import review_wire, wire
from mergewright.gitlab.address import remote_address
from mergewright.gitlab.answer import PassingFault
from mergewright.gitlab.forge import GitLabForge, noteable_path, project_path
from mergewright.gitlab.graphql import mutation
from mergewright.gitlab.markers import mark_of, marked
from mergewright.gitlab.patience import patiently

PUBLISHES_ALL = (19, 2)
"""The version from which one call publishes drafts, summary and state."""
FRESH = 20.0
"""Seconds for which what a project is set to is not asked for again."""
JUST = 2.0
"""Seconds for which the approvals that `gates` looked at need not be asked for once more."""
NOT_FOUND = "not found"
HIDDEN = "you don't have permission"


class GitLabReviewForge(GitLabForge, ReviewForge):
    """What GitLabForge is, and all that a review does; one run of a review asks as little as it can."""

    def __init__(self, url: str, token: str, *, brief: bool = False, **options: JSON) -> None:
        super().__init__(url, token, **options)
        self._brief = brief
        """Leave out what a review does not need: the token's scopes, and what a merge request closes."""
        self._projects: dict[str, tuple[float, JSON]] = {}
        self._licensed: dict[str, bool] = {}
        self._drafts: dict[tuple[str, int], list[DraftNote]] = {}
        self._held: dict[tuple[str, int], tuple[float, Approvals]] = {}
        self._numbered = True
        """Whether this forge takes line numbers at the ends of a range; some refuse what they document."""

    async def _ask_status(self) -> ForgeStatus:
        if not self._brief:
            return await super()._ask_status()
        version = await self._connection.get("/version", what="its version")
        return ForgeStatus(self.url, wire.version(version), await self._user())

    @patiently
    async def project(self, path: str) -> Project:
        return wire.project(await self._settings(path))

    @patiently
    async def remote(self, project: str) -> Remote:
        return await self._connection.remote(remote_address(self.url, wire.project(await self._settings(project))))

    @patiently
    async def merge_request(self, project: str, iid: int) -> MergeRequest:
        if not self._brief:
            return await self._whole_merge_request(project, iid)
        data = await self._connection.get(_merge_request(project, iid), what=f"merge request `{project}!{iid}`")
        return wire.merge_request(data, project=project)

    @patiently
    async def merged(self, project: str, *, most: int = 50) -> Sequence[MergeRequest]:
        query: dict[str, JSON] = {
            "state": "merged",
            "order_by": "updated_at",
            "sort": "desc",
            "per_page": min(most, 100),
        }
        path, what = f"{project_path(project)}/merge_requests", f"the merged merge requests of `{project}`"
        found = await self._connection.get(path, what=what, query=query)
        return [wire.merge_request(item, project=project) for item in found if wire.text(item, "merged_at", "")]

    @patiently
    async def versions(self, project: str, iid: int) -> Sequence[DiffRefs]:
        path = f"{_merge_request(project, iid)}/versions"
        return review_wire.versions(await self._connection.all(path, what=f"the versions of `{project}!{iid}`"))

    @patiently
    async def reviewers(self, project: str, iid: int) -> Sequence[Reviewer]:
        path = f"{_merge_request(project, iid)}/reviewers"
        found = await self._connection.all(path, what=f"the reviewers of `{project}!{iid}`")
        return [review_wire.reviewer(item) for item in found]

    @patiently
    async def ask_reviewer(self, project: str, iid: int, username: str) -> None:
        given: dict[str, JSON] = {"reviewerUsernames": [username], "operationMode": "APPEND"}
        await self._mutate("mergeRequestSetReviewers", project, iid, **given)

    @patiently
    async def ask_again(self, project: str, iid: int, reviewer: User) -> None:
        await self._mutate("mergeRequestReviewerRereview", project, iid, userId=f"gid://gitlab/User/{reviewer.id}")

    @patiently
    async def approvals(self, project: str, iid: int) -> Approvals:
        at, held = self._held.pop((project, iid), (0.0, None))
        if held is not None and self._brief and time.monotonic() - at <= JUST:
            return held
        return await self._ask_approvals(project, iid)

    @patiently
    async def gates(self, project: str, iid: int) -> Gates:
        settings = await self._settings(project)
        self._held[project, iid] = time.monotonic(), await self._ask_approvals(project, iid)
        licensed = self._licensed[project]
        checks: Sequence[StatusCheck] = ()
        # Checks that need not pass keep no merge back: whatever they are, the gate is another one then.
        if licensed and wire.flag(settings, review_wire.STATUS_CHECKS):
            path = f"{_merge_request(project, iid)}/status_checks"
            try:
                found = await self._connection.all(path, what=f"the status checks of `{project}!{iid}`")
                checks = [review_wire.status_check(item) for item in found]
            except (NotFound, Forbidden):
                checks = ()
        return review_wire.gates(settings, native=licensed, checks=checks)

    @patiently
    async def draft_notes(self, project: str, iid: int) -> Sequence[DraftNote]:
        return tuple(await self._list_drafts(project, iid))

    @patiently
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
        known = self._drafts.get((project, iid))
        if known is None:
            known = await self._list_drafts(project, iid)
        for draft in known:
            if draft.mark == mark:
                return draft
        sent: dict[str, JSON] = {"note": marked(body, mark)}
        if discussion_id:
            sent["in_reply_to_discussion_id"] = discussion_id
            sent["resolve_discussion"] = bool(resolve)
        try:
            made = await self._write_draft(project, iid, sent, position)
        except PassingFault:
            # It may have been written: the next try looks.
            self._drafts.pop((project, iid), None)
            raise
        known.append(made)
        return made

    async def _write_draft(self, project: str, iid: int, sent: dict[str, JSON], at: Position | None) -> DraftNote:
        path, what = f"{_merge_request(project, iid)}/draft_notes", f"a draft on `{project}!{iid}`"
        while True:
            if at is not None:
                sent["position"] = review_wire.position(at, numbered=self._numbered)
            try:
                return review_wire.draft_note(await self._connection.post(path, what=what, body=sent))
            except ForgeError as error:
                # https://gitlab.com/gitlab-org/gitlab/-/issues/571619
                if "valid json schema" not in error.message or at is None or at.start is None or not self._numbered:
                    raise
                self._numbered = False

    @patiently
    async def drop_draft_note(self, project: str, iid: int, draft_id: int) -> None:
        path = f"{_merge_request(project, iid)}/draft_notes/{draft_id}"
        self._drafts.pop((project, iid), None)
        try:
            await self._connection.tell("delete", path, what=f"a draft on `{project}!{iid}`")
        except NotFound:
            return

    async def publish_review(
        self, project: str, iid: int, *, state: Literal["reviewed", "requested_changes"] | None, note: str, mark: str
    ) -> None:
        subject = Subject(project, "!", iid)
        at_once = review_wire.version_of((await self.status()).version) >= PUBLISHES_ALL
        self._drafts.pop((project, iid), None)
        path, what = f"{_merge_request(project, iid)}/draft_notes/bulk_publish", f"the review of `{project}!{iid}`"
        body: dict[str, JSON] = {}
        if at_once:
            body = {"note": marked(note, mark)} | ({"reviewer_state": state} if state else {})
        self._held.pop((project, iid), None)
        in_doubt = False

        async def once() -> None:
            nonlocal in_doubt
            if in_doubt and at_once and await self._has_note(subject, mark):
                # The state is set after the note, and may be what got lost.
                return await self._request_as_reviewer(project, iid, state)
            try:
                await self._connection.tell("post", path, what=what, body=body)
            except PassingFault as fault:
                in_doubt = in_doubt or fault.reached
                raise

        await self.patience.run(once)
        if not at_once:
            # The summary's mark says that all is published: whoever is killed before it begins again.
            await self._request_as_reviewer(project, iid, state)
            await self.add_note(subject, note, mark=mark)

    @patiently
    async def update_note(self, subject: Subject, note_id: int, body: str, *, mark: str) -> Note:
        path = f"{noteable_path(subject)}/notes/{note_id}"
        made = await self._connection.put(path, what=f"a note on `{subject}`", body={"body": marked(body, mark)})
        return wire.note(made, noteable_url=self._page(subject), me=(await self._user()).id)

    @patiently
    async def reply(self, subject: Subject, discussion_id: str, body: str, *, mark: str) -> Note:
        path, what = f"{noteable_path(subject)}/discussions/{discussion_id}", f"a thread on `{subject}`"
        me, page = (await self._user()).id, self._page(subject)
        there = wire.discussion(await self._connection.get(path, what=what), noteable_url=page, me=me)
        for note in there.notes:
            if note.mark == mark:
                return note
        made = await self._connection.post(f"{path}/notes", what=what, body={"body": marked(body, mark)})
        return wire.note(made, noteable_url=page, me=me)

    @patiently
    async def resolve(self, subject: Subject, discussion_id: str, *, resolved: bool) -> Discussion:
        path = f"{noteable_path(subject)}/discussions/{discussion_id}"
        data = await self._connection.put(path, what=f"a thread on `{subject}`", body={"resolved": resolved})
        return wire.discussion(data, noteable_url=self._page(subject), me=(await self._user()).id)

    @patiently
    async def approve(self, project: str, iid: int, *, sha: str) -> None:
        path, what = f"{_merge_request(project, iid)}/approve", f"the approval of `{project}!{iid}`"
        self._held.pop((project, iid), None)
        try:
            await self._connection.tell("post", path, what=what, body={"sha": sha})
        except Unauthorized as error:
            # The token is fine: GitLab says 401 to who has approved already, and to who may not.
            me = await self._user()
            if any(user.id == me.id for user in (await self.approvals(project, iid)).approved_by):
                return
            raise Forbidden(
                f"`{me.username}` may not approve `{project}!{iid}`",
                hint="authors and committers may not, and a role of Developer or more is needed",
            ) from error

    @patiently
    async def unapprove(self, project: str, iid: int) -> None:
        path = f"{_merge_request(project, iid)}/unapprove"
        self._held.pop((project, iid), None)
        try:
            await self._connection.tell("post", path, what=f"the approval of `{project}!{iid}`", body={})
        except NotFound:
            return

    @patiently
    async def request_changes(self, project: str, iid: int) -> None:
        await self._mutate("mergeRequestRequestChanges", project, iid)

    @patiently
    async def clear_request(self, project: str, iid: int) -> None:
        if self._licensed.get(project) is False:
            # Without a licence a request is a word beside the reviewer's name, and the next review sets that.
            return
        try:
            await self._mutate("mergeRequestDestroyRequestedChanges", project, iid)
        except ForgeError as error:
            if "has not requested changes" not in error.message and "Invalid license" not in error.message:
                raise

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
        body: dict[str, JSON] = {"state": state, "name": name, "description": description[:255]}
        body |= {"target_url": target_url} if target_url else {}
        # A pipeline knows its ref. With the branch beside the id of a merge request's pipeline none is found, and
        # the status gets a pipeline of its own, which gates nothing.
        body |= {"pipeline_id": pipeline_id} if pipeline_id else {"ref": ref} if ref else {}
        path, what = f"{project_path(project)}/statuses/{sha}", f"the status of {sha[:8]} in `{project}`"

        async def once() -> None:
            try:
                await self._connection.tell("post", path, what=what, body=body)
            except Conflict as error:
                raise PassingFault(error.message, hint=error.hint, reached=False) from error
            except ForgeError as error:
                # So GitLab answers where it stands already; where it does not, the old verdict must not pass for ours.
                if "Cannot transition status" not in error.message or not await self._stands(project, sha, name, state):
                    raise

        await self.patience.run(once)

    @patiently
    async def commit_statuses(self, project: str, sha: str) -> Sequence[CommitStatus]:
        path = f"{project_path(project)}/repository/commits/{sha}/statuses"
        found = await self._connection.all(path, what=f"the statuses of {sha[:8]} in `{project}`")
        return [review_wire.commit_status(item) for item in found]

    @patiently
    async def answer_status_check(
        self, project: str, iid: int, check_id: int, *, sha: str, status: Literal["pending", "passed", "failed"]
    ) -> None:
        body: dict[str, JSON] = {"sha": sha, "external_status_check_id": check_id, "status": status}
        path = f"{_merge_request(project, iid)}/status_check_responses"
        await self._connection.tell("post", path, what=f"a status check of `{project}!{iid}`", body=body)

    @patiently
    async def thumbs(self, subject: Subject, note_id: int) -> tuple[int, int]:
        path = f"{noteable_path(subject)}/notes/{note_id}/award_emoji"
        found = await self._connection.all(path, what=f"what people think of a note on `{subject}`")
        names = [wire.text(item, "name", "") for item in found]
        return names.count("thumbsup"), names.count("thumbsdown")

    async def _settings(self, path: str) -> JSON:
        at, known = self._projects.get(path, (0.0, None))
        if known is None or not self._brief or time.monotonic() - at > FRESH:
            known = await self._connection.get(project_path(path), what=f"project `{path}`")
            self._projects[path] = (time.monotonic(), known)
        return known

    async def _ask_approvals(self, project: str, iid: int) -> Approvals:
        what = f"the approvals of `{project}!{iid}`"
        given = await self._connection.get(f"{_merge_request(project, iid)}/approvals", what=what)
        licensed = isinstance(given, dict) and "approvals_required" in given
        self._licensed[project] = licensed
        rules: JSON = {}
        if licensed and review_wire.has_rules(given):
            rules = await self._connection.get(f"{_merge_request(project, iid)}/approval_state", what=what)
        return review_wire.approvals(given, rules)

    async def _request_as_reviewer(self, project: str, iid: int, state: str | None) -> None:
        if state != "requested_changes":
            return
        try:
            await self.request_changes(project, iid)
        except NotFound:
            # Who is no reviewer has no state: so it is too where one call does all.
            return

    async def _stands(self, project: str, sha: str, name: str, state: str) -> bool:
        """Whether the newest status of a name is ours, and says what it should."""
        path, me = f"{project_path(project)}/repository/commits/{sha}/statuses", await self._user()
        found = await self._connection.all(path, what=f"the statuses of {sha[:8]} in `{project}`")
        named = sorted((one for one in found if wire.text(one, "name") == name), key=lambda one: wire.number(one, "id"))
        newest = review_wire.commit_status(named[-1]) if named else None
        return newest is not None and (newest.status, newest.author) == (state, me.username)

    async def _list_drafts(self, project: str, iid: int) -> list[DraftNote]:
        path = f"{_merge_request(project, iid)}/draft_notes"
        found = await self._connection.all(path, what=f"our drafts on `{project}!{iid}`")
        self._drafts[project, iid] = [review_wire.draft_note(item) for item in found]
        return self._drafts[project, iid]

    async def _has_note(self, subject: Subject, mark: str) -> bool:
        me = await self._user()
        for item in await self._connection.all(f"{noteable_path(subject)}/notes", what=f"the notes on `{subject}`"):
            note = wire.note(item)
            if note.author.id == me.id and mark_of(note.body) == mark:
                return True
        return False

    async def _mutate(self, name: str, project: str, iid: int, **given: JSON) -> None:
        """Run a mutation of GraphQL; its own errors come out as ForgeError, with GitLab's words."""
        what = f"`{project}!{iid}`"
        sent = mutation(name, {"projectPath": project, "iid": str(iid), **given})
        answer = await self._connection.post(f"{self.url}/api/graphql", what=what, body=sent)
        self._held.pop((project, iid), None)
        if refused := review_wire.refusal(answer, name):
            message = f"The forge refuses the request: {what} ({refused})"
            if HIDDEN in refused:
                raise Forbidden(message, hint="give the token's owner the Developer role in the project")
            raise NotFound(message) if NOT_FOUND in refused else ForgeError(message)


def _merge_request(project: str, iid: int) -> str:
    return f"{project_path(project)}/merge_requests/{iid}"
