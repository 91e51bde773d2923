"""A figure and the bar that it is held to."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """One figure, with what it is to stay below."""

    name: str
    value: float
    bar: float | None
    unit: str
    note: str = ""


def table(rows: list[Row]) -> str:
    """Set the rows out as a Markdown table."""
    lines = ["| what | figure | bar | |", "|---|---|---|---|"]
    for row in rows:
        held = "" if row.bar is None else "held" if row.value <= row.bar else "MISSED"
        bar = "" if row.bar is None else f"{row.bar:g} {row.unit}".strip()
        lines.append(f"| {row.name} | {row.value:.4g} {row.unit} | {bar} {held} | {row.note} |")
    return "\n".join(lines)
