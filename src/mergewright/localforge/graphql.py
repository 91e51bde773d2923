"""The part of GraphQL that review tools speak: one operation, its variables, no fragments.

https://spec.graphql.org/October2021/
"""

import re
from dataclasses import dataclass, field
from typing import Any

LONGEST = 20_000
DEEPEST = 15
_TOKEN = re.compile(
    r"(?:[\s,\ufeff]|#[^\n]*(?:\n|$))*+(?:(?P<name>[_A-Za-z]\w*)|(?P<number>-?\d+(?:\.\d+)?)"
    r'|(?P<text>"(?:[^"\\\n]|\\.)*")|(?P<mark>\.\.\.|[!$()\[\]{}:=@|&]))'
)
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f"}


class GraphQLError(Exception):
    """A document that cannot be read, or asks for what is not there."""


@dataclass(frozen=True, slots=True)
class Selection:
    """A field that is asked for, with its arguments and what of it is wanted."""

    name: str
    key: str
    """Its name in the answer."""
    arguments: dict[str, Any] = field(default_factory=dict)
    selections: "tuple[Selection, ...]" = ()


@dataclass(frozen=True, slots=True)
class Operation:
    """A query or a mutation."""

    kind: str
    selections: tuple[Selection, ...]


def parse(text: str, variables: dict[str, Any]) -> Operation:
    """Read a document with one operation; raises GraphQLError."""
    if len(text) > LONGEST:
        raise GraphQLError("the document is too long")
    return _Reader(_tokens(text), variables).operation()


def _tokens(text: str) -> list[tuple[str, str]]:
    found, position = [], 0
    while match := _TOKEN.match(text, position):
        found.append((str(match.lastgroup), match[str(match.lastgroup)]))
        position = match.end()
    if re.sub(r"#[^\n]*", "", text[position:]).strip(" \t\r\n,"):
        raise GraphQLError(f"unexpected character at {position}")
    return found


class _Reader:
    def __init__(self, tokens: list[tuple[str, str]], variables: dict[str, Any]) -> None:
        self._tokens = tokens
        self._at = 0
        self._variables = variables

    def operation(self) -> Operation:
        kind = "query"
        if self._peek() != "{":
            kind = self._next()
            if kind not in {"query", "mutation"}:
                raise GraphQLError(f"`{kind}` is not supported")
            if self._kind() == "name":
                self._next()
            if self._peek() == "(":
                self._declared()
        operation = Operation(kind, self._selections(0))
        if self._at != len(self._tokens):
            raise GraphQLError("one operation at a time is supported")
        return operation

    def _declared(self) -> None:
        """Read the variables' declarations; a default stands where no value was sent."""
        self._expect("(")
        while self._peek() != ")":
            self._expect("$")
            name = self._next()
            self._expect(":")
            while self._peek() in {"[", "]", "!"} or self._kind() == "name":
                self._next()
            if self._peek() == "=":
                self._next()
                self._variables.setdefault(name, self._value(0))
        self._expect(")")

    def _selections(self, depth: int) -> tuple[Selection, ...]:
        if depth > DEEPEST:
            raise GraphQLError("the document is too deep")
        self._expect("{")
        found = []
        while self._peek() != "}":
            key = name = self._name()
            if self._peek() == ":":
                self._next()
                name = self._name()
            arguments: dict[str, Any] = {}
            if self._peek() == "(":
                self._next()
                while self._peek() != ")":
                    argument = self._name()
                    self._expect(":")
                    arguments[argument] = self._value(depth)
                self._next()
            inner = self._selections(depth + 1) if self._peek() == "{" else ()
            found.append(Selection(name, key, arguments, inner))
        self._next()
        if not found:
            raise GraphQLError("a selection is empty")
        return tuple(found)

    def _value(self, depth: int) -> Any:
        if depth > DEEPEST:
            raise GraphQLError("the document is too deep")
        kind, token = self._kind(), self._next()
        if token == "$":  # noqa: S105 - GraphQL's mark of a variable
            name = self._name()
            if name not in self._variables:
                raise GraphQLError(f"Variable ${name} was provided no value")
            return self._variables[name]
        if kind == "text":
            return re.sub(r"\\(u[0-9a-fA-F]{4}|.)", _unescaped, token[1:-1])
        if kind == "number":
            return float(token) if "." in token else int(token)
        if kind == "name":
            return {"true": True, "false": False, "null": None}.get(token, token)
        if token == "[":  # noqa: S105
            items = []
            while self._peek() != "]":
                items.append(self._value(depth + 1))
            self._next()
            return items
        if token == "{":  # noqa: S105
            fields: dict[str, Any] = {}
            while self._peek() != "}":
                name = self._name()
                self._expect(":")
                fields[name] = self._value(depth + 1)
            self._next()
            return fields
        raise GraphQLError(f"unexpected `{token}`")

    def _kind(self) -> str:
        return self._tokens[self._at][0] if self._at < len(self._tokens) else ""

    def _peek(self) -> str:
        return self._tokens[self._at][1] if self._at < len(self._tokens) else ""

    def _next(self) -> str:
        if self._at >= len(self._tokens):
            raise GraphQLError("the document ends too early")
        self._at += 1
        return self._tokens[self._at - 1][1]

    def _name(self) -> str:
        if self._kind() != "name":
            raise GraphQLError(f"unexpected `{self._peek() or 'end'}`")
        return self._next()

    def _expect(self, mark: str) -> None:
        if (found := self._next()) != mark:
            raise GraphQLError(f"expected `{mark}`, found `{found}`")


def _unescaped(match: re.Match[str]) -> str:
    found = match[1]
    return chr(int(found[1:], 16)) if found[0] == "u" and len(found) == 5 else _ESCAPES.get(found, found)
