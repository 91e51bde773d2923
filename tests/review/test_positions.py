"""R41: every place that can carry a note carries it, as the forge itself judges positions."""

import pytest

from mergewright.domain.forge import DiffRefs
from mergewright.domain.review import Candidate, Place, Severity
from mergewright.git.history import History
from mergewright.review.anchor import Anchored, Dropped, anchor, position
from mergewright.review.diff import FileDiff
from tests.review.conftest import Open
from tests.review.stage import claim
from tests.review.texts import diff

LONG = [f"line {number}" for number in range(1, 41)]
REFS = DiffRefs("b" * 40, "b" * 40, "h" * 40)


def text(*lines: str) -> str:
    return "".join(f"{line}\n" for line in lines)


BASE = {
    "long.txt": text(*LONG),
    "old_name.txt": text(*LONG),
    "gone.txt": text("one", "two", "three"),
    "dos.txt": "one\r\ntwo\r\nthree\r\n",
    "latin.txt": "caf\u00e9\nth\u00e9\n".encode("latin-1"),
    "run.sh": "echo\n",
    "picture.bin": b"\x00\x01\x02",
}
FILES = {
    "long.txt": text(*LONG[:9], "line ten", *LONG[10:30], *LONG[31:]),
    "new_name.txt": text(*LONG[:5], "line six", *LONG[6:]),
    "old_name.txt": None,
    "gone.txt": None,
    "dos.txt": "one\r\nTWO\r\nthree\r\n",
    "latin.txt": "caf\u00e9\nTH\u00c9\n".encode("latin-1"),
    "new.txt": text("a", "b", "c"),
    "wide.txt": "x" * 20_000 + "\nend\n",
    "picture.bin": b"\x00\x01\x03",
    "a b/caf\u00e9 [x].txt": text("odd"),
}
PLACES = [
    ("added line", claim("line ten", path="long.txt", line=10), ("long.txt", None, 10)),
    ("removed line", claim("line 31", path="long.txt", line=31, side="old"), ("long.txt", 31, None)),
    ("context line", claim("line 9", path="long.txt", line=9), ("long.txt", 9, 9)),
    ("context below a removal", claim("line 33", path="long.txt", line=32), ("long.txt", 33, 32)),
    ("line outside of all hunks", claim("line 20", path="long.txt", line=20), ("long.txt", 20, 20)),
    (
        "several lines",
        claim("line ten\nline 11\nline 12", path="long.txt", line=12, start_line=10),
        ("long.txt", 12, 12),
    ),
    ("renamed file", claim("line six", path="new_name.txt", line=6), ("new_name.txt", None, 6)),
    ("deleted file", claim("two", path="gone.txt", line=2, side="old"), ("gone.txt", 2, None)),
    ("new file", claim("b", path="new.txt", line=2), ("new.txt", None, 2)),
    ("CRLF", claim("TWO", path="dos.txt", line=2), ("dos.txt", None, 2)),
    ("no UTF-8", claim("", path="latin.txt", line=2), ("latin.txt", None, 2)),
    ("very long line", claim("", path="wide.txt", line=1), ("wide.txt", None, 1)),
    ("odd name", claim("odd", path="a b/caf\u00e9 [x].txt", line=1), ("a b/caf\u00e9 [x].txt", None, 1)),
    ("binary file", claim("", path="picture.bin", line=0), ("picture.bin", None, None)),
    ("whole file", claim("", path="new.txt", line=0, category="tests"), ("new.txt", None, None)),
]


async def test_r41_each_comment_lands_on_its_line_and_none_is_lost(open_review: Open) -> None:
    found = [
        {**one, "title": f"Place {number} of `spot_{number}`", "body": f"`spot_{number}`"}
        for number, (_, one, _) in enumerate(PLACES)
    ]
    stage = open_review(*found, base=BASE, files=FILES)
    await stage.review()
    placed = {}
    for thread in stage.threads():
        note = thread["notes"][0]
        number = int(note["body"].partition("Place ")[2].split(" ")[0])
        at = note["position"]
        placed[PLACES[number][0]] = (at["new_path"], at.get("old_line"), at.get("new_line"))
    wanted = {name: where for name, _, where in PLACES}
    # What is no line of the change was noticed beside it: told in the summary, with no thread.
    outside = wanted.pop("line outside of all hunks")
    assert placed == wanted
    assert outside == ("long.txt", 20, 20)
    assert f"Place {[name for name, _, _ in PLACES].index('line outside of all hunks')}" in stage.summaries()[0]


@pytest.mark.parametrize(("path", "mode"), [("run.sh", "100755")])
async def test_r41_a_change_of_mode_alone_gets_a_note_on_the_file(open_review: Open, path: str, mode: str) -> None:
    stage = open_review(claim("", path=path, line=0, title="It can be run now"), base=BASE, files={"x.txt": "x\n"})
    stage.git("update-index", "--chmod=+x", path)
    stage.git("commit", "-q", "-m", "Mode")
    stage.publish()
    await stage.review()
    (thread,) = stage.threads()
    assert thread["notes"][0]["position"]["position_type"] == "file"


async def test_r41_a_submodule_gets_a_note_on_the_file(open_review: Open) -> None:
    stage = open_review(claim("", path="lib", line=0, title="It moved"), base=BASE, files={"x.txt": "x\n"})
    stage.git("update-index", "--add", "--cacheinfo", f"160000,{'a' * 40},lib")
    stage.git("commit", "-q", "-m", "Submodule")
    stage.publish()
    await stage.review()
    bodies = [one["notes"][0]["body"] for one in stage.threads()] + stage.summaries()
    assert sum("It moved" in body for body in bodies) >= 1


async def test_the_forge_takes_a_note_on_an_unchanged_line_outside_of_all_hunks(open_review: Open) -> None:
    stage = open_review(base=BASE, files=FILES)
    merge_request = await stage.forge.merge_request("team/shop", 1)
    assert merge_request.diff_refs is not None
    history = History(stage.folder / "h.git")
    remote = await stage.forge.remote("team/shop")
    await history.fetch(remote, merge_request.diff_refs.base_sha, merge_request.diff_refs.head_sha)
    from mergewright.review.diff import parse_diff

    raw = await history.raw_diff(merge_request.diff_refs.base_sha, merge_request.diff_refs.head_sha)
    file = next(one for one in parse_diff(raw) if one.path == "long.txt")
    at = position(Place("long.txt", 20, 18), file, merge_request.diff_refs)
    assert (at.old_line, at.new_line, at.start) == (20, 20, (18, 18))
    await stage.forge.add_draft_note("team/shop", 1, "here", mark="test.1", position=at)


# --- anchoring ---------------------------------------------------------------------------------


def files() -> dict[str, FileDiff]:
    made = diff({"a.py": LONG}, {"a.py": [*LONG[:9], "line ten", *LONG[10:]]})
    return {one.path: one for one in made}


def anchored(quote: str, line: int, **more: object) -> Anchored | Dropped:
    new = [*LONG[:9], "line ten", *LONG[10:]]
    one = Candidate("a.py", line, Severity.MAJOR, "correctness", "t", "b", quote=quote, **more)  # type: ignore[arg-type]
    return anchor(one, files(), {("new", "a.py"): new, ("old", "a.py"): LONG})


def test_r50_a_quote_on_another_line_than_it_was_said_to_be_moves_the_claim_there() -> None:
    found = anchored("line ten", 14)
    assert isinstance(found, Anchored)
    assert (found.place.line, found.in_diff) == (10, True)


def test_r50_of_several_places_with_the_quote_the_nearest_one_is_meant() -> None:
    one = Candidate("a.py", 4, Severity.MAJOR, "correctness", "t", "b", quote="x = 1")
    made = diff({"a.py": ["x = 1", "y", "y", "y"]}, {"a.py": ["x = 1", "y", "y", "y", "x = 1"]})
    found = anchor(one, {"a.py": made[0]}, {("new", "a.py"): ["x = 1", "y", "y", "y", "x = 1"]})
    assert isinstance(found, Anchored)
    assert found.place.line == 5


@pytest.mark.parametrize(("quote", "line", "reason"), [("not there", 10, "quote not found"), ("", 400, "no such line")])
def test_r50_what_is_not_there_is_dropped(quote: str, line: int, reason: str) -> None:
    found = anchored(quote, line)
    assert isinstance(found, Dropped)
    assert found.reason == reason


def test_r41_a_range_gives_both_ends_and_a_removed_line_only_its_old_number() -> None:
    file = files()["a.py"]
    assert position(Place("a.py", 10, 10), file, REFS).new_line == 10
    assert position(Place("a.py", 10, 10), file, REFS).old_line is None
    removed = position(Place("a.py", 10, 10, "old"), file, REFS)
    assert (removed.old_line, removed.new_line) == (10, None)
    assert position(Place("a.py", 12, 10), file, REFS).start == (None, 10)
