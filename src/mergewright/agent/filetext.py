"""A file's bytes as text and back, with nothing lost on the way."""

import re
from dataclasses import dataclass

from mergewright.domain.errors import ToolError

_ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\-_])")
# Letters that a person does not see but a model reads, and marks that turn the order of what a person sees.
_HIDDEN = re.compile("[\u202a-\u202e\u2066-\u2069\U000e0000-\U000e0fff]")
_CONTROLS = re.compile(r"[\x00-\x08\x0b\x0e-\x1f\x7f]")


@dataclass(frozen=True, slots=True)
class FileText:
    """What a file says, and how its bytes say it."""

    text: str
    encoding: str

    @property
    def crlf(self) -> bool:
        """Whether most of its lines end in CRLF."""
        return self.text.count("\r\n") * 2 > self.text.count("\n")

    def traits(self) -> list[str]:
        """Name what an editor would have to keep: encoding, byte order mark, line ends, the end of the file."""
        found = [] if self.encoding == "utf-8" else [self.encoding]
        if self.text.startswith("\ufeff"):
            found.append("BOM")
        if "\r\n" in self.text:
            found.append("CRLF" if self.text.count("\r\n") == self.text.count("\n") else "mixed line ends")
        if self.text and not self.text.endswith("\n"):
            found.append("no newline at the end")
        return found


def decode(data: bytes, path: str) -> FileText:
    """Read bytes so that `encode` gives the same bytes back; raises ToolError for what is not text."""
    for mark, encoding in ((b"\xff\xfe", "utf-16-le"), (b"\xfe\xff", "utf-16-be")):
        if data.startswith(mark):
            try:
                text = data.decode(encoding)
            except UnicodeDecodeError:
                break
            return FileText(text, encoding)
    if b"\0" in data:
        raise ToolError(f"`{path}` is a binary file of {len(data)} bytes", hint="look at it with a command")
    # Windows' own letters stand where latin-1 has control characters, which no text file holds.
    names = ("utf-8", "cp1252", "latin-1") if re.search(rb"[\x80-\x9f]", data) else ("utf-8", "latin-1")
    for encoding in names:
        try:
            return FileText(data.decode(encoding), encoding)
        except UnicodeDecodeError:
            continue
    raise ToolError(f"`{path}` is in no encoding that can be read")


def encode(text: str, encoding: str, path: str) -> bytes:
    """Give the bytes of a text in its file's own encoding; raises ToolError for letters that it lacks."""
    try:
        return text.encode(encoding)
    except UnicodeEncodeError as error:
        letter = text[error.start : error.start + 1]
        raise ToolError(
            f"`{path}` is in {encoding}, which has no {letter!r}", hint="write it with letters of that encoding"
        ) from error


def clip_line(line: str, limit: int = 2000) -> str:
    """Cut a very long line and say how much of it is left out."""
    return line if len(line) <= limit else f"{line[:limit]}… [{len(line) - limit} more characters in this line]"


def clip_lines(text: str, limit: int) -> str:
    """Cut the middle out of a long text, at line ends, and say so."""
    if len(text) <= limit:
        return text
    lines = [clip_line(line) for line in text.split("\n")]
    head: list[str] = []
    tail: list[str] = []
    low, high, room = 0, len(lines), limit
    while low < high:
        from_head = len(head) <= len(tail)
        line = lines[low] if from_head else lines[high - 1]
        if (room := room - len(line) - 1) < 0:
            break
        if from_head:
            head.append(line)
            low += 1
        else:
            tail.append(line)
            high -= 1
    return "\n".join([*head, f"[… {high - low} lines left out]", *reversed(tail)]) if low < high else "\n".join(lines)


def plain(output: str) -> str:
    """A command's output as a terminal would leave it: no colours, no control characters, nothing hidden."""
    text = _ESCAPES.sub("", output).replace("\r\n", "\n")
    if "\r" in text:
        text = "\n".join(line.rstrip("\r").rsplit("\r", 1)[-1] for line in text.split("\n"))
    return reveal(_CONTROLS.sub("", text))


def reveal(text: str) -> str:
    """Show hidden letters by their numbers, so that no file says to a model what no person sees in it."""
    return _HIDDEN.sub(lambda match: f"\u27e8U+{ord(match.group()):04X}\u27e9", text)


def encodable(value: str) -> str:
    """A text without lone halves of letters, which no file and no database can hold."""
    return value.encode("utf-8", "replace").decode("utf-8")
