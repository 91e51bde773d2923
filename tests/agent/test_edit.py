"""The edit tool keeps every byte that it was not told to change."""

import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from mergewright.domain.agent import Tool
from mergewright.domain.errors import ToolError
from tests.support.agents import answer

ONE = {"old": "two", "new": "2"}

# What a file holds, the edit, and what it must hold then.
CASES: dict[str, tuple[bytes, dict[str, str], bytes]] = {
    "plain": (b"one\ntwo\nthree\n", ONE, b"one\n2\nthree\n"),
    "delete a line": (b"one\ntwo\nthree\n", {"old": "two\n", "new": ""}, b"one\nthree\n"),
    "byte order mark": (b"\xef\xbb\xbfone\ntwo\n", {"old": "one\n", "new": "1\n"}, b"\xef\xbb\xbf1\ntwo\n"),
    "form feed": (b"one\n\x0ctwo\nthree\n", ONE, b"one\n\x0c2\nthree\n"),
    "tabs in a Makefile": (
        b"all:\n\tcc two\n\tcc x   y\n", {"old": "\tcc two\n", "new": "\tcc 2\n\tcc 3\n"},
        b"all:\n\tcc 2\n\tcc 3\n\tcc x   y\n",
    ),
    "tabs elsewhere": (b"func f() {\n\treturn\t1\n}\nvar two = 2\n", ONE, b"func f() {\n\treturn\t1\n}\nvar 2 = 2\n"),
    "CRLF, one line": (b"one\r\ntwo\r\nthree\r\n", ONE, b"one\r\n2\r\nthree\r\n"),
    "CRLF, lines given with LF": (
        b"one\r\ntwo\r\nthree\r\n", {"old": "one\ntwo\n", "new": "1\n1.5\n2\n"}, b"1\r\n1.5\r\n2\r\nthree\r\n",
    ),
    "CRLF, lines put in one line": (
        b"one\r\ntwo\r\n", {"old": "two", "new": "2\n3"}, b"one\r\n2\r\n3\r\n",
    ),
    "CRLF, from the end of a line": (b"one\r\ntwo\r\n", {"old": "\ntwo", "new": "\n2"}, b"one\r\n2\r\n"),
    "mixed line ends": (
        b"one\r\ntwo\nthree\r\nfour\n", {"old": "two\nthree\n", "new": "2\n3\n"}, b"one\r\n2\n3\nfour\n",
    ),
    "no final newline": (b"one\ntwo", ONE, b"one\n2"),
    "latin-1": (b"caf\xe9\ntwo\n", {"old": "caf\u00e9", "new": "th\u00e9"}, b"th\xe9\ntwo\n"),
    "windows-1252": (b"\x93two\x94\n", {"old": "\u201ctwo\u201d", "new": "\u201c2\u201d"}, b"\x932\x94\n"),
    "UTF-16": ("\ufeffone\r\ntwo\r\n".encode("utf-16-le"), ONE, "\ufeffone\r\n2\r\n".encode("utf-16-le")),
    "part of a line": (b"x = one(two, three)\n", {"old": "(two", "new": "(2"}, b"x = one(2, three)\n"),
    "spaces at line ends": (b"one  \ntwo \n", {"old": "two", "new": "2"}, b"one  \n2 \n"),
    "line separators of Unicode": ("a\u2028b\x85c\ntwo\n".encode(), ONE, "a\u2028b\x85c\n2\n".encode()),
    "characters of a regular expression": (b"a.b*(c)\n", {"old": ".b*(c)", "new": "\\1\\g<0>"}, b"a\\1\\g<0>\n"),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
async def test_every_other_byte_is_kept(name: str, tree: Path, tools: Mapping[str, Tool]) -> None:
    before, edit, after = CASES[name]
    (tree / "file").write_bytes(before)
    await tools["edit"].call({"path": "file", "edits": [edit]})
    assert (tree / "file").read_bytes() == after


async def test_the_executable_bit_is_kept(tree: Path, tools: Mapping[str, Tool]) -> None:
    (tree / "tool.sh").write_bytes(b"#!/bin/sh\necho two\n")
    (tree / "tool.sh").chmod(0o755)
    await tools["edit"].call({"path": "tool.sh", "edits": [ONE]})
    assert (tree / "tool.sh").stat().st_mode & 0o777 == 0o755
    assert (tree / "tool.sh").read_bytes() == b"#!/bin/sh\necho 2\n"


async def test_a_link_stays_a_link_and_its_target_changes(tree: Path, tools: Mapping[str, Tool]) -> None:
    os.symlink("src/text.txt", tree / "link")
    await tools["edit"].call({"path": "link", "edits": [ONE]})
    assert (tree / "link").is_symlink()
    assert (tree / "src" / "text.txt").read_text() == "one\n2\nthree\n"


async def test_an_old_text_in_two_places_is_refused_with_their_lines(tree: Path, tools: Mapping[str, Tool]) -> None:
    (tree / "file").write_bytes(b"two\none\ntwo\n")
    with pytest.raises(ToolError, match="2 places of `file`, at lines 1, 3"):
        await tools["edit"].call({"path": "file", "edits": [ONE]})
    assert (tree / "file").read_bytes() == b"two\none\ntwo\n"


async def test_places_that_overlap_are_two_places(tree: Path, tools: Mapping[str, Tool]) -> None:
    (tree / "file").write_bytes(b"aaa\n")
    with pytest.raises(ToolError, match="2 places"):
        await tools["edit"].call({"path": "file", "edits": [{"old": "aa", "new": "b"}]})


async def test_all_places_are_changed_when_asked_for(tree: Path, tools: Mapping[str, Tool]) -> None:
    (tree / "file").write_bytes(b"two\r\none\r\ntwo\r\n")
    await tools["edit"].call({"path": "file", "edits": [{**ONE, "all": True}]})
    assert (tree / "file").read_bytes() == b"2\r\none\r\n2\r\n"


async def test_of_places_that_overlap_the_first_is_changed(tree: Path, tools: Mapping[str, Tool]) -> None:
    (tree / "file").write_bytes(b"aaa\n")
    await tools["edit"].call({"path": "file", "edits": [{"old": "aa", "new": "b", "all": True}]})
    assert (tree / "file").read_bytes() == b"ba\n"


async def test_wrong_indentation_is_refused_and_the_true_lines_are_shown(tree: Path, tools: Mapping[str, Tool]) -> None:
    source = b"class A:\n    def f(self):\n        return 1\n"
    (tree / "a.py").write_bytes(source)
    with pytest.raises(ToolError, match=r"not in `a\.py`") as refusal:
        await tools["edit"].call(
            {"path": "a.py", "edits": [{"old": "def f(self):\n    return 1", "new": "def f(self):\n    return 2"}]}
        )
    assert "white space only from lines 2-3" in refusal.value.hint
    assert "    def f(self):\n        return 1" in refusal.value.hint
    assert (tree / "a.py").read_bytes() == source


async def test_a_text_that_is_not_there_is_answered_with_the_nearest_lines(tools: Mapping[str, Tool]) -> None:
    with pytest.raises(ToolError) as refusal:
        await tools["edit"].call({"path": "app.py", "edits": [{"old": "def add(a, c):", "new": "def plus(a, c):"}]})
    assert "nearest lines are 1-" in refusal.value.hint
    assert "def add(a, b):" in refusal.value.hint


async def test_letters_that_the_file_cannot_hold_are_refused(tree: Path, tools: Mapping[str, Tool]) -> None:
    (tree / "file").write_bytes(b"caf\xe9\n")
    with pytest.raises(ToolError, match="latin-1"):
        await tools["edit"].call({"path": "file", "edits": [{"old": "caf", "new": "\u2192"}]})
    assert (tree / "file").read_bytes() == b"caf\xe9\n"


async def test_when_one_edit_does_not_fit_none_is_made(tree: Path, tools: Mapping[str, Tool]) -> None:
    with pytest.raises(ToolError, match="edit 2 of 2"):
        await tools["edit"].call({"path": "src/text.txt", "edits": [ONE, {"old": "nine", "new": "9"}]})
    assert (tree / "src" / "text.txt").read_text() == "one\ntwo\nthree\n"


async def test_several_edits_are_made_one_after_the_other(tree: Path, tools: Mapping[str, Tool]) -> None:
    edits = [{"old": "one\n", "new": ""}, {"old": "two", "new": "second"}, {"old": "second", "new": "2nd"}]
    await tools["edit"].call({"path": "src/text.txt", "edits": edits})
    assert (tree / "src" / "text.txt").read_text() == "2nd\nthree\n"


async def test_the_answer_is_a_short_diff(tree: Path, tools: Mapping[str, Tool]) -> None:
    lines = [f"line {n}" for n in range(3000)]
    (tree / "long").write_text("\n".join(lines) + "\n")
    edits = [{"old": "line 5\n", "new": "five\n"}, {"old": "line 2990\n", "new": ""}]
    text = await answer(tools["edit"], path="long", edits=edits)
    assert text == (
        "long changed\n@@ -4,5 +4,5 @@\n line 3\n line 4\n-line 5\n+five\n line 6\n line 7\n"
        "@@ -2989,5 +2989,4 @@\n line 2988\n line 2989\n-line 2990\n line 2991\n line 2992"
    )


@pytest.mark.parametrize(
    ("edit", "why"),
    [({"old": "", "new": "x"}, "empty"), ({"old": "one", "new": "one"}, "the same")],
)
async def test_an_edit_that_means_nothing_is_refused(edit: dict[str, str], why: str, tools: Mapping[str, Tool]) -> None:
    with pytest.raises(ToolError, match=why):
        await tools["edit"].call({"path": "src/text.txt", "edits": [edit]})


async def test_a_binary_file_is_not_edited(tree: Path, tools: Mapping[str, Tool]) -> None:
    (tree / "image").write_bytes(b"\x89PNG\0\0two")
    with pytest.raises(ToolError, match="binary"):
        await tools["edit"].call({"path": "image", "edits": [ONE]})
