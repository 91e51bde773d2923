"""A GitLab, as the rest of the program sees it."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from urllib.parse import quote

from mergewright.domain.errors import Conflict, ForgeError, NotFound, Unauthorized, Unreachable, WrongUse
from mergewright.domain.forge import (
    AccessLevel,
    Discussion,
    Forge,
    ForgeStatus,
    Issue,
    Job,
    MergeRequest,
    Note,
    Pipeline,
    Project,
    Remote,
    User,
)
from mergewright.domain.session import JSON, Subject
from mergewright.gitlab import wire
from mergewright.gitlab.address import forge_address, remote_address
from mergewright.gitlab.answer import PassingFault
from mergewright.gitlab.connection import Connection, Watcher
from mergewright.gitlab.markers import DESCRIPTION_LIMIT, mark_of, marked, safe_text, safe_title
from mergewright.gitlab.patience import Patience, patiently

TRACE_LIMIT = 200_000
"""Bytes of a job's log that are kept: what made it fail stands at its end."""


class GitLabForge(Forge):
    """gitlab.com, a self-managed GitLab or the local forge, for one token."""

    def __init__(
        self,
        url: str,
        token: str,
        *,
        allow_http: bool = False,
        retries: int = 7,
        patience: float = 60.0,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        timeout: float = 30.0,
    ) -> None:
        self.url = forge_address(url, allow_http=allow_http)
        if not token or not token.isascii() or not token.isprintable() or " " in token:
            raise WrongUse(f"This is no token for `{self.url}`", hint="give a personal, project or group access token")
        self.patience = Patience(retries, patience, sleep)
        self._connection = Connection(self.url, token, timeout=timeout)
        self._me: User | None = None
        self._status: ForgeStatus | None = None

    @property
    def watchers(self) -> list[Watcher]:
        """Who is told of each answer: they must neither wait nor fail."""
        return self._connection.watchers

    def close(self) -> None:
        """Give the sockets back."""
        self._connection.close()

    async def look(self) -> None:
        """Ask once whether the forge answers; raises ForgeError where it does not."""
        once = replace(self.patience, retries=0)
        await once.run(lambda: self._connection.get("/version", what="its version"))

    @patiently
    async def status(self) -> ForgeStatus:
        if self._status is None:
            self._status = await self._ask_status()
        return self._status

    async def _ask_status(self) -> ForgeStatus:
        version = await self._connection.get("/version", what="its version")
        user = await self._user()
        try:
            token = await self._connection.get("/personal_access_tokens/self", what="the token's scopes")
        except ForgeError as refusal:
            # A token that is no personal one, or may not look at itself, works all the same.
            if isinstance(refusal, Unauthorized | Unreachable):
                raise
            token = {}
        return ForgeStatus(self.url, wire.version(version), user, wire.scopes(token))

    @patiently
    async def scopes(self) -> tuple[str, ...]:
        """Give what the token may do, be it personal or an application's; nothing where the forge does not say."""
        what = "the token's scopes"
        for path, name in (("/personal_access_tokens/self", "scopes"), (f"{self.url}/oauth/token/info", "scope")):
            try:
                found = await self._connection.get(path, what=what)
            except ForgeError as refusal:
                if isinstance(refusal, Unreachable):
                    raise
            else:
                return tuple(str(scope) for scope in wire.items(found, name))
        return ()

    @patiently
    async def project(self, path: str) -> Project:
        return await self._project(path)

    @patiently
    async def access_level(self, project: str, user_id: int) -> AccessLevel:
        member = await self._part(project, "members/all", str(user_id))
        return AccessLevel.NONE if member is None else wire.access_level(member)

    @patiently
    async def group(self, path: str) -> str:
        return await self._group(path)

    @patiently
    async def group_level(self, group: str, user_id: int) -> AccessLevel:
        path = f"/groups/{_segment(group)}/members/all/{user_id}"
        try:
            member = await self._connection.get(path, what=f"the members of `{group}`")
        except NotFound:
            await self._group(group)
            return AccessLevel.NONE
        return wire.access_level(member)

    @patiently
    async def remote(self, project: str) -> Remote:
        return await self._connection.remote(remote_address(self.url, await self._project(project)))

    @patiently
    async def branch(self, project: str, name: str) -> str | None:
        found = await self._part(project, "repository/branches", name)
        return None if found is None else wire.commit_of(found)

    @patiently
    async def may_push(self, project: str, branch: str) -> bool:
        found = await self._part(project, "repository/branches", branch)
        return found is not None and wire.may_push(found)

    @patiently
    async def file(self, project: str, path: str, *, ref: str) -> bytes | None:
        found = await self._part(project, "repository/files", path, query={"ref": ref})
        return None if found is None else wire.content(found)

    @patiently
    async def issue(self, project: str, iid: int) -> Issue:
        data = await self._connection.get(f"{project_path(project)}/issues/{iid}", what=f"issue `{project}#{iid}`")
        return wire.issue(data, project=project)

    async def open_issue(self, project: str, *, title: str, description: str) -> Issue:
        path, what = f"{project_path(project)}/issues", f"a new issue in `{project}`"
        body = {"title": safe_title(title), "description": safe_text(description, limit=DESCRIPTION_LIMIT)}
        newest = await self.patience.run(lambda: self._newest_issues(path, what))
        before = max((wire.number(item, "iid") for item in newest), default=0)
        in_doubt = False

        async def once() -> JSON:
            nonlocal in_doubt
            if in_doubt:
                me = await self._user()
                for item in await self._newest_issues(path, what):
                    found = wire.issue(item, project=project)
                    if found.iid > before and found.author.id == me.id and found.title == body["title"]:
                        return item
            try:
                return await self._connection.post(path, what=what, body=body)
            except PassingFault as fault:
                in_doubt = in_doubt or fault.reached
                raise

        return wire.issue(await self.patience.run(once), project=project)

    @patiently
    async def discussions(self, subject: Subject) -> Sequence[Discussion]:
        found = await self._connection.all(f"{noteable_path(subject)}/discussions", what=f"the threads of `{subject}`")
        me, page = (await self._user()).id, self._page(subject)
        return [wire.discussion(item, noteable_url=page, me=me) for item in found]

    @patiently
    async def add_note(self, subject: Subject, body: str, *, mark: str) -> Note:
        text = marked(body, mark)
        path, me, page = f"{noteable_path(subject)}/notes", await self._user(), self._page(subject)
        query: dict[str, JSON] = {"order_by": "created_at", "sort": "asc"}
        for item in await self._connection.all(path, what=f"the notes on `{subject}`", query=query):
            note = wire.note(item, noteable_url=page)
            if note.author.id == me.id and not note.system and mark_of(note.body) == mark:
                return note
        made = await self._connection.post(path, what=f"a note on `{subject}`", body={"body": text})
        return wire.note(made, noteable_url=page)

    @patiently
    async def merge_request(self, project: str, iid: int) -> MergeRequest:
        return await self._whole_merge_request(project, iid)

    @patiently
    async def find_merge_request(self, project: str, *, source_branch: str) -> MergeRequest | None:
        return await self._find_merge_request(project, source_branch)

    @patiently
    async def open_merge_request(
        self, project: str, *, source_branch: str, target_branch: str, title: str, description: str
    ) -> MergeRequest:
        if (found := await self._find_merge_request(project, source_branch)) is not None:
            return found
        body: dict[str, JSON] = {
            "source_branch": source_branch,
            "target_branch": target_branch,
            "title": safe_title(title),
            "description": safe_text(description, limit=DESCRIPTION_LIMIT),
        }
        what = f"a merge request from `{source_branch}` in `{project}`"
        try:
            made = await self._connection.post(f"{project_path(project)}/merge_requests", what=what, body=body)
        except Conflict:
            # Somebody may have opened it between our look and our write.
            if (found := await self._find_merge_request(project, source_branch)) is None:
                raise
            return found
        return wire.merge_request(made, project=project)

    @patiently
    async def update_merge_request(
        self, project: str, iid: int, *, title: str | None = None, description: str | None = None
    ) -> MergeRequest:
        body: dict[str, JSON] = {}
        if title is not None:
            body["title"] = safe_title(title)
        if description is not None:
            body["description"] = safe_text(description, limit=DESCRIPTION_LIMIT)
        path, what = f"{project_path(project)}/merge_requests/{iid}", f"merge request `{project}!{iid}`"
        data = await (
            self._connection.put(path, what=what, body=body) if body else self._connection.get(path, what=what)
        )
        return wire.merge_request(data, project=project)

    @patiently
    async def pipelines(self, project: str, *, sha: str) -> Sequence[Pipeline]:
        query: dict[str, JSON] = {"sha": sha, "order_by": "id", "sort": "desc"}
        path = f"{project_path(project)}/pipelines"
        found = await self._connection.all(path, what=f"the pipelines of `{project}`", query=query)
        return sorted((wire.pipeline(item) for item in found), key=lambda pipeline: pipeline.id, reverse=True)

    @patiently
    async def pipeline(self, project: str, pipeline_id: int) -> Pipeline:
        path = f"{project_path(project)}/pipelines/{pipeline_id}"
        return wire.pipeline(await self._connection.get(path, what=f"pipeline {pipeline_id} in `{project}`"))

    @patiently
    async def jobs(self, project: str, pipeline_id: int) -> Sequence[Job]:
        path = f"{project_path(project)}/pipelines/{pipeline_id}/jobs"
        found = await self._connection.all(path, what=f"the jobs of pipeline {pipeline_id} in `{project}`")
        return sorted((wire.job(item) for item in found), key=lambda job: job.id)

    @patiently
    async def job_trace(self, project: str, job_id: int) -> str:
        path = f"{project_path(project)}/jobs/{job_id}/trace"
        data = await self._connection.text(path, what=f"the log of job {job_id} in `{project}`")
        return data[-TRACE_LIMIT:].decode("utf-8", "replace")

    async def _user(self) -> User:
        if self._me is None:
            self._me = wire.user(await self._connection.get("/user", what="the token's owner"))
        return self._me

    async def _whole_merge_request(self, project: str, iid: int) -> MergeRequest:
        path = f"{project_path(project)}/merge_requests/{iid}"
        data = await self._connection.get(path, what=f"merge request `{project}!{iid}`")
        closed = await self._connection.all(f"{path}/closes_issues", what=f"what `{project}!{iid}` closes")
        return replace(wire.merge_request(data, project=project), closes_issues=wire.closed_with(data, closed))

    async def _project(self, path: str) -> Project:
        return wire.project(await self._connection.get(project_path(path), what=f"project `{path}`"))

    async def _group(self, path: str) -> str:
        query: dict[str, JSON] = {"with_projects": False}
        return wire.full_path(
            await self._connection.get(f"/groups/{_segment(path)}", what=f"group `{path}`", query=query)
        )

    async def _part(self, project: str, kind: str, name: str, *, query: dict[str, JSON] | None = None) -> JSON | None:
        """A named part of a project, None where it is absent; a project that we do not see is an error."""
        try:
            path = f"{project_path(project)}/{kind}/{_segment(name)}"
            return await self._connection.get(path, what=f"`{name}` in `{project}`", query=query)
        except NotFound:
            await self._project(project)
            return None

    async def _newest_issues(self, path: str, what: str) -> Sequence[JSON]:
        query = {"order_by": "created_at", "sort": "desc", "per_page": 20}
        found = await self._connection.get(path, what=what, query=query)
        return found if isinstance(found, list) else []

    async def _find_merge_request(self, project: str, source_branch: str) -> MergeRequest | None:
        query: dict[str, JSON] = {"source_branch": source_branch, "state": "opened", "scope": "all"}
        path, what = f"{project_path(project)}/merge_requests", f"the merge requests of `{project}`"
        for item in await self._connection.all(path, what=what, query=query):
            found = wire.merge_request(item, project=project)
            if found.source_branch == source_branch and found.state == "opened" and not wire.is_from_a_fork(item):
                return found
        return None

    def _page(self, subject: Subject) -> str:
        return f"{self.url}/{subject.project}/-/{_kind(subject)}/{subject.iid}"


def _kind(subject: Subject) -> str:
    return "merge_requests" if subject.kind == "!" else "issues"


def noteable_path(subject: Subject) -> str:
    return f"{project_path(subject.project)}/{_kind(subject)}/{subject.iid}"


def project_path(path: str) -> str:
    return f"/projects/{_segment(path)}"


def _segment(name: str) -> str:
    """One part of an address; a name of dots alone would climb out of it, and no name holds a NUL."""
    if not name.strip(".") or "\0" in name:
        raise NotFound(f"`{name}` names nothing on a forge")
    return quote(name, safe="", errors="replace")
