"""What is shown of long output."""

from pathlib import Path

from mergewright.sandbox.output import HEAD, LINE, TAIL, Output


def shown(folder: Path, *pieces: bytes) -> tuple[str, Output]:
    output = Output(folder, shown_as="/run/outputs")
    for piece in pieces:
        output.feed(piece)
    return output.finish(), output


def test_short_output_is_shown_whole_and_leaves_no_file(tmp_path: Path) -> None:
    line = b"x" * 99 + b"\n"
    text, output = shown(tmp_path, *[line] * ((HEAD + TAIL) // 100))
    assert text == (line * ((HEAD + TAIL) // 100)).decode()
    assert output.path == ""
    assert list(tmp_path.iterdir()) == []


def test_the_middle_of_long_output_is_cut_at_line_ends_and_counted(tmp_path: Path) -> None:
    lines = [f"line {n:05}\n".encode() for n in range(10_000)]
    for pieces in ([b"".join(lines)], lines):
        text, output = shown(tmp_path, *pieces)
        head, _, tail = text.partition("[…")
        assert head.encode() == b"".join(lines[: HEAD // 11])
        note, _, tail = tail.partition("]\n")
        assert tail.encode() == b"".join(lines[-(TAIL // 11) :])
        left = 10_000 - HEAD // 11 - TAIL // 11
        assert f"{left:,} lines, {left * 11:,} bytes left out" in note
        assert output.path in note
        assert (tmp_path / Path(output.path).name).read_bytes() == b"".join(lines)
    assert output.path == "/run/outputs/0002.txt"


def test_a_very_long_line_shows_its_two_ends_and_is_kept(tmp_path: Path) -> None:
    text, output = shown(tmp_path, b"begin" + b"=" * 9_000 + b"end\nnext\n")
    assert text.startswith("begin====")
    assert text.endswith("====end\nnext\n")
    assert "7,009 characters left out" in text
    assert len(text) < LINE + 100
    assert (tmp_path / Path(output.path).name).stat().st_size == len(b"begin") + 9_000 + len(b"end\nnext\n")


def test_one_line_without_end_is_cut_too(tmp_path: Path) -> None:
    text, output = shown(tmp_path, *[b"z" * 1_000] * 1_000)
    assert len(text) < 3 * LINE
    assert "bytes left out" in text
    assert (tmp_path / Path(output.path).name).stat().st_size == 1_000_000


def test_bytes_that_are_no_text_are_shown_as_such_and_kept_as_they_are(tmp_path: Path) -> None:
    text, output = shown(tmp_path, b"caf\xe9 \xff\n")
    assert text == "caf\ufffd \ufffd\n"
    text, output = shown(tmp_path, b"\xff" * 30_000)
    assert (tmp_path / Path(output.path).name).read_bytes() == b"\xff" * 30_000
