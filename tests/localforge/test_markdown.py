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
