"""Byte-exact reading and writing in a work tree whose links and names are somebody else's."""

import errno
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from mergewright.domain.errors import ToolError

LARGEST = 20 * 1024**2
"""Bytes of the largest file that is read or written whole."""
_MOST_LINKS = 40
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# Without waiting: opening a FIFO that nobody writes to would otherwise hang.
_FILE = os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY


@dataclass(frozen=True)
class _Place:
    """Where a path has led: an open folder of the tree and a name in it that is no link."""

    folder: int
    name: str
    names: tuple[str, ...]


def read_file(root: Path, path: str) -> bytes:
    """Return a file's bytes; links are followed as long as they stay in the tree."""
    with _place(root, path, create=False) as place, _explained(path):
        if not place.name:
            raise ToolError(f"`{path}` is a folder")
        with open(_open_regular(place, path, os.O_RDONLY), "rb") as file:
            size = os.fstat(file.fileno()).st_size
            data = file.read(LARGEST + 1)
    if len(data) > LARGEST:
        raise ToolError(f"`{path}` is too large to read whole: {max(size, len(data)):,} bytes; look at parts of it")
    return data


def write_file(root: Path, path: str, data: bytes) -> None:
    """Write a file whole, keeping its mode, its links and its hard links; folders on the way are made."""
    if len(data) > LARGEST:
        raise ToolError(f"`{path}` would be too large: {len(data):,} bytes")
    with _place(root, path, create=True) as place, _explained(path):
        if not place.name:
            raise ToolError(f"`{path}` is a folder")
        if ".git" in (name.lower() for name in (*place.names, place.name)):
            raise ToolError(f"`{path}` belongs to git and is not written")
        try:
            found = os.lstat(place.name, dir_fd=place.folder)
        except FileNotFoundError:
            return _replace(place, data, mode=0o644)
        if not stat.S_ISREG(found.st_mode):
            raise ToolError(f"`{path}` is {_kind(found.st_mode)}")
        if found.st_nlink == 1:
            return _replace(place, data, mode=stat.S_IMODE(found.st_mode))
        # Another name leads to the same file: replacing it would part the two.
        with open(_open_regular(place, path, os.O_WRONLY), "wb") as file:
            file.truncate()
            file.write(data)
    return None


def walk(root: Path) -> Iterator[str]:
    """Go through the files and links of a tree that git does not know."""
    for folder, folders, files in os.walk(root):
        folders[:] = sorted(name for name in folders if name != ".git")
        links = [name for name in folders if os.path.islink(os.path.join(folder, name))]
        for name in sorted([*files, *links]):
            yield os.path.relpath(os.path.join(folder, name), root)


@contextmanager
def _place(root: Path, path: str, *, create: bool) -> Iterator[_Place]:
    """Follow a path name by name, each opened below the last, so that no link and no race leads out."""
    if "\0" in path or not path:
        raise ToolError("a path is empty or holds a NUL byte")
    pending = list(reversed(_parts(root, path, shown=path)))
    folders = [os.open(root, _FOLDER)]
    names: list[str] = []
    links = 0
    try:
        with _explained(path):
            while pending:
                name = pending.pop()
                if name == "..":
                    if not names:
                        raise ToolError(f"`{path}` leads out of the work tree")
                    names.pop()
                    os.close(folders.pop())
                    continue
                target = _link(name, folders[-1])
                if target is not None:
                    links += 1
                    if links > _MOST_LINKS:
                        raise ToolError(f"`{path}` leads through too many links")
                    if target.startswith("/"):
                        while names:
                            names.pop()
                            os.close(folders.pop())
                    pending += reversed(_parts(root, target, shown=path))
                    continue
                if not pending and not _is_folder(name, folders[-1]):
                    yield _Place(folders[-1], name, tuple(names))
                    return
                if create and name.lower() != ".git":
                    _make_folder(name, folders[-1])
                folders.append(os.open(name, _FOLDER, dir_fd=folders[-1]))
                names.append(name)
        yield _Place(folders[-1], "", tuple(names))
    finally:
        for folder in folders:
            os.close(folder)


def _parts(root: Path, path: str, *, shown: str) -> list[str]:
    """Give the names of a path below the root; an absolute one must begin with it."""
    parts = PurePosixPath(path).parts
    if path.startswith("/"):
        if parts[: len(root.parts)] != root.parts:
            raise ToolError(f"`{shown}` leads out of the work tree")
        parts = parts[len(root.parts) :]
    return list(parts)


def _link(name: str, folder: int) -> str | None:
    try:
        return os.readlink(name, dir_fd=folder)
    except OSError as error:
        if error.errno in (errno.EINVAL, errno.ENOENT):
            return None
        raise


def _is_folder(name: str, folder: int) -> bool:
    try:
        return stat.S_ISDIR(os.lstat(name, dir_fd=folder).st_mode)
    except FileNotFoundError:
        return False


def _make_folder(name: str, folder: int) -> None:
    try:
        os.mkdir(name, 0o755, dir_fd=folder)
    except FileExistsError:
        return


def _open_regular(place: _Place, path: str, flags: int) -> int:
    # Asked before it is opened: opening some devices does something already.
    found = os.lstat(place.name, dir_fd=place.folder)
    if stat.S_ISREG(found.st_mode):
        file = os.open(place.name, flags | _FILE, dir_fd=place.folder)
        found = os.fstat(file)
        if stat.S_ISREG(found.st_mode):
            return file
        os.close(file)
    raise ToolError(f"`{path}` is {_kind(found.st_mode)}")


def _replace(place: _Place, data: bytes, *, mode: int) -> None:
    temporary = f".{secrets.token_hex(8)}.tmp"
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | _FILE
    try:
        with open(os.open(temporary, flags, 0o600, dir_fd=place.folder), "wb") as file:
            file.write(data)
            os.fchmod(file.fileno(), mode)
        os.replace(temporary, place.name, src_dir_fd=place.folder, dst_dir_fd=place.folder)
    except OSError:
        os.unlink(temporary, dir_fd=place.folder)
        raise


def _kind(mode: int) -> str:
    if stat.S_ISDIR(mode):
        return "a folder"
    return "a link" if stat.S_ISLNK(mode) else "no regular file"


@contextmanager
def _explained(path: str) -> Iterator[None]:
    """Say in our words what the system refused, without its own paths."""
    try:
        yield
    except FileNotFoundError:
        raise ToolError(f"there is no file `{path}`") from None
    except OSError as error:
        raise ToolError(f"`{path}` cannot be used: {os.strerror(error.errno or 0).lower()}") from error
