"""YAML that strangers wrote: read without the tricks that make a short file endless."""

from typing import Any

import yaml

LONGEST = 200_000
"""Characters of a file, and of what its aliases unfold to."""


def read_yaml(text: str, loader: type[yaml.SafeLoader] = yaml.SafeLoader) -> Any:
    """Read one document; raises YAMLError, and nothing else, for what cannot be read or unfolds beyond measure."""
    if len(text) > LONGEST:
        raise yaml.YAMLError(f"the file is longer than {LONGEST:,} characters")
    reader = loader(text)
    try:
        node = reader.get_single_node()
        if node is None:
            return None
        if _weight(node, {}) > LONGEST:
            raise yaml.YAMLError("its aliases unfold to too much")
        return reader.construct_document(node)
    except (ValueError, RecursionError) as error:
        # Such as a date in a thirteenth month, which the YAML library does not expect.
        raise yaml.YAMLError(f"a value cannot be read: {error}") from error
    finally:
        reader.dispose()


def _weight(node: yaml.Node, known: dict[int, int]) -> int:
    """Give the characters of a node with all aliases unfolded."""
    if id(node) not in known:
        known[id(node)] = LONGEST + 1  # For a node that holds itself, until it is known better.
        children: list[yaml.Node] = []
        if isinstance(node, yaml.SequenceNode):
            children = node.value
        elif isinstance(node, yaml.MappingNode):
            children = [part for pair in node.value for part in pair]
        own = len(node.value) if isinstance(node, yaml.ScalarNode) else 0
        known[id(node)] = 1 + own + sum(_weight(child, known) for child in children)
    return known[id(node)]
