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


def user(data: JSON) -> User:
    return User(number(data, "id"), text(data, "username"), text(data, "name", ""), flag(data, "bot"))


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


def access_level(data: JSON) -> AccessLevel:
    """The highest level that we know and the member has; none for one who is blocked or not yet admitted."""
    if text(data, "state", "active") != "active" or text(data, "membership_state", "active") != "active":
        return AccessLevel.NONE
    granted = number(data, "access_level")
    return max((level for level in AccessLevel if level <= granted), default=AccessLevel.NONE)


def note(data: JSON, *, noteable_url: str = "") -> Note:
    number_of = number(data, "id")
    return Note(
        id=number_of,
        body=text(data, "body", ""),
        author=user(_value(data, "author")),
        created_at=text(data, "created_at", ""),
        system=flag(data, "system"),
        web_url=f"{noteable_url}#note_{number_of}" if noteable_url else "",
        internal=flag(data, "internal") or flag(data, "confidential"),
    )


def discussion(data: JSON, *, noteable_url: str = "") -> Discussion:
    notes = tuple(note(item, noteable_url=noteable_url) for item in _list(data, "notes"))
    return Discussion(text(data, "id"), notes, flag(data, "individual_note"))


def issue(data: JSON, *, project: str) -> Issue:
    return Issue(
        id=number(data, "id"),
        iid=number(data, "iid"),
        project=project,
        title=text(data, "title"),
        description=text(data, "description", ""),
        state=text(data, "state"),
        author=user(_value(data, "author")),
        web_url=text(data, "web_url", ""),
        labels=tuple(str(label) for label in _list(data, "labels")),
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
        author=user(_value(data, "author")),
        web_url=text(data, "web_url", ""),
        detailed_merge_status=text(data, "detailed_merge_status", ""),
        diff_refs=_diff_refs(data.get("diff_refs")),
    )


def closed_with(merge_request: JSON, issues: list[JSON]) -> tuple[int, ...]:
    """The iids of the project's own issues among those that a merge request closes; other trackers have none."""
    project_id = number(merge_request, "target_project_id")
    return tuple(number(item, "iid") for item in issues if _value(item, "project_id", required=False) == project_id)


def is_from_a_fork(data: JSON) -> bool:
    """Whether a merge request's branch stands in another project, where anybody may name it as ours."""
    return number(data, "source_project_id") != number(data, "target_project_id")


def pipeline(data: JSON) -> Pipeline:
    return Pipeline(
        number(data, "id"), text(data, "status"), text(data, "ref", ""), text(data, "sha"), text(data, "web_url", "")
    )


def job(data: JSON) -> Job:
    return Job(
        id=number(data, "id"),
        name=text(data, "name"),
        stage=text(data, "stage", ""),
        status=text(data, "status"),
        web_url=text(data, "web_url", ""),
        failure_reason=text(data, "failure_reason", ""),
    )


def commit_of(branch: JSON) -> str:
    return text(_value(branch, "commit"), "id")


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
    return tuple(str(scope) for scope in _list(data, "scopes"))


def text(data: JSON, key: str, missing: str | None = None) -> str:
    """A string; `missing` stands for one that is absent or null, and without it such a one is an error."""
    value = _value(data, key, required=missing is None)
    if value is None and missing is not None:
        return missing
    return value if isinstance(value, str) else _senseless(key)


def number(data: JSON, key: str) -> int:
    value = _value(data, key)
    return value if isinstance(value, int) and not isinstance(value, bool) else _senseless(key)


def flag(data: JSON, key: str) -> bool:
    value = _value(data, key, required=False)
    return value if isinstance(value, bool) else False if value is None else _senseless(key)


def _diff_refs(data: JSON) -> DiffRefs | None:
    # Empty until the forge has computed the diff, which it does some time after the merge request was opened.
    if not data or not all(data.get(key) for key in ("base_sha", "start_sha", "head_sha")):
        return None
    return DiffRefs(text(data, "base_sha"), text(data, "start_sha"), text(data, "head_sha"))


def _list(data: JSON, key: str) -> list[JSON]:
    value = _value(data, key, required=False)
    return value if isinstance(value, list) else [] if value is None else _senseless(key)


def _value(data: JSON, key: str, *, required: bool = True) -> JSON:
    value = _object(data).get(key)
    return _senseless(key) if required and value is None else value


def _object(data: JSON) -> dict[str, JSON]:
    return data if isinstance(data, dict) else _senseless("{}")


def _senseless(key: str) -> NoReturn:
    raise Unreachable(
        f"The forge's answer makes no sense: `{key}` is missing or of another kind",
        hint="check that the address is a GitLab's, of version 17 or later",
    )
