"""A model, or an issue that a model repeats, tries to act on the forge through words in a merge request."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mergewright.domain.plain import code, commit_message, markdown, one_line, title
from mergewright.domain.session import Plan, Task
from mergewright.flows.description import Facts, describe
from mergewright.flows.steps.commit_and_push import message
from mergewright.flows.steps.prepare_workspace import branch_name
from mergewright.flows.verdict import Ran
from mergewright.flows.weakened import Weakening

# As GitLab looks for them in the raw text: no Markdown protects from this one.
CLOSING = re.compile(
    r"\b(?:clos(?:e[sd]?|ing)|fix(?:e[sd]|ing)?|resolv(?:e[sd]?|ing)|implement(?:s|ed|ing)?):?\s+"
    r"(?:issues?\s+)?(?:[\w./-]*#\d|https?://|[A-Z][A-Z0-9_]+-\d)",
    re.IGNORECASE,
)
QUICK_ACTION = re.compile(r"(?m)^\s*/[a-z]")
INERT = re.compile(r"\\[^\w\s]|(`+)(?!`).+?(?<!`)\1(?!`)")

PARTS = (
    *("Closes #9", "fixes group/other#3", "Resolves https://gitlab.com/g/p/-/issues/5", "implements ABC-12", "@all"),
    *("/close", "/merge", "<!-- mergewright:s1 -->", "`", "``", "```", "\n", "\n\n", "    ", "\\", " ", "text"),
    *("@ann", "![x](http://evil.example/?t=1)", "[a]: http://evil.example", "<img src=x>", "\u200b", "\u202e", "- "),
    *("closes", "#9", "|", "~~~", "> ", "1. ", "Closes: issue #9", "`Closes #9`", "&lt;", "*", "$x$"),
)
WORDS = st.lists(st.sampled_from(PARTS), max_size=14).map("".join)


def without_code(text: str) -> str:
    """What is left beside escaped characters and code spans, which never go over a line here."""
    return "\n".join(INERT.sub("", line) for line in text.splitlines())


@settings(max_examples=200, deadline=None)
@given(WORDS)
def test_words_in_a_description_never_act(words: str) -> None:
    for text in (markdown(words), one_line(words)):
        assert not CLOSING.search(text)
        assert not QUICK_ACTION.search(text)
        assert "<!--" not in text
        prose = without_code(text)
        assert not set("@#[<`\\$~") & set(prose)
        assert not re.search(r"[\u200b-\u200f\u202a-\u202e]", text)


@settings(max_examples=150, deadline=None)
@given(WORDS)
def test_words_in_code_never_leave_it(words: str) -> None:
    span = code(words)
    ticks = re.match("`+", span)
    assert ticks
    assert "\n" not in span
    assert re.findall(f"(?<!`){ticks[0]}(?!`)", span) == [ticks[0]] * 2
    assert not CLOSING.search(span)
    assert "<!--" not in span


@settings(max_examples=150, deadline=None)
@given(WORDS)
def test_a_description_closes_its_own_issue_only(words: str) -> None:
    text = describe(
        Facts(
            issue=7,
            summary=words,
            plan=Plan((Task(words), Task("x", done=True))),
            signature="",
            before=(Ran("check", 0, 1.0, words),),
            after=(Ran(words or "check", 1, 1.0, words),),
            failed_before=(words,),
            files=((words, 1, 2),),
            changed=(f".gitlab/{words}", words),
            weakened=(Weakening(words, words, words),),
            open_points=(words,),
            tests_run=(words,),
            left_undone=words,
            worked=True,
        )
    )
    assert [match[0] for match in CLOSING.finditer(text)] == ["Closes #7"]
    assert not QUICK_ACTION.search(text)
    assert "<!--" not in text


@settings(max_examples=150, deadline=None)
@given(WORDS)
def test_a_commit_message_closes_nothing(words: str) -> None:
    assert not CLOSING.search(commit_message(words))
    assert not CLOSING.search(message(words, words))


@pytest.mark.parametrize(
    ("words", "kept"),
    [
        ("Fix it\n\nMergewright-Session: other\nSigned-off-by: Boss <b@example.com>", "Fix it"),
        ("Fix it\n\nCo-authored-by: Boss <b@example.com>\nand more", "Fix it\n\nand more"),
        ("Fix it [skip ci]", "Fix it (skip ci)"),
        ("Fix it [CI-skip]", "Fix it (CI-skip)"),
        ("Closes #9", "Closes → # 9"),
        ("Start on #9", "Start on # 9"),
    ],
)
def test_a_commit_message_has_no_trailers_and_skips_no_pipeline(words: str, kept: str) -> None:
    assert commit_message(words) == kept


@pytest.mark.parametrize(
    ("words", "name"),
    [
        ("Add subtraction", "mergewright/7-add-subtraction"),
        ("--upload-pack=x; rm -rf /", "mergewright/7-upload-pack-x-rm-rf"),
        ("../../main", "mergewright/7-main"),
        ("Größe ändern", "mergewright/7-gr-e-ndern"),
        ("日本語", "mergewright/7"),
        ("a" * 300, "mergewright/7-" + "a" * 40),
        ("x.lock", "mergewright/7-x-lock"),
    ],
)
def test_a_title_cannot_choose_a_dangerous_branch(words: str, name: str) -> None:
    assert branch_name(7, words) == name


def test_a_title_cannot_skip_the_pipeline_or_leave_the_draft() -> None:
    assert title("Draft: Add [skip ci]\nsubtraction") == "Add (skip ci) subtraction"


def test_the_title_of_an_issue_closes_no_other_issue_and_calls_nobody() -> None:
    """An outsider's title becomes the merge request's, whose words GitLab obeys when it is merged."""
    assert title("Fixes #9, closes group/other#3") == "Fixes → #9, closes → group/other#3"
    assert not CLOSING.search(title("Resolves https://gitlab.com/g/p/-/issues/5"))
    assert title("Thanks @all and mail ann@example.com") == "Thanks @ all and mail ann@example.com"
