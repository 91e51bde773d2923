"""A command's output: head and tail in memory, the whole in a file once it is long."""

import os
from pathlib import Path

from mergewright.domain.errors import SandboxError

HEAD = 12_000
TAIL = 12_000
"""Bytes of long output that are shown, cut at line ends."""
LINE = 2_000
"""Characters of a line that are shown; of a longer one its two ends are."""


class Output:
    """Takes a command's output as it comes, at a small fixed cost in memory."""

    def __init__(self, folder: Path, *, shown_as: str) -> None:
        self.total = 0
        self.path = ""
        """Where the whole output lies, as the sandbox sees it; empty while all of it is shown."""
        self._folder = folder
        self._shown_as = shown_as
        self._lines = 0
        self._head = bytearray()
        self._tail = bytearray()
        self._file = -1

    def feed(self, data: bytes) -> None:
        """Take the next bytes."""
        self.total += len(data)
        self._lines += data.count(b"\n")
        if self._file < 0 and self.total > HEAD + TAIL:
            self._spill()
        if self._file >= 0:
            _write_all(self._file, data)
        room = max(0, HEAD - len(self._head))
        self._head += data[:room]
        self._tail += data[max(room, len(data) - TAIL) :]
        if len(self._tail) > 2 * TAIL:
            del self._tail[:-TAIL]

    def finish(self) -> str:
        """Give what is shown of the output, and close its file."""
        if self.total <= HEAD + TAIL:
            text = (self._head + self._tail).decode(errors="replace")
            if self._file < 0 and any(len(line) > LINE for line in text.splitlines()):
                self._spill()
        else:
            text = self._shortened()
        self.close()
        return "".join(map(_clip, text.splitlines(keepends=True)))

    def close(self) -> None:
        """Close the file; more may not be fed."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def _shortened(self) -> str:
        head = self._head[: self._head.rfind(b"\n") + 1] or self._head
        tail = self._tail[-TAIL:]
        first_end = tail.find(b"\n", 0, len(tail) - 1)
        tail = tail[first_end + 1 :]
        size = self.total - len(head) - len(tail)
        lines = self._lines - head.count(b"\n") - tail.count(b"\n")
        gap = f"[… {lines:,} lines, {size:,} bytes left out; the whole output is in {self.path} …]\n"
        before = "" if head.endswith(b"\n") else "\n"
        return head.decode(errors="replace") + before + gap + tail.decode(errors="replace")

    def _spill(self) -> None:
        number = sum(1 for _ in self._folder.iterdir()) + 1
        while self._file < 0:
            name = f"{number:04}.txt"
            try:
                self._file = os.open(self._folder / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
            except FileExistsError:
                number += 1
        self.path = f"{self._shown_as}/{name}"
        _write_all(self._file, bytes(self._head + self._tail))


def _clip(line: str) -> str:
    if len(line) <= LINE:
        return line
    kept_end = LINE // 4
    kept_start = LINE - kept_end
    return f"{line[:kept_start]}[… {len(line) - LINE:,} characters left out …]{line[-kept_end:]}"


def _write_all(file: int, data: bytes) -> None:
    view = memoryview(data)
    try:
        while view:
            view = view[os.write(file, view) :]
    except OSError as error:
        raise SandboxError(f"a command's output cannot be kept: {error.strerror}") from error
