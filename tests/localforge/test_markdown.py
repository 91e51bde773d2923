import time

import pytest

from mergewright.localforge.markdown import LONGEST, markdown


def test_a_plan_is_shown_as_a_list_with_boxes() -> None:
    html = markdown("### Plan\n\n- [x] done\n- [ ] open\n")
    assert "<h3>Plan</h3>" in html
    assert '<li class="task">☑ done</li>' in html
    assert '<li class="task">☐ open</li>' in html


def test_checks_are_shown_as_a_table() -> None:
    html = markdown("| check | after |\n|---|---|\n| `make` | exit code 0 |\n")
    assert "<td><code>make</code></td>" in html


def test_hidden_comments_are_hidden() -> None:
    assert markdown("A note\n\n<!-- mergewright:mark -->") == "<p>A note</p>\n"


@pytest.mark.parametrize(
    "text",
    [
        "<script>alert(1)</script>",
        "<img src=x onerror=alert(1)>",
        "<scr<!-- -->ipt>alert(1)</script>",
        "<<sub>script>alert(1)</script>",
        "[a](javascript:alert(1))",
        "[a](data:text/html;base64,PHNjcmlwdD4=)",
        "![a](https://example.com/pixel.png)",
        '[a](https://example.com "><script>alert(1)</script>")',
        "`<script>`\n\n    <script>alert(1)</script>",
    ],
)
def test_nothing_in_a_text_acts(text: str) -> None:
    html = markdown(text)
    for harm in ("<script", "<img", 'href="javascript', 'href="data'):
        assert harm not in html


def test_a_text_without_end_is_shown_as_it_is() -> None:
    html = markdown("<b>" + "[" * LONGEST)
    assert html.startswith('<div class="text">&lt;b&gt;[[[')


def test_a_fold_holds_markdown_and_ends_where_it_ends() -> None:
    html = markdown("Before\n\n<details><summary>A *title*</summary>\n\n- `one`\n\n</details>\n\nAfter")
    assert html.replace("\n", "") == (
        "<p>Before</p><details><summary>A <em>title</em></summary>"
        "<ul><li><code>one</code></li></ul></details><p>After</p>"
    )


def test_folds_hold_folds_and_their_titles_may_stand_below() -> None:
    text = "<details>\n<summary>One</summary>\n\n<details><summary>Two</summary>\nx\n</details>\n\n</details>"
    inner = "<details><summary>Two</summary><p>x</p></details>"
    assert markdown(text).replace("\n", "") == f"<details><summary>One</summary>{inner}</details>"


def test_what_is_code_neither_opens_nor_closes_a_fold() -> None:
    html = markdown("<details><summary>Log</summary>\n\n```\n</details>\n<b>x</b>\n```\n\nend\n\n</details>\nafter")
    assert html.count("</details>") == 1
    assert html.index("<p>end") < html.index("</details>") < html.index("after")
    assert "<details" not in markdown("```\n<details><summary>x</summary>\n</details>\n```")


@pytest.mark.parametrize(
    "text",
    [
        "<details><summary>Never closed</summary>\n\ntext",
        "</details>",
        "<details open ontoggle=alert(1)><summary>x</summary>\n\n</details>",
        "<details><summary onclick=alert(1)>x</summary>\n\n</details>",
        "text <details><summary>x</summary>\n\n</details>",
        "> <details><summary>x</summary>\n> </details>",
        '<DETAILS STYLE="x">\n</DETAILS>',
    ],
)
def test_a_fold_that_is_not_written_plainly_is_text(text: str) -> None:
    html = markdown(text)
    assert "<details" not in html
    assert "<summary" not in html
    assert "&lt;" in html


def test_the_title_of_a_fold_is_text_too() -> None:
    html = markdown("<details><summary><img src=x onerror=alert(1)></summary>\n\n<script>\n\n</details>")
    assert "<img" not in html
    assert "<script" not in html
    assert "&lt;img" in html


@pytest.mark.parametrize(
    "piece", ["<details><summary>x</summary>\n", "<!--", "<details>\n", "</details>\n", "> <details>\n"]
)
def test_a_text_made_to_be_slow_is_not(piece: str) -> None:
    began = time.process_time()
    markdown((piece * (LONGEST // len(piece)))[:LONGEST])
    markdown("-->" + (piece * (LONGEST // len(piece)))[: LONGEST - 3])
    assert time.process_time() - began < 10


def test_a_suggestion_is_left_out_where_it_is_shown_as_a_change() -> None:
    text = "Better:\n\n```suggestion:-0+0\nx = 1\n```"
    assert "x = 1" in markdown(text)
    assert markdown(text, suggested=True) == "<p>Better:</p>\n"
