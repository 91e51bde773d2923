"""Reads YAML that anybody may have written: no aliases, no key given twice, no nesting without end."""

from typing import Any

import yaml

from mergewright.domain.errors import WrongUse
from mergewright.domain.session import JSON

DEEPEST = 100
"""Levels of lists and mappings in one another."""

LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""The safe loader: the one in C, ten times as fast, where it is there."""


def read_document(text: str, *, name: str, loader: Any = LOADER) -> JSON:
    """Give the document as plain values; raises WrongUse with the line of the first mistake in `name`."""
    try:
        _look(text, name, loader)
        reader = loader(text)
        try:
            node = reader.get_single_node()
            if node is None:
                return None
            _check_keys(node)
            return reader.construct_document(node)
        finally:
            reader.dispose()
    except yaml.YAMLError as error:
        place = getattr(error, "problem_mark", None)
        # Where the text ends without a line's end, the loader in C is one line further.
        line = f"line {min(place.line, text.count(chr(10))) + 1}: " if place else ""
        raise WrongUse(f"{line}{name} is not YAML: {getattr(error, 'problem', error)}") from error


def _look(text: str, name: str, loader: Any) -> None:
    # Before any node is made: aliases can blow a small document up, and the loader in C crashes on what is nested
    # without end.
    depth = 0
    for event in yaml.parse(text, Loader=loader):
        if isinstance(event, yaml.AliasEvent):
            line = event.start_mark.line + 1 if event.start_mark else 1
            raise WrongUse(f"line {line}: aliases are not allowed in {name}", hint="write the value out again")
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > DEEPEST:
                raise WrongUse(f"{name} is nested too deeply")
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1


def _check_keys(node: yaml.Node) -> None:
    if isinstance(node, yaml.SequenceNode):
        for item in node.value:
            _check_keys(item)
    elif isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            if isinstance(key, yaml.ScalarNode):
                if key.value in seen:
                    raise WrongUse(f"line {key.start_mark.line + 1}: `{key.value}` is given twice")
                seen.add(key.value)
            _check_keys(value)
