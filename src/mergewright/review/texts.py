"""The lines of the files a review speaks of, on the head and on its base, each read once."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from mergewright.domain.review import Place
from mergewright.git.history import History


@dataclass(slots=True)
class Texts:
    """Files' lines by side and path: `new` on the head, `old` on the base."""

    history: History
    head: str
    base: str
    kept: dict[tuple[str, str], Sequence[str]] = field(default_factory=dict)

    async def load(self, new: Iterable[str], old: Iterable[str] = ()) -> Mapping[tuple[str, str], Sequence[str]]:
        """Read files that were not read before; one that is not there, or is no text, has no entry."""
        for side, commit, paths in (("new", self.head, new), ("old", self.base, old)):
            missing = [path for path in dict.fromkeys(paths) if path and (side, path) not in self.kept]
            for path, data in (await self.history.blobs(commit, missing)).items():
                self.kept[side, path] = lines_of(data)
        return self.kept

    def lines(self, place: Place) -> Sequence[str]:
        """Give the lines of the file that a place counts in; none when it was not there."""
        return self.kept.get((place.side, place.path), ())


def lines_of(data: bytes) -> list[str]:
    """Split a file as a diff counts its lines: at line feeds alone."""
    lines = data.decode("utf-8", "surrogateescape").split("\n")
    return lines[:-1] if lines and not lines[-1] else lines
