"""The expressions of `rules: if`: variables, texts, patterns, and, or, brackets."""

import re
from collections.abc import Mapping

from mergewright.localforge.ci.patterns import BadPattern, matches

TOKEN = re.compile(
    r"\s*(?:(?P<variable>\$\w+|\$\{\w+\})|(?P<text>\"[^\"]*\"|'[^']*')|(?P<pattern>/(?:\\.|[^/\\])+/i?)"
    r"|(?P<word>==|!=|=~|!~|&&|\|\||\(|\)|null\b))"
)


class BadExpression(Exception):
    """An expression that this forge cannot read."""


def tokens(expression: str) -> list[tuple[str, str]]:
    """Cut an expression into its parts; anything that is none of them is refused."""
    found, position = [], 0
    expression = expression.rstrip()
    while position < len(expression):
        match = TOKEN.match(expression, position)
        if match is None or match.lastgroup is None:
            raise BadExpression(f"`{expression}` cannot be read at `{expression[position:].strip()}`")
        found.append((match.lastgroup, match[match.lastgroup]))
        position = match.end()
    return found


class _Reader:
    def __init__(self, expression: str, variables: Mapping[str, str]) -> None:
        self.expression = expression
        self.rest = tokens(expression)
        self.variables = variables

    def peek(self) -> str:
        return self.rest[0][1] if self.rest else ""

    def take(self) -> tuple[str, str]:
        if not self.rest:
            raise BadExpression(f"`{self.expression}` ends too early")
        return self.rest.pop(0)

    def either(self) -> bool:
        value = self.both()
        while self.peek() == "||":
            self.take()
            value = self.both() or value
        return value

    def both(self) -> bool:
        value = self.comparison()
        while self.peek() == "&&":
            self.take()
            value = self.comparison() and value
        return value

    def comparison(self) -> bool:
        if self.peek() == "(":
            self.take()
            value = self.either()
            if self.take()[1] != ")":
                raise BadExpression(f"`{self.expression}` lacks a closing bracket")
            return value
        left = self.operand()
        operator = self.peek()
        if operator in {"==", "!="}:
            self.take()
            return (left == self.operand()) is (operator == "==")
        if operator in {"=~", "!~"}:
            self.take()
            return self.matches(left) is (operator == "=~")
        return bool(left)

    def operand(self) -> str | None:
        kind, text = self.take()
        if kind == "variable":
            return self.variables.get(text.strip("${}"))
        if kind == "text":
            return text[1:-1]
        if text == "null":
            return None
        raise BadExpression(f"`{self.expression}` has `{text}` where a value should be")

    def matches(self, left: str | None) -> bool:
        kind, text = self.take()
        if kind == "variable":
            text = self.variables.get(text.strip("${}"), "")
        try:
            return matches(text, left or "")
        except BadPattern as error:
            raise BadExpression(str(error)) from error


def holds(expression: str, variables: Mapping[str, str]) -> bool:
    """Whether an expression is true for these variables; raises BadExpression when it cannot be read."""
    reader = _Reader(expression, variables)
    value = reader.either()
    if reader.rest:
        raise BadExpression(f"`{expression}` cannot be read at `{reader.peek()}`")
    return value
