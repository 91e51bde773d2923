"""What a GraphQL document asks for: one operation, with its fragments spread out and its variables put in.

https://spec.graphql.org/October2021/
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from graphql.language import ast

LONGEST = 20_000
"""Characters of a document."""
MOST_TOKENS = 4_000
DEEPEST = 15
MOST_FIELDS = 2_000
"""Fields once all fragments are spread out: a few short ones can stand for millions."""


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


def parse(text: str, variables: dict[str, Any], *, name: str = "") -> Operation:
    """Read a document; `name` chooses among several operations. Raises GraphQLError."""
    # Here, not above: most clients of a forge never ask for it.
    from graphql import GraphQLError as Unreadable
    from graphql.language import ast
    from graphql.language import parse as read

    if len(text) > LONGEST:
        raise GraphQLError("the document is too long")
    try:
        document = read(text, no_location=True, max_tokens=MOST_TOKENS, allow_empty_selection_sets=False)
        asked = [one for one in document.definitions if isinstance(one, ast.OperationDefinitionNode)]
        chosen = [one for one in asked if not name or (one.name and one.name.value == name)]
        if len(chosen) != 1:
            raise GraphQLError(f"there is no operation `{name}`" if name else "one operation at a time is answered")
        fragments = {one.name.value: one for one in document.definitions if isinstance(one, ast.FragmentDefinitionNode)}
        return _Reader(fragments, variables).operation(chosen[0])
    except (Unreadable, ValueError, RecursionError) as error:
        raise GraphQLError(str(error) or "the document is too deep") from error


class _Reader:
    def __init__(self, fragments: "dict[str, ast.FragmentDefinitionNode]", variables: dict[str, Any]) -> None:
        self._fragments = fragments
        self._variables = variables
        self._fields = 0

    def operation(self, asked: "ast.OperationDefinitionNode") -> Operation:
        from graphql.utilities import value_from_ast_untyped

        if asked.operation.value not in {"query", "mutation"}:
            raise GraphQLError(f"`{asked.operation.value}` is not supported")
        for one in asked.variable_definitions or ():
            if one.default_value is not None:
                self._variables.setdefault(one.variable.name.value, value_from_ast_untyped(one.default_value))
        return Operation(asked.operation.value, self._selections([asked.selection_set], 0))

    def _selections(self, sets: "list[ast.SelectionSetNode]", depth: int) -> tuple[Selection, ...]:
        """Give the fields of some selection sets; those of one key are one field with all that is asked of it."""
        if depth > DEEPEST:
            raise GraphQLError("the document is too deep")
        found: dict[str, list[ast.FieldNode]] = {}
        for one in (node for each in sets for node in self._spread(each, depth)):
            found.setdefault((one.alias or one.name).value, []).append(one)
        return tuple(self._field(key, nodes, depth) for key, nodes in found.items())

    def _field(self, key: str, nodes: "list[ast.FieldNode]", depth: int) -> Selection:
        first = nodes[0]
        if any(one.name.value != first.name.value for one in nodes):
            raise GraphQLError(f"`{key}` stands for two fields")
        arguments = {one.name.value: self._value(one.value) for one in first.arguments or ()}
        inner = [one.selection_set for one in nodes if one.selection_set]
        return Selection(first.name.value, key, arguments, self._selections(inner, depth + 1) if inner else ())

    def _spread(self, given: "ast.SelectionSetNode", depth: int) -> "Iterator[ast.FieldNode]":
        from graphql.language import ast

        if depth > DEEPEST:
            raise GraphQLError("the document is too deep")
        for one in given.selections:
            self._fields += 1
            if self._fields > MOST_FIELDS:
                raise GraphQLError("the document asks for too much")
            if not self._wanted(one):
                continue
            if isinstance(one, ast.FieldNode):
                yield one
            elif isinstance(one, ast.InlineFragmentNode):
                yield from self._spread(one.selection_set, depth + 1)
            elif isinstance(one, ast.FragmentSpreadNode):
                if one.name.value not in self._fragments:
                    raise GraphQLError(f"there is no fragment `{one.name.value}`")
                yield from self._spread(self._fragments[one.name.value].selection_set, depth + 1)

    def _wanted(self, node: "ast.SelectionNode") -> bool:
        """Whether `@include` and `@skip` leave a selection in."""
        for directive in node.directives or ():
            name = directive.name.value
            values = [self._value(one.value) for one in directive.arguments or () if one.name.value == "if"]
            if name not in {"include", "skip"} or not values or not isinstance(values[0], bool):
                raise GraphQLError(f"`@{name}` is not understood")
            if values[0] is (name == "skip"):
                return False
        return True

    def _value(self, node: "ast.ValueNode") -> Any:
        from graphql.language import ast
        from graphql.utilities import value_from_ast_untyped

        if isinstance(node, ast.VariableNode) and node.name.value not in self._variables:
            raise GraphQLError(f"Variable ${node.name.value} was provided no value")
        return value_from_ast_untyped(node, self._variables)
