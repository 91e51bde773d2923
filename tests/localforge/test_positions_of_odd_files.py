"""Positions in files that are renamed, deleted, binary, in odd encodings, submodules, links or new modes."""

import hashlib
from pathlib import Path
from typing import Any

import pytest

from tests.localforge.conftest import OnTier, Tiered, git

WRONG = '400 Bad request - Note {:line_code=>["can\'t be blank", "must be a valid line code"]}'
LINES = [f"line {number}" for number in range(1, 41)]
SHA = "4b825dc642cb6eb9a060e54bf8d69288fbee4904"


@pytest.fixture(scope="module")
def odd(on_tier: OnTier, tmp_path_factory: pytest.TempPathFactory) -> tuple[Tiered, dict[str, Any]]:
    """A merge request with one file of each odd kind."""
    tiered = on_tier("premium")
    place = tmp_path_factory.mktemp("odd")
    git(place, "clone", "-q", tiered.world.remote("mia"), "clone")
    clone = place / "clone"
    git(clone, "checkout", "-q", "-b", "odd-base")
    before(clone)
    git(clone, "add", "-A")
    git(clone, "update-index", "--add", "--cacheinfo", f"160000,{SHA},vendored")
    git(clone, "commit", "-q", "-m", "Before")
    git(clone, "checkout", "-q", "-b", "odd")
    after(clone)
    git(clone, "add", "-A")
    git(clone, "update-index", "--add", "--cacheinfo", f"160000,{SHA[::-1]},vendored")
    git(clone, "commit", "-q", "-m", "After")
    git(clone, "push", "-q", "origin", "odd-base", "odd")
    body = {"source_branch": "odd", "target_branch": "odd-base", "title": "Odd files"}
    answer = tiered.people.dev.post(f"{tiered.path}/merge_requests", json=body)
    assert answer.status_code == 201, answer.text
    return tiered, dict(answer.json())


def changed(lines: list[str], number: int = 20, *, to: str = "changed") -> list[str]:
    return [to if at == number else line for at, line in enumerate(lines, 1)]


def before(clone: Path) -> None:
    (clone / "crlf.txt").write_bytes("\r\n".join([*LINES, ""]).encode())
    (clone / "latin.txt").write_bytes("\n".join([*LINES, ""]).encode() + b"\xe9\xe8\n")
    (clone / "long.txt").write_text("\n".join(["x" * 200_000, *LINES, ""]))
    (clone / "moved.txt").write_text("\n".join([*LINES, ""]))
    (clone / "pure.txt").write_text("\n".join([*LINES[::-1], ""]))
    (clone / "gone.txt").write_text("one\ntwo\n")
    (clone / "run.sh").write_text("echo one\necho two\n")
    (clone / "picture.bin").write_bytes(bytes(range(256)))
    (clone / "a-link").write_text("target\n")
    (clone / "b-after.txt").write_text("\n".join([*LINES, ""]))
    (clone / "no-end.txt").write_text("one\ntwo")
    (clone / "sp ace ü\t.txt").write_text("one\n")
    (clone / "lines.txt").write_text("one\u2028two\x0bthree\nfour\n")


def after(clone: Path) -> None:
    (clone / "crlf.txt").write_bytes("\r\n".join([*changed(LINES), ""]).encode())
    (clone / "latin.txt").write_bytes("\n".join([*changed(LINES), ""]).encode() + b"\xe9\xe8\xea\n")
    (clone / "long.txt").write_text("\n".join(["y" * 200_000, *LINES, ""]))
    git(clone, "mv", "moved.txt", "new place.txt")
    (clone / "new place.txt").write_text("\n".join([*changed(LINES), ""]))
    git(clone, "mv", "pure.txt", "pure-moved.txt")
    (clone / "gone.txt").unlink()
    (clone / "run.sh").chmod(0o755)
    (clone / "picture.bin").write_bytes(bytes(range(255, -1, -1)))
    (clone / "a-link").unlink()
    (clone / "a-link").symlink_to("b-after.txt")
    (clone / "b-after.txt").write_text("\n".join([*changed(LINES), ""]))
    (clone / "no-end.txt").write_text("one\ntwo\nthree\n")
    (clone / "sp ace ü\t.txt").write_text("one\ntwo\n")
    (clone / "lines.txt").write_text("one\u2028two\x0bthree\nfour\nfive\n")
    (clone / "empty.txt").write_text("")


def post(odd: tuple[Tiered, dict[str, Any]], old: str, new: str = "", /, **given: Any) -> tuple[int, Any]:
    tiered, row = odd
    sent = dict(row["diff_refs"]) | {"position_type": "text", "old_path": old, "new_path": new or old}
    path = f"{tiered.path}/merge_requests/{row['iid']}/discussions"
    answer = tiered.people.rita.post(path, json={"body": "Here", "position": sent | given})
    return answer.status_code, answer.json()


@pytest.mark.parametrize(
    ("paths", "lines"),
    [
        ("crlf.txt", {"new_line": 20}),
        ("crlf.txt", {"old_line": 20}),
        ("crlf.txt", {"old_line": 2, "new_line": 2}),
        ("latin.txt", {"new_line": 41}),
        ("latin.txt", {"old_line": 41}),
        ("latin.txt", {"old_line": 30, "new_line": 30}),
        ("long.txt", {"new_line": 1}),
        ("long.txt", {"old_line": 41, "new_line": 41}),
        ("moved.txt>new place.txt", {"new_line": 20}),
        ("moved.txt>new place.txt", {"old_line": 20}),
        ("moved.txt>new place.txt", {"old_line": 1, "new_line": 1}),
        ("gone.txt", {"old_line": 2}),
        ("b-after.txt", {"new_line": 20}),
        ("no-end.txt", {"old_line": 2}),
        ("no-end.txt", {"new_line": 3}),
        ("sp ace ü\t.txt", {"new_line": 2}),
        ("lines.txt", {"new_line": 3}),
        ("lines.txt", {"old_line": 2, "new_line": 2}),
    ],
)
def test_r41_a_line_of_an_odd_file_takes_a_note(
    odd: tuple[Tiered, dict[str, Any]], paths: str, lines: dict[str, int]
) -> None:
    old, _, new = paths.partition(">")
    status, answer = post(odd, old, new, **lines)
    assert status == 201, answer
    position = answer["notes"][0]["position"]
    wanted: dict[str, int | None] = {"old_line": None, "new_line": None}
    assert {name: position[name] for name in wanted} == wanted | lines
    assert (position["old_path"], position["new_path"]) == (old, new or old)


@pytest.mark.parametrize(
    ("paths", "lines"),
    [
        ("crlf.txt", {"new_line": 21}),
        ("crlf.txt", {"old_line": 20, "new_line": 20}),
        ("crlf.txt", {"old_line": 41, "new_line": 41}),
        ("moved.txt>moved.txt", {"old_line": 20}),
        ("new place.txt>new place.txt", {"new_line": 20}),
        ("pure.txt>pure-moved.txt", {"old_line": 1, "new_line": 1}),
        ("gone.txt", {"new_line": 1}),
        ("gone.txt", {"old_line": 1, "new_line": 1}),
        ("gone.txt", {"old_line": 3}),
        ("run.sh", {"old_line": 1, "new_line": 1}),
        ("run.sh", {"new_line": 1}),
        ("picture.bin", {"new_line": 1}),
        ("picture.bin", {"old_line": 1, "new_line": 1}),
        ("vendored", {"new_line": 1}),
        ("vendored", {"old_line": 1}),
        ("empty.txt", {"new_line": 1}),
        ("README.md", {"old_line": 1, "new_line": 1}),
        ("crlf.txt", {"new_line": 0}),
        ("crlf.txt", {}),
    ],
)
def test_r40_what_is_no_line_of_the_diff_is_refused_in_gitlabs_words(
    odd: tuple[Tiered, dict[str, Any]], paths: str, lines: dict[str, int]
) -> None:
    old, _, new = paths.partition(">")
    assert post(odd, old, new, **lines) == (400, {"message": WRONG})


@pytest.mark.parametrize(
    "paths",
    [
        "crlf.txt",
        "moved.txt>new place.txt",
        "pure.txt>pure-moved.txt",
        "gone.txt",
        "run.sh",
        "picture.bin",
        "vendored",
        "a-link",
        "empty.txt",
    ],
)
def test_r40_every_changed_file_takes_a_note_as_a_whole(odd: tuple[Tiered, dict[str, Any]], paths: str) -> None:
    old, _, new = paths.partition(">")
    status, answer = post(odd, old, new, position_type="file")
    assert status == 201, answer
    position = answer["notes"][0]["position"]
    assert (position["position_type"], "new_line" in position) == ("file", False)


def test_a_file_that_did_not_change_takes_none(odd: tuple[Tiered, dict[str, Any]]) -> None:
    assert post(odd, "README.md", position_type="file") == (400, {"message": WRONG})


def code(path: str, old: int, new: int) -> str:
    return f"{hashlib.sha1(path.encode(), usedforsecurity=False).hexdigest()}_{old}_{new}"


def test_a_line_code_names_the_file_and_both_counters(odd: tuple[Tiered, dict[str, Any]]) -> None:
    tiered, row = odd
    for lines, wanted in (({"new_line": 20}, (21, 20)), ({"old_line": 20}, (20, 20))):
        sent = dict(row["diff_refs"]) | {"position_type": "text", "old_path": "crlf.txt", "new_path": "crlf.txt"}
        path = f"{tiered.path}/merge_requests/{row['iid']}/draft_notes"
        draft = tiered.people.rita.post(path, json={"note": "x", "position": sent | lines}).json()
        assert draft["line_code"] == code("crlf.txt", *wanted)


@pytest.mark.parametrize(
    ("start", "end", "lines"),
    [
        (("moved.txt", 17, 17, "old"), ("new place.txt", 0, 20, "new"), {"new_line": 20}),
        (("new place.txt", 17, 17, "old"), ("new place.txt", 21, 20, "new"), {"new_line": 20}),
        (("new place.txt", 20, 0, "old"), ("new place.txt", 23, 23, "old"), {"old_line": 23, "new_line": 23}),
        (("new place.txt", 1, 1, None), ("new place.txt", 2, 2, None), {"old_line": 2, "new_line": 2}),
        (("new place.txt", 0, 20, "new"), ("new place.txt", 0, 20, "new"), {"new_line": 20}),
    ],
)
def test_several_lines_are_named_by_the_codes_of_the_first_and_the_last(
    odd: tuple[Tiered, dict[str, Any]], start: Any, end: Any, lines: dict[str, int]
) -> None:
    span = {
        name: {"line_code": code(path, old, new), "type": kind}
        for name, (path, old, new, kind) in (("start", start), ("end", end))
    }
    status, answer = post(odd, "moved.txt", "new place.txt", line_range=span, **lines)
    assert status == 201, answer
    shown = answer["notes"][0]["position"]["line_range"]
    assert shown["end"]["new_line"] == lines.get("new_line")
    assert shown["start"]["type"] == start[3]


@pytest.mark.parametrize(
    ("start", "end", "lines"),
    [
        (("new place.txt", 23, 23), ("new place.txt", 0, 20), {"new_line": 20}),
        (("new place.txt", 17, 17), ("new place.txt", 23, 23), {"new_line": 20}),
        (("new place.txt", 17, 18), ("new place.txt", 0, 20), {"new_line": 20}),
        (("crlf.txt", 17, 17), ("new place.txt", 0, 20), {"new_line": 20}),
        (("new place.txt", 0, 0), ("new place.txt", 0, 20), {"new_line": 20}),
        (("new place.txt", 400, 400), ("new place.txt", 0, 20), {"new_line": 20}),
    ],
)
def test_a_range_that_makes_no_sense_is_refused(
    odd: tuple[Tiered, dict[str, Any]], start: Any, end: Any, lines: dict[str, int]
) -> None:
    span = {name: {"line_code": code(*where), "type": "new"} for name, where in (("start", start), ("end", end))}
    answer = post(odd, "moved.txt", "new place.txt", line_range=span, **lines)
    assert answer == (400, {"message": WRONG})


def test_what_is_no_position_at_all_is_refused(odd: tuple[Tiered, dict[str, Any]]) -> None:
    for wrong in (
        {"new_line": "²"},
        {"new_line": -1},
        {"new_line": 1.5},
        {"new_line": [20]},
        {"new_line": True},
        {"new_line": 10**30},
        {"old_path": ["crlf.txt"]},
        {"new_path": {"a": 1}},
        {"position_type": "line"},
        {"position_type": ["text"]},
        {"base_sha": ""},
        {"line_range": {"start": {}, "end": {}}, "new_line": 20},
        {"line_range": [1], "new_line": 20},
        {"line_range": "{", "new_line": 20},
        {"line_range": {"start": {"line_code": [1]}, "end": {"line_code": 1}}, "new_line": 20},
    ):
        status, answer = post(odd, "crlf.txt", **wrong)
        assert status == 400, (wrong, answer)
    tiered, row = odd
    path = f"{tiered.path}/merge_requests/{row['iid']}/discussions"
    for text in ("{", '{"a":' * 5_000, "[1]", 7):
        assert tiered.people.rita.post(path, json={"body": "x", "position": text}).status_code == 400
