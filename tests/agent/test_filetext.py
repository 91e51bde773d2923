"""Bytes become text and the same bytes again."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mergewright.agent.edits import Edit, apply, short_diff
from mergewright.agent.filetext import clip_lines, decode, encode, plain
from mergewright.domain.errors import ToolError


@given(st.binary())
def test_whatever_can_be_read_is_written_back_the_same(data: bytes) -> None:
    try:
        file = decode(data, "x")
    except ToolError:
        return
    assert encode(file.text, file.encoding, "x") == data


@given(st.text(alphabet="ab\n\r ", max_size=30), st.text(alphabet="ab\n ", min_size=1, max_size=5), st.text(max_size=5))
def test_an_edit_changes_the_place_that_was_named_and_no_other(text: str, old: str, new: str) -> None:
    try:
        after = apply(text, [Edit(old, new)], "x")
    except ToolError:
        return
    places = [n for n in range(len(text)) if text.replace("\r\n", "\n").startswith(old, n)]
    assert len(places) <= 1 or "\r\n" in text
    # Without its line ends' manner, the outcome is what replacing in plain text gives.
    wanted = text.replace("\r\n", "\n").replace(old, new.replace("\r\n", "\n"), 1)
    assert re.sub(r"\r+\n", "\n", after) == re.sub(r"\r+\n", "\n", wanted)


@given(st.text(alphabet="ab\n", max_size=40), st.text(alphabet="ab\n", max_size=40))
def test_a_short_diff_has_the_lines_that_differ(before: str, after: str) -> None:
    removed = [line[1:] for line in short_diff(before, after, limit=1000).split("\n") if line.startswith("-")]
    added = [line[1:] for line in short_diff(before, after, limit=1000).split("\n") if line.startswith("+")]
    assert len(before.split("\n")) - len(removed) == len(after.split("\n")) - len(added)
    assert bool(removed or added) == (before != after)


def test_a_long_text_keeps_its_head_and_tail_in_whole_lines() -> None:
    text = "\n".join(f"line {n}" for n in range(1000))
    short = clip_lines(text, 200)
    assert len(short) < 240
    assert short.startswith("line 0\nline 1\n")
    assert short.endswith("\nline 998\nline 999")
    assert clip_lines("short", 200) == "short"


@pytest.mark.parametrize(
    ("output", "shown"),
    [
        ("a\x1b[31mred\x1b[0m", "ared"),
        ("\x1b]8;;http://x\x07link\x1b]8;;\x07", "link"),
        ("1%\r2%\n", "2%\n"),
        ("a\x00b\x08", "ab"),
    ],
)
def test_output_is_shown_as_a_terminal_would_leave_it(output: str, shown: str) -> None:
    assert plain(output) == shown
