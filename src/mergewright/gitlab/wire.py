"""Read the forge's JSON into our nouns: the only place that knows its keys."""

from base64 import b64decode
from hashlib import sha256
from typing import NoReturn

from mergewright.domain.errors import Unreachable
from mergewright.domain.forge import (
    AccessLevel,
    DiffRefs,
    Discussion,
    Issue,
    Job,
    MergeRequest,
    Note,
    Pipeline,
    Project,
    User,
)
from mergewright.domain.session import JSON
from mergewright.gitlab.markers import mark_of


def user(data: JSON) -> User:
    bot, admin = flag(data, "bot"), flag(data, "is_admin")
    return User(number(data, "id"), text(data, "username"), text(data, "name", ""), bot, admin)


def project(data: JSON) -> Project:
    return Project(
        id=number(data, "id"),
        path_with_namespace=text(data, "path_with_namespace"),
        default_branch=text(data, "default_branch", ""),
        web_url=text(data, "web_url", ""),
        http_url_to_repo=text(data, "http_url_to_repo", ""),
        empty_repo=flag(data, "empty_repo"),
        only_allow_merge_if_pipeline_succeeds=flag(data, "only_allow_merge_if_pipeline_succeeds"),
        # Not told counts as seen by all.
        visibility=text(data, "visibility", "public"),
    )


def full_path(group: JSON) -> str:
    return text(group, "full_path")


def access_level(data: JSON) -> AccessLevel:
    """The highest level that we know and the member has; none for one who is blocked or not yet admitted."""
    if text(data, "state", "active") != "active" or text(data, "membership_state", "active") != "active":
        return AccessLevel.NONE
    granted = number(data, "access_level")
    return max((level for level in AccessLevel if level <= granted), default=AccessLevel.NONE)


def note(data: JSON, *, noteable_url: str = "", me: int = 0) -> Note:
    """Read a note; marks are believed only in notes of the user `me`."""
    number_of, author, body = number(data, "id"), user(value(data, "author")), text(data, "body", "")
    at = value(data, "position", required=False) or {}
    resolver = value(data, "resolved_by", required=False)
    line = value(at, "new_line", required=False)
    return Note(
        id=number_of,
        body=body,
        author=author,
        created_at=text(data, "created_at", ""),
        system=flag(data, "system"),
        web_url=f"{noteable_url}#note_{number_of}" if noteable_url else "",
        internal=flag(data, "internal") or flag(data, "confidential"),
        resolvable=flag(data, "resolvable"),
        resolved=flag(data, "resolved"),
        resolved_by=text(resolver, "username", "") if resolver else "",
        path=text(at, "new_path", ""),
        line=line if isinstance(line, int) else 0,
        mark=(mark_of(body) or "") if me and author.id == me and not flag(data, "system") else "",
    )


def discussion(data: JSON, *, noteable_url: str = "", me: int = 0) -> Discussion:
    notes = tuple(note(item, noteable_url=noteable_url, me=me) for item in items(data, "notes"))
    return Discussion(text(data, "id"), notes, flag(data, "individual_note"))


def issue(data: JSON, *, project: str) -> Issue:
    return Issue(
        id=number(data, "id"),
        iid=number(data, "iid"),
        project=project,
        title=text(data, "title"),
        description=text(data, "description", ""),
        state=text(data, "state"),
        author=user(value(data, "author")),
        web_url=text(data, "web_url", ""),
        labels=tuple(str(label) for label in items(data, "labels")),
        confidential=flag(data, "confidential"),
    )


def merge_request(data: JSON, *, project: str) -> MergeRequest:
    data = _object(data)
    return MergeRequest(
        id=number(data, "id"),
        iid=number(data, "iid"),
        project=project,
        title=text(data, "title"),
        description=text(data, "description", ""),
        state=text(data, "state"),
        draft=flag(data, "draft" if "draft" in data else "work_in_progress"),
        source_branch=text(data, "source_branch"),
        target_branch=text(data, "target_branch"),
        sha=text(data, "sha", ""),
        author=user(value(data, "author")),
        web_url=text(data, "web_url", ""),
        detailed_merge_status=text(data, "detailed_merge_status", ""),
        diff_refs=_diff_refs(data.get("diff_refs")),
        reviewers=tuple(user(item) for item in items(data, "reviewers")),
        head_pipeline=_head_pipeline(data),
        merged_at=text(data, "merged_at", ""),
        created_at=text(data, "created_at", ""),
        source_project=str(number(data, "source_project_id")) if is_from_a_fork(data) else "",
    )


def _head_pipeline(merge_request: dict[str, JSON]) -> int:
    found = merge_request.get("head_pipeline")
    # Just after a push it is still the one before; a status hung on that would get a pipeline of its own.
    return number(found, "id") if found and text(found, "sha", "") == merge_request.get("sha") else 0


def closed_with(merge_request: JSON, issues: list[JSON]) -> tuple[int, ...]:
    """The iids of the project's own issues among those that a merge request closes; other trackers have none."""
    project_id = number(merge_request, "target_project_id")
    return tuple(number(item, "iid") for item in issues if value(item, "project_id", required=False) == project_id)


def is_from_a_fork(data: JSON) -> bool:
    """Whether a merge request's branch stands in another project, where anybody may name it as ours."""
    source, target = (value(data, key, required=False) for key in ("source_project_id", "target_project_id"))
    return bool(source != target)


def pipeline(data: JSON) -> Pipeline:
    return Pipeline(
        id=number(data, "id"),
        status=text(data, "status"),
        ref=text(data, "ref", ""),
        sha=text(data, "sha"),
        web_url=text(data, "web_url", ""),
        yaml_errors=text(data, "yaml_errors", ""),
    )


def job(data: JSON) -> Job:
    return Job(
        id=number(data, "id"),
        name=text(data, "name"),
        stage=text(data, "stage", ""),
        status=text(data, "status"),
        web_url=text(data, "web_url", ""),
        failure_reason=text(data, "failure_reason", ""),
        allow_failure=flag(data, "allow_failure"),
    )


def commit_of(branch: JSON) -> str:
    return text(value(branch, "commit"), "id")


def may_push(branch: JSON) -> bool:
    """Where a forge does not say, the push itself will."""
    return value(branch, "can_push", required=False) is not False


def content(file: JSON) -> bytes:
    """A file's bytes; raises Unreachable where they were changed on their way."""
    try:
        found = b64decode(text(file, "content"), validate=True)
    except ValueError:
        _senseless("content")
    told = text(file, "content_sha256", "")
    return found if not told or sha256(found).hexdigest() == told else _senseless("content_sha256")


def version(data: JSON) -> str:
    return text(data, "version")


def scopes(data: JSON) -> tuple[str, ...]:
    return tuple(str(scope) for scope in items(data, "scopes"))


def text(data: JSON, key: str, missing: str | None = None) -> str:
    """A string; `missing` stands for one that is absent or null, and without it such a one is an error."""
    found = value(data, key, required=missing is None)
    if found is None and missing is not None:
        return missing
    return found if isinstance(found, str) else _senseless(key)


def number(data: JSON, key: str) -> int:
    found = value(data, key)
    return found if isinstance(found, int) and not isinstance(found, bool) else _senseless(key)


def flag(data: JSON, key: str) -> bool:
    found = value(data, key, required=False)
    return found if isinstance(found, bool) else False if found is None else _senseless(key)


def _diff_refs(data: JSON) -> DiffRefs | None:
    # Empty until the forge has computed the diff, which it does some time after the merge request was opened.
    if not data or not all(data.get(key) for key in ("base_sha", "start_sha", "head_sha")):
        return None
    return DiffRefs(text(data, "base_sha"), text(data, "start_sha"), text(data, "head_sha"))


def items(data: JSON, key: str) -> list[JSON]:
    found = value(data, key, required=False)
    return found if isinstance(found, list) else [] if found is None else _senseless(key)


def value(data: JSON, key: str, *, required: bool = True) -> JSON:
    found = _object(data).get(key)
    return _senseless(key) if required and found is None else found


def _object(data: JSON) -> dict[str, JSON]:
    return data if isinstance(data, dict) else _senseless("{}")


def _senseless(key: str) -> NoReturn:
    raise Unreachable(
        f"The forge's answer makes no sense: `{key}` is missing or of another kind",
        hint="check that the address is a GitLab's, of version 17 or later",
    )
