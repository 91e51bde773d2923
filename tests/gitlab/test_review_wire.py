import json
from hashlib import sha1
from pathlib import Path
from typing import Any

import pytest

from mergewright.domain.approval import Position
from mergewright.domain.errors import Unreachable
from mergewright.domain.forge import DiffRefs
from mergewright.gitlab import review_wire, wire
from mergewright.gitlab.graphql import mutation

DATA = Path(__file__).parent / "data"
REFS = DiffRefs("b" * 40, "5" * 40, "e" * 40)
USER = {"id": 7, "username": "ada", "name": "Ada"}


def recorded(name: str) -> Any:
    return json.loads((DATA / f"{name}.json").read_text())


# --- positions ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("old", "new", "numbers"),
    [(None, 9, {"new_line": 9}), (8, None, {"old_line": 8}), (8, 9, {"old_line": 8, "new_line": 9})],
)
def test_r41_only_an_unchanged_line_has_both_numbers(old: int | None, new: int | None, numbers: dict[str, int]) -> None:
    sent = review_wire.position(Position(REFS, "old.py", "new.py", old, new))
    assert {key: value for key, value in sent.items() if key.endswith("_line")} == numbers
    assert (sent["old_path"], sent["new_path"], sent["position_type"]) == ("old.py", "new.py", "text")
    assert (sent["base_sha"], sent["start_sha"], sent["head_sha"]) == (REFS.base_sha, REFS.start_sha, REFS.head_sha)


def test_a_range_names_its_ends_by_line_code_and_kind() -> None:
    path = sha1(b"new.py", usedforsecurity=False).hexdigest()
    sent = review_wire.position(Position(REFS, "old.py", "new.py", None, 9, (7, 7)))
    assert sent["line_range"] == {
        "start": {"line_code": f"{path}_7_7", "type": "old", "old_line": 7, "new_line": 7},
        "end": {"line_code": f"{path}_0_9", "type": "new", "new_line": 9},
    }
    bare = review_wire.position(Position(REFS, "old.py", "new.py", None, 9, (7, 7)), numbered=False)
    assert bare["line_range"]["start"] == {"line_code": f"{path}_7_7", "type": "old"}
    assert bare["new_line"] == 9


def test_a_whole_file_has_no_line_even_where_one_is_known() -> None:
    sent = review_wire.position(Position(REFS, "a.py", "a.py", 3, 4, (1, 2), whole_file=True))
    assert sent["position_type"] == "file"
    assert not {"old_line", "new_line", "line_range"} & set(sent)


# --- what the forge answers --------------------------------------------------------------------


def test_recorded_drafts_are_read() -> None:
    first, second = (review_wire.draft_note(one) for one in recorded("list_draft_notes"))
    assert (first.id, first.note, first.discussion_id, first.mark) == (37349978, "Some draft note", "", "")
    assert second.id == 37349979
    marked = recorded("list_draft_notes")[0] | {"note": "Text\n\n<!-- mergewright:f.1 -->"}
    assert review_wire.draft_note(marked).mark == "f.1"


@pytest.mark.parametrize(
    ("text", "version"),
    [("19.2.0", (19, 2)), ("19.10.1-ee", (19, 10)), ("20.0.0-pre", (20, 0)), ("v19", (0, 0)), ("", (0, 0))],
)
def test_a_version_that_cannot_be_read_counts_as_old(text: str, version: tuple[int, int]) -> None:
    assert review_wire.version_of(text) == version


@pytest.mark.parametrize(
    ("given", "asked"),
    [
        ({"has_approval_rules": False, "approvals_required": 0}, False),
        ({"has_approval_rules": False, "approvals_required": 1}, True),
        ({"has_approval_rules": True, "approvals_required": 0}, True),
        ({"approvals_required": 0}, True),
    ],
)
def test_rules_are_left_unasked_only_where_there_are_none(given: dict[str, Any], asked: bool) -> None:
    assert review_wire.has_rules(given) is asked


def test_a_status_without_an_author_is_nobodys() -> None:
    row = {"name": "mergewright", "status": "success", "author": None, "description": None, "sha": "a" * 40}
    assert review_wire.commit_status(row).author == ""
    assert review_wire.commit_status(row | {"author": USER}).author == "ada"


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ({"data": {"it": {"errors": []}}}, ""),
        ({"data": {"it": {"errors": ["Reviewer not found"]}}}, "Reviewer not found"),
        ({"errors": [{"message": "one"}, {"message": "two"}]}, "one; two"),
        ({"data": {"it": None}, "errors": [{"message": "hidden"}]}, "hidden"),
    ],
)
def test_graphql_says_no_in_two_places(answer: Any, said: str) -> None:
    assert review_wire.refusal(answer, "it") == said


@pytest.mark.parametrize("answer", [{}, {"data": None}, {"data": {}}, {"data": {"it": None}}, []])
def test_an_answer_of_graphql_without_a_result_is_no_yes(answer: Any) -> None:
    with pytest.raises(Unreachable):
        review_wire.refusal(answer, "it")


def test_values_never_stand_in_a_query() -> None:
    body = mutation("mergeRequestRequestChanges", {"projectPath": 'a"){x}', "iid": "1"})
    assert 'a"' not in body["query"]
    assert body["variables"]["input"]["projectPath"] == 'a"){x}'


# --- notes and merge requests ------------------------------------------------------------------


def test_r42_a_mark_is_read_in_our_own_notes_only() -> None:
    row = {"id": 1, "author": USER, "body": "Text\n\n<!-- mergewright:review.1 -->"}
    assert wire.note(row, me=7).mark == "review.1"
    assert wire.note(row, me=8).mark == ""
    assert wire.note(row).mark == ""
    assert wire.note(row | {"system": True}, me=7).mark == ""


def test_where_a_note_stands_and_who_settled_it_is_read() -> None:
    at = {"new_path": "a.py", "old_path": "b.py", "new_line": 4, "old_line": None}
    row = {"id": 1, "author": USER, "body": "", "resolvable": True, "resolved": True, "resolved_by": USER}
    read = wire.note(row | {"position": at})
    assert (read.path, read.line, read.resolvable, read.resolved, read.resolved_by) == ("a.py", 4, True, True, "ada")
    assert wire.note(row | {"position": at | {"new_line": None, "old_line": 3}}).line == 0
    assert (wire.note(row).path, wire.note(row).line) == ("", 0)


@pytest.mark.parametrize(
    ("pipeline", "number"),
    [(None, 0), ({"id": 5, "sha": "HEAD"}, 5), ({"id": 5, "sha": "0" * 40}, 0), ({"id": 5}, 0)],
)
def test_a_pipeline_of_another_commit_does_not_speak_for_the_head(pipeline: Any, number: int) -> None:
    row = recorded("get_merge_request")
    if pipeline and pipeline.get("sha") == "HEAD":
        pipeline = pipeline | {"sha": row["sha"]}
    assert wire.merge_request(row | {"head_pipeline": pipeline}, project="a/b").head_pipeline == number
