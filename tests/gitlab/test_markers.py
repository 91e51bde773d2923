import re
import time

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from mergewright.domain.errors import WrongUse
from mergewright.gitlab.markers import CUT, NOTE_LIMIT, TITLE_LIMIT, mark_of, marked, safe_text, safe_title

LIMIT = 100_000
PIECES = [
    *("```", "```sh", "````", "~~~", "  ```", "`", "```x`"),
    *("<div>", "</div>", "<pre>", "<!--", "-->", ">>>", "> ", "---", "- ", "    ", "\t"),
    *("/close", "/close now", " /close", "/CLOSE", "/clo\u017fe", "\u2028/close", "\x0b/close", "/label ~a", "\\"),
    *("<!-- mergewright:x -->", "<!--MERGEWRIGHT:x-->", "<!-- <!-- mergewright:mergewright:x -->", "mergewright:x -->"),
    *("word", "/usr/bin/env", " ", "\0", "\ud800", "[a]: /u '", "|a|", "$$"),
]
texts = st.lists(st.tuples(st.sampled_from(PIECES), st.sampled_from(["\n", "\n\n", "\r", "\r\n", ""]))).map(
    lambda parts: "".join(piece + end for piece, end in parts)
)


def orders(text: str) -> list[str]:
    """The lines that a GitLab could read as quick actions: all that Markdown does not show as closed code."""
    lines = text.split("\n")
    for token in MarkdownIt("commonmark").parse(text):
        if token.type == "fence" and token.map and token.level == 0 and lines[token.map[1] - 1].rstrip() == "```":
            lines[token.map[0] : token.map[1]] = [""] * (token.map[1] - token.map[0])
    return [line for line in lines if re.match(r"/\w+( |\s*$)", line)]


@settings(max_examples=400, deadline=None)
@given(texts)
@example("<div>\n```\n\n/close\n\n```\n")
@example("````\n```\n/close\n```\n````\n/close")
@example("/cl\rose")
@example("```\n/close")
@example("~~~\n```\n~~~\n/close\n```\n")
def test_no_text_smuggles_a_quick_action_or_a_mark(text: str) -> None:
    safe = safe_text(text, limit=LIMIT)
    assert orders(safe) == []
    assert mark_of(safe) is None
    assert not re.search(r"<!--\s*mergewright:", safe, re.IGNORECASE)
    note = marked(text, "plan")
    assert mark_of(note) == "plan"
    assert orders(note) == []
    assert len(re.findall(r"<!--\s*mergewright:", note, re.IGNORECASE)) == 1


@settings(max_examples=100, deadline=None)
@given(texts, st.integers(min_value=len(CUT), max_value=200))
def test_a_text_is_cut_to_its_limit_and_stays_safe(text: str, limit: int) -> None:
    safe = safe_text(text, limit=limit)
    assert len(safe) <= limit
    assert orders(safe) == []


@given(st.text())
@settings(max_examples=100, deadline=None)
def test_a_title_is_one_line_of_what_the_forge_takes(title: str) -> None:
    safe = safe_title(title)
    assert len(safe) <= TITLE_LIMIT
    assert len(safe.splitlines()) <= 1
    safe.encode()


@pytest.mark.parametrize(
    ("text", "safe"),
    [
        ("/close", "\\/close"),
        ("Fine.\n  /merge now", "Fine.\n  \\/merge now"),
        ("/assign_reviewer @a", "\\/assign_reviewer @a"),
        ("a /close in the middle", "a /close in the middle"),
        ("/usr/bin/python is a path", "/usr/bin/python is a path"),
        ("/etc.conf", "/etc.conf"),
        ("```\n/close\n```", "```\n/close\n```"),
        ("```gitignore\n/dist\n```\n/close", "```gitignore\n/dist\n```\n\\/close"),
        ("- [ ] one\n- [x] two", "- [ ] one\n- [x] two"),
        ("a\r\nb\rc", "a\nb\nc"),
        ("<!-- a comment of somebody else -->", "<!-- a comment of somebody else -->"),
        ("<!-- mergewright:plan -->", "&lt;!-- mergewright:plan -->"),
        ("```\nnever closed", "```\nnever closed\n```"),
        ("```\na\n```sh", "```\na\n```sh\n```"),
        ("ünïcode – 日本語", "ünïcode – 日本語"),
    ],
)
def test_a_text_reads_as_it_was_written_and_orders_nothing(text: str, safe: str) -> None:
    assert safe_text(text, limit=LIMIT) == safe


def test_a_note_is_no_longer_than_the_forge_takes_and_says_what_was_cut() -> None:
    note = marked("/close\n" * 200_000, "session:1")
    assert len(note) <= NOTE_LIMIT
    assert "The rest was cut" in note
    assert mark_of(note) == "session:1"


def test_a_single_line_beyond_the_limit_keeps_its_beginning() -> None:
    safe = safe_text("/close " + "x" * LIMIT, limit=LIMIT)
    assert len(safe) == LIMIT
    assert safe.startswith("\\/close xxx")


@pytest.mark.parametrize("piece", [" ", "`", "<!--", "<!-- ", "```\n", "\n", "/", "/a ", "/a\n"])
def test_a_hostile_text_takes_no_long_time(piece: str) -> None:
    begun = time.process_time()
    safe_text(piece * (500_000 // len(piece)), limit=NOTE_LIMIT)
    assert time.process_time() - begun < 5


def test_a_mark_counts_only_as_the_last_line_of_a_note() -> None:
    assert mark_of("text\n\n<!-- mergewright:plan -->\n") == "plan"
    assert mark_of("<!-- mergewright:plan -->\ntext") is None
    assert mark_of("> <!-- mergewright:plan -->") is None
    assert mark_of("") is None


@pytest.mark.parametrize("mark", ["", "a b", "a--b", "-->", "a>", "x" * 101, "ä", "a\n"])
def test_a_mark_that_could_break_out_of_its_comment_is_refused(mark: str) -> None:
    with pytest.raises(WrongUse):
        marked("text", mark)
