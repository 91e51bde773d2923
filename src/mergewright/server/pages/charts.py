"""Charts made on the server: SVG with a title and a description, coloured by classes, so each theme has its own."""

import re
from collections.abc import Callable, Sequence

from markupsafe import Markup

from mergewright.server.pages.words import number

WIDE = 360
ROW = 34
LABEL = 14
TALL = 150
STEP = 26
LONGEST = 44
_SVG = Markup(
    '<svg class="chart" viewBox="0 0 {} {}" role="img" aria-labelledby="{}-t {}-d" '
    'xmlns="http://www.w3.org/2000/svg"><title id="{}-t">{}</title><desc id="{}-d">{}</desc>{}</svg>'
)
Write = Callable[[float], str]


def bars(
    title: str, desc: str, rows: Sequence[tuple[str, float]], *, write: Write = number, most: float = 0.0
) -> Markup:
    """Give one bar for each row, its name above and its value behind it; `most` is what a whole bar stands for."""
    top = max([most, *(value for _, value in rows)], default=0.0)
    parts = []
    for index, (name, value) in enumerate(rows):
        y, text = index * ROW, write(value)
        # A character takes at most eight units, and the value must fit behind the bar.
        room = WIDE - 12 - 8 * len(text)
        long = room * value / top if top > 0 else 0.0
        parts.append(_label(name, y + LABEL))
        parts.append(_box(0, y + LABEL + 5, long, 10, "s0"))
        parts.append(
            Markup('<text class="value" x="{}" y="{}">{}</text>').format(f"{long + 6:.1f}", y + LABEL + 14, text)
        )
    return _svg(WIDE, max(len(rows) * ROW, 1), title, desc, parts)


def stacks(title: str, desc: str, rows: Sequence[tuple[str, Sequence[float]]]) -> Markup:
    """Give one bar for each row, made of a piece for each of its values."""
    top = max((sum(values) for _, values in rows), default=0.0)
    room = WIDE - 44
    parts = []
    for index, (name, values) in enumerate(rows):
        y, x = index * ROW, 0.0
        parts.append(_label(name, y + LABEL))
        for kind, value in enumerate(values):
            long = room * value / top if top > 0 else 0.0
            parts.append(_box(x, y + LABEL + 5, long, 10, f"s{kind}"))
            x += long
        total = Markup('<text class="value" x="{}" y="{}">{}</text>')
        parts.append(total.format(f"{x + 6:.1f}", y + LABEL + 14, number(sum(values))))
    return _svg(WIDE, max(len(rows) * ROW, 1), title, desc, parts)


def columns(title: str, desc: str, rows: Sequence[tuple[str, Sequence[float]]]) -> Markup:
    """Give one column for each row, made of a piece for each of its values, with names below the first and last."""
    top = max((sum(values) for _, values in rows), default=0.0)
    parts = []
    for index, (_, values) in enumerate(rows):
        y = float(TALL)
        for kind, value in enumerate(values):
            tall = (TALL - 16) * value / top if top > 0 else 0.0
            y -= tall
            parts.append(_box(index * STEP, y, STEP - 6, tall, f"s{kind}"))
        if total := sum(values):
            text = Markup('<text class="value" x="{}" y="{}" text-anchor="middle">{}</text>')
            parts.append(text.format(index * STEP + (STEP - 6) / 2, f"{y - 4:.1f}", number(total)))
    wide = max(len(rows) * STEP, WIDE)
    parts.append(Markup('<line class="axis" x1="0" y1="{}" x2="{}" y2="{}"/>').format(TALL, wide, TALL))
    if rows:
        parts.append(Markup('<text class="name" x="0" y="{}">{}</text>').format(TALL + 16, rows[0][0]))
    if len(rows) > 6:
        last = Markup('<text class="name" x="{}" y="{}" text-anchor="end">{}</text>')
        parts.append(last.format(len(rows) * STEP, TALL + 16, rows[-1][0]))
    return _svg(wide, TALL + 22, title, desc, parts)


def _svg(wide: float, tall: float, title: str, desc: str, parts: Sequence[Markup]) -> Markup:
    # A page has no two charts of one title.
    name = "chart-" + "-".join(re.findall(r"[a-z0-9]+", title.lower()))
    return _SVG.format(wide, tall, name, name, name, title, name, desc, Markup().join(parts))


def _label(text: str, y: float) -> Markup:
    short = text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"
    return Markup('<text class="name" x="0" y="{}">{}</text>').format(y, short)


def _box(x: float, y: float, wide: float, tall: float, kind: str) -> Markup:
    if wide <= 0 or tall <= 0:
        return Markup()
    box = Markup('<rect class="{}" x="{}" y="{}" width="{}" height="{}"/>')
    return box.format(kind, f"{x:.1f}", f"{y:.1f}", f"{wide:.1f}", f"{tall:.1f}")
