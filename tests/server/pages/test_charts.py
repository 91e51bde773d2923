"""Charts: every value is drawn in proportion and written out, and no text in them is more than text."""

import re
from collections.abc import Callable
from xml.etree import ElementTree as ET

import pytest
from markupsafe import Markup

from mergewright.server.pages.charts import bars, columns, stacks
from mergewright.server.pages.words import money, span, ticks, when

EVIL = '"><script>alert(1)</script>'
SVG = "{http://www.w3.org/2000/svg}"


def boxes(svg: Markup) -> list[tuple[str, float, float]]:
    """Give each drawn box with its class, width and height."""
    return [(one.attrib["class"], float(one.attrib["width"]), float(one.attrib["height"]))
            for one in ET.fromstring(svg).iter(f"{SVG}rect")]  # fmt: skip


def test_bars_stand_in_proportion_and_carry_their_values() -> None:
    svg = bars("Many", "two bars", [("a", 2), ("b", 1), ("c", 0)])
    (_, first, _), (_, second, _) = boxes(svg)
    assert first == pytest.approx(2 * second, abs=0.2)
    assert [one.text for one in ET.fromstring(svg).iter(f"{SVG}text")] == ["a", "2", "b", "1", "c", "0"]
    (_, half, _) = boxes(bars("Share", "", [("a", 0.5)], most=1.0))[0]
    assert half < 200


def test_pieces_of_a_stack_and_a_column_add_up() -> None:
    assert [round(one[1]) for one in boxes(stacks("S", "", [("a", (1, 3)), ("b", (0, 2))]))] == [79, 237, 158]
    made = boxes(columns("C", "", [("w1", (1, 1)), ("w2", (0, 4))]))
    assert [one[0] for one in made] == ["s0", "s1", "s1"]
    assert made[0][2] == made[1][2] == pytest.approx(made[2][2] / 4, abs=0.1)


@pytest.mark.parametrize("draw", [bars, columns, stacks])
def test_no_text_of_a_chart_is_more_than_text_and_none_of_its_looks_stand_in_it(draw: Callable[..., Markup]) -> None:
    value: object = 1 if draw is bars else (1,)
    svg = draw(EVIL, EVIL, [(EVIL, value)] * 8)
    assert "<script>" not in svg
    assert "style" not in svg
    tree = ET.fromstring(svg)
    assert (tree.attrib["role"], tree[0].text, tree[1].text) == ("img", EVIL, EVIL)
    assert tree.attrib["aria-labelledby"].split() == [tree[0].attrib["id"], tree[1].attrib["id"]]
    assert all(re.fullmatch(r"[\w-]+", one.attrib["id"]) for one in tree[:2])


@pytest.mark.parametrize("draw", [bars, columns, stacks])
def test_a_chart_of_nothing_is_still_one(draw: Callable[..., Markup]) -> None:
    assert boxes(draw("None", "", [])) == []
    assert boxes(draw("Zero", "", [("a", 0 if draw is bars else (0, 0))])) == []


def test_words_are_written_as_people_read_them() -> None:
    assert when(0) == ""
    assert when(1.0) == '<time datetime="1970-01-01T00:00:01+00:00">1970-01-01 00:00 UTC</time>'
    assert (span(0.2), span(61), span(90_000), span(3_600)) == ("0 s", "1 min 1 s", "1 d 1 h", "1 h")
    assert (money(None), money(0.0123), money(12.5)) == ("price not known", "$0.0123", "$12.50")
    assert ticks("a `<b>` <i>") == "a <code>&lt;b&gt;</code> &lt;i&gt;"
