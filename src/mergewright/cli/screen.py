"""Where a watched session is shown: a live terminal with a line that moves, or plain lines anywhere else."""

import sys
from types import TracebackType
from typing import Literal, Self

Look = Literal["", "bold", "dim", "red", "green"]


class Screen:
    """Plain lines on standard error."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass

    def line(self, text: str, look: Look = "") -> None:
        """Print a line; how it looks is for terminals."""
        print(text, file=sys.stderr, flush=True)

    def now(self, text: str) -> None:
        """Say what is being done right now."""


class LiveScreen(Screen):
    """Lines on a terminal, above one that moves and says what is being done."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.status import Status

        self._console = Console(stderr=True, highlight=False)
        self._status = Status("", console=self._console, spinner="dots")

    def __enter__(self) -> Self:
        self._status.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._status.stop()

    def line(self, text: str, look: Look = "") -> None:
        self._console.print(text, style=look, markup=False, soft_wrap=True)

    def now(self, text: str) -> None:
        from rich.text import Text

        self._status.update(Text(text))


def open_screen() -> Screen:
    """Choose by what standard error is: loading rich takes a while, which only a person at a terminal gets back."""
    return LiveScreen() if sys.stderr.isatty() else Screen()
