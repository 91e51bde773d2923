import os
import subprocess
from pathlib import Path

import pytest

from mergewright.review.diff import FileDiff, Line, parse_diff


class Change:
    """A repository with a commit before and one after."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def git(self, *arguments: str) -> bytes:
        identity = ["-c", "user.name=Ada", "-c", "user.email=ada@example.com", "-c", "core.quotePath=off"]
        return subprocess.run(["git", *identity, *arguments], cwd=self.folder, check=True, capture_output=True).stdout

    def commit(self) -> None:
        self.git("add", "-A")
        self.git("commit", "-q", "--allow-empty", "-m", "x")

    def between(self, before: dict[bytes, bytes], after: dict[bytes, bytes]) -> dict[str, FileDiff]:
        self.git("init", "-q")
        for files in (before, after):
            for name in os.listdir(os.fsencode(self.folder)):
                if name != b".git":
                    os.unlink(os.path.join(os.fsencode(self.folder), name))
            for name, data in files.items():
                with open(os.path.join(os.fsencode(self.folder), name), "wb") as file:
                    file.write(data)
            self.commit()
        return self.parsed()

    def parsed(self) -> dict[str, FileDiff]:
        raw = self.git("diff-tree", "-r", "-p", "-M", "--full-index", "HEAD~1", "HEAD")
        return {file.path: file for file in parse_diff(raw)}


@pytest.fixture
def change(tmp_path: Path) -> Change:
    return Change(tmp_path)


def test_lines_carry_their_numbers_on_both_sides(change: Change) -> None:
    [file] = change.between({b"a": b"1\n2\n3\n"}, {b"a": b"1\ntwo\n3\n4\n"}).values()
    assert file.status == "modified"
    assert [line for hunk in file.hunks for line in hunk.lines] == [
        Line(" ", 1, 1, "1"),
        Line("-", 2, None, "2"),
        Line("+", None, 2, "two"),
        Line(" ", 3, 3, "3"),
        Line("+", None, 4, "4"),
    ]
    assert (file.added, file.removed, file.changed) == (2, 1, 3)


def test_added_deleted_and_renamed_files_are_told_apart(change: Change) -> None:
    long = b"".join(b"line %d\n" % number for number in range(9))
    files = change.between({b"old": long, b"gone": b"x\n"}, {b"new": long + b"more\n", b"fresh": b"y\n"})
    assert {path: (file.status, file.old_path) for path, file in files.items()} == {
        "new": ("renamed", "old"),
        "gone": ("deleted", "gone"),
        "fresh": ("added", "fresh"),
    }


def test_a_rename_without_a_change_has_no_hunks(change: Change) -> None:
    files = change.between({b"old": b"x\n" * 9}, {b"new": b"x\n" * 9})
    assert (files["new"].status, files["new"].old_path, files["new"].hunks) == ("renamed", "old", ())


@pytest.mark.parametrize(
    "name", [b"a b", b"a\tb", b'q"x', b"new\nline", b"back\\slash", "é".encode(), b"\xff\xfe", b"b b"]
)
def test_a_name_comes_out_as_it_is(change: Change, name: bytes) -> None:
    [file] = change.between({name: b"1\n"}, {name: b"2\n"}).values()
    assert os.fsencode(file.path) == name
    assert file.old_path == file.path


def test_text_comes_out_as_it_is(change: Change) -> None:
    before = b"crlf\r\nlone\rcr\n\x0cfeed\n\xff latin\n\xe2\x80\xa8separator\nend"
    [file] = change.between({b"a": before}, {b"a": before.replace(b"\n", b"!\n") + b"\n"}).values()
    removed = [line.text.encode("utf-8", "surrogateescape") for line in file.hunks[0].lines if line.kind == "-"]
    assert removed == before.split(b"\n")


def test_lines_that_look_like_a_diff_are_lines(change: Change) -> None:
    text = b"--- a/x\n+++ b/y\n@@ -1 +1 @@\ndiff --git a/x b/x\n"
    [file] = change.between({}, {b"a": text}).values()
    assert [line.text for line in file.hunks[0].lines] == text.decode().splitlines()


def test_binary_and_empty_files_have_no_lines(change: Change) -> None:
    files = change.between({b"b": b"\0one"}, {b"b": b"\0two", b"empty": b""})
    assert (files["b"].binary, files["b"].hunks) == (True, ())
    assert (files["empty"].status, files["empty"].hunks, files["empty"].binary) == ("added", (), False)


def test_a_change_of_mode_alone_is_told(change: Change) -> None:
    change.between({}, {b"run": b"x\n"})
    (change.folder / "run").chmod(0o755)
    change.commit()
    file = change.parsed()["run"]
    assert (file.status, file.old_mode, file.new_mode) == ("mode", "100644", "100755")


def test_a_submodule_is_told(change: Change) -> None:
    change.between({}, {b"a": b"x\n"})
    change.git("update-index", "--add", "--cacheinfo", f"160000,{'1' * 40},sub")
    change.git("commit", "-q", "-m", "x")
    assert change.parsed()["sub"].submodule
