"""Reading and writing by path, byte for byte."""

import os
from pathlib import Path

import pytest

from mergewright.domain.errors import ToolError
from mergewright.sandbox.files import LARGEST, read_file, walk, write_file


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"no final newline",
        b"crlf\r\nlines\r\n",
        b"mixed\r\nlines\n",
        b"\xef\xbb\xbfbom\n",
        "caf\xe9\n".encode("latin-1"),
        b"\ttabs\n\x0cform feed\n",
        b"\x00\x01\x02",
    ],
)
def test_bytes_come_back_as_they_were_written(tmp_path: Path, data: bytes) -> None:
    write_file(tmp_path, "file", data)
    assert read_file(tmp_path, "file") == data
    assert (tmp_path / "file").read_bytes() == data


def test_a_new_file_is_readable_and_nothing_else_is_left_beside_it(tmp_path: Path) -> None:
    write_file(tmp_path, "a/b/c.txt", b"x")
    assert os.stat(tmp_path / "a/b/c.txt").st_mode & 0o777 == 0o644
    assert [path.name for path in (tmp_path / "a/b").iterdir()] == ["c.txt"]


@pytest.mark.parametrize("mode", [0o755, 0o600, 0o444])
def test_the_mode_is_kept(tmp_path: Path, mode: int) -> None:
    (tmp_path / "file").write_text("old")
    (tmp_path / "file").chmod(mode)
    write_file(tmp_path, "file", b"new")
    assert os.stat(tmp_path / "file").st_mode & 0o777 == mode


def test_two_names_of_one_file_stay_one_file(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("longer than the new text")
    os.link(tmp_path / "a", tmp_path / "b")
    write_file(tmp_path, "a", b"new")
    assert (tmp_path / "b").read_bytes() == b"new"


def test_links_are_followed_inside_the_tree_and_stay_links(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "file").write_text("old")
    (tmp_path / "folder").symlink_to("real")
    (tmp_path / "absolute").symlink_to(tmp_path / "real" / "file")
    (tmp_path / "real" / "up").symlink_to("../folder/file")
    (tmp_path / "dangling").symlink_to("real/born")
    for number, path in enumerate(("folder/file", "absolute", "real/up")):
        write_file(tmp_path, path, b"%d" % number)
        assert (tmp_path / "real" / "file").read_bytes() == b"%d" % number
        assert read_file(tmp_path, path) == b"%d" % number
    write_file(tmp_path, "dangling", b"born")
    assert (tmp_path / "real" / "born").read_bytes() == b"born"
    assert all((tmp_path / name).is_symlink() for name in ("folder", "absolute", "real/up", "dangling"))


def test_too_large_a_file_is_refused_with_its_size(tmp_path: Path) -> None:
    with open(tmp_path / "large", "wb") as file:
        file.truncate(LARGEST + 1)
    with pytest.raises(ToolError, match="20,971,521 bytes"):
        read_file(tmp_path, "large")
    with pytest.raises(ToolError, match="too large"):
        write_file(tmp_path, "other", bytes(LARGEST + 1))


@pytest.mark.parametrize("path", ["folder", "folder/", ".", "file/below", "x" * 300])
def test_what_cannot_be_written_is_said_without_our_own_paths(tmp_path: Path, path: str) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    with pytest.raises(ToolError) as caught:
        write_file(tmp_path, path, b"x")
    assert str(tmp_path) not in caught.value.message


def test_a_walk_sees_files_and_links_but_no_git_directory(tmp_path: Path) -> None:
    for name in ("b/c", "a", ".git/config", "b/.git/config"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "link").symlink_to("b")
    assert sorted(walk(tmp_path)) == ["a", "b/c", "link"]
