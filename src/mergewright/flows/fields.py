"""Reads dictionaries that came from YAML strictly: each mistake is named with the path to it."""

import difflib
from collections.abc import Iterable, Iterator, Mapping

from mergewright.domain.errors import WrongUse
from mergewright.domain.session import JSON


def nearest(word: str, known: Iterable[str]) -> str:
    """Give the hint that names what was probably meant, or what there is."""
    names = sorted(known)
    match = difflib.get_close_matches(word, names, n=1, cutoff=0.6)
    if match:
        return f"did you mean `{match[0]}`?"
    return "known here: " + ", ".join(f"`{name}`" for name in names) if names else ""


class Fields:
    """One mapping of a document, whose fields are taken one by one; what is left over is an error."""

    def __init__(self, value: JSON, path: str) -> None:
        if not isinstance(value, Mapping):
            raise WrongUse(f"{path or 'the document'}: expected fields, found {_kind(value)}")
        for key in value:
            if not isinstance(key, str):
                raise WrongUse(f"{path or 'the document'}: the field name {key!r} is not text", hint="put it in quotes")
        self._value = value
        self._path = path
        self._known: list[str] = []

    def at(self, name: str) -> str:
        """Give the path of a field."""
        return f"{self._path}.{name}" if self._path else name

    def fail(self, name: str, problem: str, *, hint: str = "") -> WrongUse:
        """Make the error for a field; the caller raises it."""
        return WrongUse(f"{self.at(name)}: {problem}", hint=hint)

    def has(self, name: str) -> bool:
        self._known.append(name)
        return self._value.get(name) is not None

    def is_mapping(self, name: str) -> bool:
        return self.has(name) and isinstance(self._value[name], Mapping)

    def any(self, name: str) -> JSON:
        if not self.has(name):
            raise self.fail(name, "missing")
        return self._value[name]

    def text(self, name: str, default: str | None = None) -> str:
        if not self.has(name) and default is not None:
            return default
        value = self.any(name)
        if not isinstance(value, str):
            raise self.fail(name, f"expected text, found {_kind(value)}")
        return value

    def flag(self, name: str) -> bool:
        value = self._value[name] if self.has(name) else False
        if not isinstance(value, bool):
            raise self.fail(name, f"expected true or false, found {_kind(value)}")
        return value

    def number(self, name: str, default: int, *, least: int) -> int:
        value = self._value[name] if self.has(name) else default
        if isinstance(value, bool) or not isinstance(value, int):
            raise self.fail(name, f"expected a whole number, found {_kind(value)}")
        if value < least:
            raise self.fail(name, f"must be at least {least}")
        return value

    def choice(self, name: str, allowed: tuple[str, ...], default: str | None = None) -> str:
        value = self.text(name, default)
        if value not in allowed:
            raise self.fail(name, f"`{value}` is not known", hint=nearest(value, allowed))
        return value

    def items(self, name: str) -> Iterator[tuple[JSON, str]]:
        """Go through a list, each item with its path; a missing list is an empty one."""
        value = self._value[name] if self.has(name) else []
        if not isinstance(value, list):
            raise self.fail(name, f"expected a list, found {_kind(value)}")
        for index, item in enumerate(value):
            yield item, f"{self.at(name)}[{index}]"

    def below(self, name: str) -> "Fields":
        """Go into a field that must be a mapping; a missing one is an empty one."""
        return Fields(self._value[name] if self.has(name) else {}, self.at(name))

    def plain(self) -> dict[str, JSON]:
        """Give the whole mapping as it is, for a part whose names are free."""
        self._known.extend(self._value)
        return dict(self._value)

    def end(self) -> None:
        """Refuse every field that nobody asked for."""
        for key in self._value:
            if key not in self._known:
                raise self.fail(key, "unknown field", hint=nearest(key, self._known))


def _kind(value: JSON) -> str:
    for kind, name in ((bool, "true or false"), (str, "text"), (list, "a list"), (Mapping, "fields")):
        if isinstance(value, kind):
            return name
    return "nothing" if value is None else "a number" if isinstance(value, int | float) else "something else"
