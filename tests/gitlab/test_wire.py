import json
from pathlib import Path
from typing import Any

import pytest

from mergewright.domain.errors import Unreachable
from mergewright.domain.forge import AccessLevel, DiffRefs, User
from mergewright.gitlab import wire

DATA = Path(__file__).parent / "data"
AUTHOR = {"id": 7, "username": "ada", "name": "Ada", "state": "active"}


def recorded(name: str) -> Any:
    return json.loads((DATA / f"{name}.json").read_text())


def test_a_recorded_merge_request_is_read() -> None:
    read = wire.merge_request(recorded("get_merge_request"), project="gitlab-org/gitlab")
    assert (read.id, read.iid, read.project) == (33092005, 14656, "gitlab-org/gitlab")
    assert (read.source_branch, read.target_branch, read.state) == ("delete-designs-v2", "master", "opened")
    assert read.author == User(3614858, "alexkalderimis", "Alex Kalderimis")
    assert read.draft
    assert read.detailed_merge_status == "mergeable"
    assert read.diff_refs is not None
    assert read.diff_refs.head_sha == read.sha
    assert not wire.is_from_a_fork(recorded("get_merge_request"))


@pytest.mark.parametrize("refs", [None, {}, {"base_sha": None, "start_sha": None, "head_sha": None}])
def test_diff_refs_are_none_until_the_forge_has_them(refs: Any) -> None:
    assert wire.merge_request(recorded("get_merge_request") | {"diff_refs": refs}, project="a/b").diff_refs is None


def test_only_issues_of_the_same_project_count_as_closed() -> None:
    own, foreign = {"id": 1, "iid": 7, "project_id": 278964}, {"id": 2, "iid": 8, "project_id": 1}
    assert wire.closed_with(recorded("get_merge_request"), [own, foreign, {"id": "JIRA-1"}]) == (7,)


def test_diff_refs_are_read() -> None:
    refs = {"base_sha": "a", "start_sha": "b", "head_sha": "c"}
    read = wire.merge_request(recorded("get_merge_request") | {"diff_refs": refs}, project="a/b")
    assert read.diff_refs == DiffRefs("a", "b", "c")


def test_a_draft_is_one_by_either_key() -> None:
    old = {key: value for key, value in recorded("get_merge_request").items() if key != "draft"}
    assert wire.merge_request(old | {"work_in_progress": True}, project="a/b").draft
    assert wire.merge_request(old | {"draft": True, "work_in_progress": False}, project="a/b").draft
    assert not wire.merge_request(old | {"draft": False}, project="a/b").draft


def test_a_branch_from_a_fork_is_told_apart() -> None:
    assert wire.is_from_a_fork(recorded("get_merge_request") | {"source_project_id": 1})


def test_recorded_users_and_branches_are_read() -> None:
    assert wire.user(recorded("get_user")) == User(1, "john_smith", "John Smith")
    assert wire.user(recorded("get_user_bot")).bot
    assert wire.commit_of(recorded("get_branch")) == "7b5c3cc8be40ee161ae89a06bba6229da1032a0c"


@pytest.mark.parametrize(
    ("data", "level"),
    [
        ({"access_level": 30, "state": "active"}, AccessLevel.DEVELOPER),
        ({"access_level": 50}, AccessLevel.OWNER),
        ({"access_level": 25}, AccessLevel.REPORTER),
        ({"access_level": 60}, AccessLevel.OWNER),
        ({"access_level": 0}, AccessLevel.NONE),
        ({"access_level": -1}, AccessLevel.NONE),
        ({"access_level": 40, "state": "blocked"}, AccessLevel.NONE),
        ({"access_level": 40, "state": "active", "membership_state": "awaiting"}, AccessLevel.NONE),
    ],
)
def test_a_level_that_we_do_not_know_counts_as_the_next_lower_one(data: Any, level: AccessLevel) -> None:
    assert wire.access_level(data) is level


def test_an_issue_without_a_description_is_read() -> None:
    data = {"id": 1, "iid": 2, "title": "T", "description": None, "state": "opened", "author": AUTHOR, "labels": ["a"]}
    read = wire.issue(data, project="g/p")
    assert (read.iid, read.description, read.labels, read.web_url) == (2, "", ("a",), "")


def test_a_discussion_keeps_system_notes_and_their_addresses() -> None:
    notes = [{"id": 5, "body": "changed the description", "author": AUTHOR, "system": True, "created_at": "2026"}]
    read = wire.discussion({"id": "ab", "individual_note": True, "notes": notes}, noteable_url="https://g/i/1")
    assert read.individual_note
    assert read.notes[0].system
    assert read.notes[0].web_url == "https://g/i/1#note_5"


@pytest.mark.parametrize(
    "data",
    [{}, [], None, "text", {"id": "1", "username": "a"}, {"id": True, "username": "a"}, {"id": 1, "username": None}],
)
def test_an_answer_of_another_shape_is_no_user(data: Any) -> None:
    with pytest.raises(Unreachable, match="makes no sense"):
        wire.user(data)


def test_a_file_is_read_byte_by_byte() -> None:
    assert wire.content({"content": "AP8NCg=="}) == b"\x00\xff\r\n"
    assert wire.content({"content": ""}) == b""


@pytest.mark.parametrize("data", [{"content": "!"}, {"content": "AP8=", "content_sha256": "0" * 64}, {}])
def test_a_file_that_was_changed_on_its_way_is_refused(data: Any) -> None:
    with pytest.raises(Unreachable):
        wire.content(data)
