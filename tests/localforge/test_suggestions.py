"""Suggestions in notes: listed, applied byte for byte, and refused where they no longer fit."""

import base64
import itertools
from typing import Any

import httpx2
import pytest

from tests.localforge.conftest import OnTier, Tiered

NAMES = (f"suggested-{number}" for number in itertools.count())
LINES = "".join(f"line {number}\n" for number in range(1, 11)).encode()


@pytest.fixture
def tiered(on_tier: OnTier) -> Tiered:
    return on_tier("free")


def write(tiered: Tiered, branch: str, path: str, content: bytes, *, action: str = "update", **more: str) -> None:
    one = {"action": action, "file_path": path, "content": base64.b64encode(content).decode(), "encoding": "base64"}
    body = {"branch": branch, "commit_message": "Change", "actions": [one]} | more
    answer = tiered.people.mia.post(f"{tiered.path}/repository/commits", json=body)
    assert answer.status_code == 201, answer.text


def opened(tiered: Tiered, content: bytes = LINES) -> tuple[str, str]:
    """A merge request that adds a file; its path, and the name of both its branch and the file."""
    name = next(NAMES)
    write(tiered, name, name, content, action="create", start_branch="main")
    body = {"source_branch": name, "target_branch": "main", "title": name}
    row = tiered.people.dev.post(f"{tiered.path}/merge_requests", json=body).json()
    return f"{tiered.path}/merge_requests/{row['iid']}", name


def noted(tiered: Tiered, path: str, name: str, line: int, body: str, **given: Any) -> dict[str, Any]:
    refs = tiered.people.dev.get(path).json()["diff_refs"]
    sent = dict(refs) | {"position_type": "text", "old_path": name, "new_path": name, "new_line": line} | given
    answer = tiered.people.rita.post(f"{path}/discussions", json={"body": body, "position": sent})
    assert answer.status_code == 201, answer.text
    return dict(answer.json()["notes"][0])


def suggested(tiered: Tiered, path: str, name: str, line: int, text: str, reach: str = ":-0+0") -> dict[str, Any]:
    note = noted(tiered, path, name, line, f"Better:\n\n```suggestion{reach}\n{text}```\n")
    (suggestion,) = note["suggestions"]
    return dict(suggestion)


def content(tiered: Tiered, name: str) -> bytes:
    answer = tiered.people.dev.get(f"{tiered.path}/repository/files/{name}/raw", params={"ref": name})
    return bytes(answer.content)


def apply(client: httpx2.Client, suggestion: dict[str, Any], **fields: str) -> httpx2.Response:
    return client.put(f"/suggestions/{suggestion['id']}/apply", json=fields)


def test_a_suggestion_is_listed_and_applied_by_who_may_push(tiered: Tiered) -> None:
    people, (path, name) = tiered.people, opened(tiered)
    made = suggested(tiered, path, name, 5, "better 4\nbetter 5\n", ":-1+0")
    assert {key: value for key, value in made.items() if key != "id"} == {
        "from_line": 4,
        "to_line": 5,
        "appliable": True,
        "applied": False,
        "from_content": "line 4\nline 5\n",
        "to_content": "better 4\nbetter 5\n",
    }
    for who, status in ((people.eve, 404), (people.gus, 404), (people.rita, 403), (people.nobody, 401)):
        assert apply(who, made).status_code == status
    assert content(tiered, name) == LINES
    answer = apply(people.dev, made)
    assert (answer.status_code, answer.json()["applied"], answer.json()["appliable"]) == (200, True, False)
    assert content(tiered, name) == LINES.replace(b"line 4\nline 5", b"better 4\nbetter 5")
    commit = people.dev.get(f"{tiered.path}/repository/commits/{name}").json()
    assert commit["author_name"] == people.dev.get("/user").json()["name"]
    assert commit["title"] == "Apply 1 suggestion(s) to 1 file(s)"
    assert "Co-authored-by: " in commit["message"]
    assert people.dev.get(path).json()["sha"] == commit["id"]
    thread = next(row for row in people.dev.get(f"{path}/discussions").json() if row["notes"][0]["resolvable"])
    assert thread["notes"][0]["resolved"] is True
    assert apply(people.dev, made).status_code == 400


@pytest.mark.parametrize(
    ("before", "line", "reach", "text", "after"),
    [
        (b"a\r\nb\r\nc\r\n", 2, "", "B\nB2\n", b"a\r\nB\r\nB2\r\nc\r\n"),
        (b"a\nb\r\nc\n", 1, "", "A\n", b"A\nb\r\nc\n"),
        (b"a\nb", 2, "", "B\n", b"a\nB"),
        (b"a\nb\nc\n", 2, "", "", b"a\nc\n"),
        (b"a\nb\nc\n", 2, ":-1+1", "", b""),
        (b"a\nb\nc\n", 2, ":-99+99", "x\n", b"x\n"),
        (b"caf\xe9\nb\n", 2, "", "B\n", b"caf\xe9\nB\n"),
        (b"a\x0bx\nb\xe2\x80\xa8y\nc\n", 3, "", "C\n", b"a\x0bx\nb\xe2\x80\xa8y\nC\n"),
        (b"\tif x:\n\t\ty\n", 2, "", "\t\tz  \n", b"\tif x:\n\t\tz  \n"),
        ("ü\n".encode(), 1, "", "é `x` \\n <b>&amp;\n", "é `x` \\n <b>&amp;\n".encode()),
    ],
)
def test_every_byte_outside_the_lines_stays(
    tiered: Tiered, before: bytes, line: int, reach: str, text: str, after: bytes
) -> None:
    path, name = opened(tiered, before)
    assert apply(tiered.people.dev, suggested(tiered, path, name, line, text, reach)).status_code == 200
    assert content(tiered, name) == after


def test_several_are_applied_in_one_commit(tiered: Tiered) -> None:
    people, (path, name) = tiered.people, opened(tiered)
    rows = [suggested(tiered, path, name, line, f"{line}\nmore\n") for line in (2, 9, 5)]
    body = {"ids": [row["id"] for row in rows], "commit_message": "All of them"}
    answer = people.dev.put("/suggestions/batch_apply", json=body)
    assert [row["applied"] for row in answer.json()] == [True, True, True]
    lines = content(tiered, name).decode().split("\n")
    assert [lines[at] for at in (1, 2, 5, 6, 10, 11)] == ["2", "more", "5", "more", "9", "more"]
    log = people.dev.get(f"{tiered.path}/repository/commits", params={"ref_name": name}).json()
    assert [row["title"] for row in log[:2]] == ["All of them", "Change"]


def test_those_that_overlap_or_belong_elsewhere_are_refused_together(tiered: Tiered) -> None:
    people, (path, name) = tiered.people, opened(tiered)
    one, two = (suggested(tiered, path, name, line, "x\n", ":-1+1") for line in (3, 5))
    other = suggested(tiered, *opened(tiered), 1, "x\n")
    for ids in ([one["id"], two["id"]], [one["id"], other["id"]], [one["id"], 10**6], [], [-1], [2**70]):
        assert people.dev.put("/suggestions/batch_apply", json={"ids": ids}).status_code in {400, 404}
    assert content(tiered, name) == LINES


def test_what_no_longer_fits_is_refused(tiered: Tiered) -> None:
    people, (path, name) = tiered.people, opened(tiered)
    gone, moved, same = (
        suggested(tiered, path, name, line, text) for line, text in ((2, "x\n"), (8, "y\n"), (9, "line 9\n"))
    )
    assert same["appliable"] is False
    assert apply(people.dev, same).json()["message"] == "This suggestion already matches its content."
    write(tiered, name, name, b"top\n" + LINES.replace(b"line 2\n", b"other\n"))
    changed = "Can't apply as these lines were changed in a more recent version."
    assert apply(people.dev, gone).json()["message"] == changed
    assert apply(people.dev, moved).status_code == 200
    assert content(tiered, name) == b"top\n" + LINES.replace(b"line 2\n", b"other\n").replace(b"line 8\n", b"y\n")
    last = suggested(tiered, path, name, 1, "z\n")
    people.dev.put(path, json={"state_event": "close"})
    assert apply(people.dev, last).status_code == 400


def test_where_nothing_can_be_replaced_nothing_is_suggested(tiered: Tiered) -> None:
    people, (path, name) = tiered.people, opened(tiered)
    body = "```suggestion\nx\n```"
    assert noted(tiered, path, name, 1, body, position_type="file")["suggestions"] == []
    assert noted(tiered, path, name, 1, "```suggestion:-1\nx\n```")["suggestions"] == []
    assert noted(tiered, path, name, 1, "````\n```suggestion\nx\n```\n````")["suggestions"] == []
    assert noted(tiered, path, name, 1, "<!--\n```suggestion\nx\n```\n-->")["suggestions"] == []
    assert "suggestions" not in people.rita.post(f"{path}/notes", json={"body": body}).json()


def test_another_wording_suggests_anew_until_it_was_applied(tiered: Tiered) -> None:
    people, (path, name) = tiered.people, opened(tiered)
    note = noted(tiered, path, name, 1, "```suggestion\none\n```\n```suggestion\ntwo\n```")
    assert [row["to_content"] for row in note["suggestions"]] == ["one\n", "two\n"]
    changed = people.rita.put(f"{path}/notes/{note['id']}", json={"body": "```suggestion\nthree\n```"}).json()
    assert [row["to_content"] for row in changed["suggestions"]] == ["three\n"]
    assert apply(people.dev, changed["suggestions"][0]).status_code == 200
    after = people.rita.put(f"{path}/notes/{note['id']}", json={"body": "```suggestion\nfour\n```"}).json()
    assert [(row["to_content"], row["applied"]) for row in after["suggestions"]] == [("three\n", True)]


def test_a_published_draft_suggests_too(tiered: Tiered) -> None:
    people, (path, name) = tiered.people, opened(tiered)
    refs = people.dev.get(path).json()["diff_refs"]
    sent = dict(refs) | {"position_type": "text", "old_path": name, "new_path": name, "new_line": 1}
    people.rita.post(f"{path}/draft_notes", json={"note": "```suggestion:-0+0\nx\n```", "position": sent})
    people.rita.post(f"{path}/draft_notes/bulk_publish")
    thread = next(row for row in people.dev.get(f"{path}/discussions").json() if row["notes"][0]["type"] == "DiffNote")
    assert [row["to_content"] for row in thread["notes"][0]["suggestions"]] == ["x\n"]
