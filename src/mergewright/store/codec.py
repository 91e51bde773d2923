"""Nouns as JSON and back: every field by its name, so that a new one with a default reads old rows.

The text is plain ASCII, so that half a letter of a file that is no UTF-8 comes back as it was.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from enum import Enum
from functools import cache
from types import UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from mergewright.domain.session import JSON
from mergewright.store.rows import encode_json

T = TypeVar("T")


def write(value: object) -> str:
    """Give a dataclass as JSON text."""
    plain = _plain(value)
    return encode_json(plain)


def read(kind: type[T], text: str) -> T:
    """Read what `write` gave; fields that this version does not know are left out."""
    made: T = _made(kind, json.loads(text))
    return made


def _plain(value: Any) -> JSON:
    if isinstance(value, Enum):
        return value.value
    if is_dataclass(value) and not isinstance(value, type):
        return {one.name: _plain(getattr(value, one.name)) for one in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    return value


@cache
def _hints(kind: type) -> dict[str, Any]:
    return get_type_hints(kind)


def _made(kind: Any, value: JSON) -> Any:
    origin = get_origin(kind)
    if value is None or kind is Any or origin is Literal:
        return value
    if origin in {Union, UnionType}:
        return _made(next(one for one in get_args(kind) if one is not type(None)), value)
    if origin is tuple or (isinstance(origin, type) and issubclass(origin, Sequence)):
        return tuple(_made(get_args(kind)[0], one) for one in value)
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return {key: _made(get_args(kind)[1], one) for key, one in value.items()}
    if is_dataclass(kind):
        hints = _hints(kind)  # type: ignore[arg-type]
        return kind(**{name: _made(hints[name], one) for name, one in value.items() if name in hints})  # type: ignore[operator]
    if isinstance(kind, type) and issubclass(kind, Enum):
        return kind(value)
    return value
