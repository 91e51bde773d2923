"""Places for journeys: each with its own home, its own repository and its own forge."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.journeys.place import PROJECTS, Place, make_repository

Serve = Callable[..., Place]


def _serve(stack: ExitStack, folder: Path) -> Serve:
    def serve(
        source: str | Path | Mapping[str, str], name: str = "", *, start: bool = True, whole: bool = False
    ) -> Place:
        """Put a project on a local forge of its own: one of `tests/projects` by its name, a folder, or texts."""
        number = len(list(folder.glob("place-*")))
        around = folder / f"place-{number}"
        around.mkdir()
        files = PROJECTS / source if isinstance(source, str) else source
        name = name or (files.name if isinstance(files, Path) else "project")
        place = Place(around / "home", [make_repository(files, around / "repositories" / name)], whole=whole)
        stack.callback(place.stop)
        if start:
            place.start()
        return place

    return serve


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    """Put a project on a forge for one test."""
    with ExitStack() as stack:
        yield _serve(stack, tmp_path)


@pytest.fixture(scope="module")
def serve_shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serve]:
    """Put a project on a forge for all tests of a file."""
    with ExitStack() as stack:
        yield _serve(stack, tmp_path_factory.mktemp("journey"))
