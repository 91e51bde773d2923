"""Where a name is defined in a file, in any language that defines names with a word."""

import re

_WORDS = (
    r"(?:def|class|func|fn|function|sub|const|let|var|val|type|interface|struct|enum|trait|impl|module|mod|object"
    r"|record|namespace|protocol|extension|macro_rules!|defmodule|defp?|fun|proc)"
)


def find_symbol(lines: list[str], symbol: str) -> tuple[int, int] | None:
    """The first and last line, from 1, of a definition; `Class.method` looks inside the class."""
    low, high = 0, len(lines)
    found: tuple[int, int] | None = None
    for name in re.split(r"\.|::|#", symbol):
        found = _definition(lines, name, low, high)
        if found is None:
            return None
        low, high = found
    return (found[0] + 1, found[1]) if found else None


def _definition(lines: list[str], name: str, low: int, high: int) -> tuple[int, int] | None:
    word = rf"(?<![\w$]){re.escape(name)}(?![\w$])"
    tries = (
        rf"^\s*(?:[\w@()<>\[\],.:*&'\" -]*\s)?{_WORDS}\s+(?:\([^)]*\)\s*)?(?:<[^>]*>\s*)?(?:self\.)?{word}",
        rf"^\s*(?:[\w<>\[\],.*&?]+\s+)*{word}\s*\([^;]*$",  # a method of C's family: `static int name(`
        rf"^\s*{word}\s*(?::[^=]*)?:?=(?!=)",
    )
    for pattern in tries:
        found = [at for at in range(low, high) if re.match(pattern, lines[at])]
        if found:
            # A name of the whole file comes before one of a class in it.
            at = min(found, key=lambda number: (_indent(lines[number]), number))
            return _with_decorators(lines, at, low), _end(lines, at, high)
    return None


def _with_decorators(lines: list[str], at: int, low: int) -> int:
    while at > low and re.match(r"\s*(?:@|#\[|///|//[/!])", lines[at - 1]):
        at -= 1
    return at


def _end(lines: list[str], at: int, high: int) -> int:
    """One past the last line: by braces where the definition opens any, else by indentation."""
    depth, opened = 0, False
    by_indent = re.search(r":\s*(?:#.*)?$", lines[at]) is not None
    for number in range(at, min(high, at + 2000)):
        line = re.sub(r"\"(?:\\.|[^\"\\])*\"|'(?:\\.|[^'\\])*'|//.*", "", lines[number])
        opened = opened or "{" in line
        depth += line.count("{") - line.count("}")
        if opened and depth <= 0 and not by_indent:
            return number + 1
        if not opened and number - at > 3:
            break
    indent = _indent(lines[at])
    end, open_round, in_head = at + 1, 0, True
    for number in range(at, high):
        line = lines[number]
        closes_head = open_round > 0 or re.match(r"\s*(?:[)\]}]|end\b)", line) is not None
        if in_head:
            open_round += line.count("(") - line.count(")") + line.count("[") - line.count("]")
            in_head = open_round > 0
        if number == at or not line.strip():
            continue
        if _indent(line) <= indent and not closes_head:
            break
        end = number + 1
    return end


def _indent(line: str) -> int:
    expanded = line.expandtabs(8)
    return len(expanded) - len(expanded.lstrip())
