"""The server's log: one line each, as text or JSON, without secrets and without what steers a terminal."""

import json
import logging
import re
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import fields
from hashlib import sha256
from typing import TYPE_CHECKING, TextIO

from mergewright.app.settings import Settings
from mergewright.domain.session import Session

if TYPE_CHECKING:
    from logging import LogRecord

SHORTEST = 8
"""Shorter secrets are words that occur in any text."""
_working: ContextVar[Session | None] = ContextVar("session", default=None)
_SHAPES = re.compile(
    r"(?P<name>\b(?:private-token|x-gitlab-token|x-csrf-token|authorization|cookie|set-cookie|password|client_secret|"
    r"code_verifier|access_token|refresh_token)\b[\"']?\s*[=:]\s*[\"']?(?:bearer |basic )?)[^\s\"'&,;<>]+"
    r"|\b(?P<kind>whsec_)[\w+/=-]{8,}",
    re.IGNORECASE,
)
# What every record has; the rest was given with `extra`.
_OWN = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


@contextmanager
def working_on(session: Session) -> Iterator[None]:
    """Let every line that is written meanwhile name the session."""
    before = _working.set(session)
    try:
        yield
    finally:
        _working.reset(before)


def session_at_work() -> Session | None:
    """Give the session that is worked on here."""
    return _working.get()


def trace_id(session: str) -> str:
    """Give the id of a session's trace: the same in every process and every turn."""
    return sha256(f"mergewright session {session}".encode()).hexdigest()[:32]


def secrets_of(settings: Settings) -> tuple[str, ...]:
    """Give the values of the settings that nobody may read."""
    values = [str(getattr(settings, one.name)) for one in fields(settings) if not one.repr]
    return tuple(sorted((value for value in values if len(value) >= SHORTEST), key=len, reverse=True))


def scrub(text: str, secrets: tuple[str, ...] = ()) -> str:
    """Take out secrets, known or by their shape, and spell control characters out."""
    from mergewright.models.redact import redact

    for secret in secrets:
        text = text.replace(secret, "<key>")
    text = _SHAPES.sub(lambda match: f"{match['name'] or ''}<key>", redact(text))
    return "".join(letter if letter.isprintable() else letter.encode("unicode_escape").decode() for letter in text)


def begin_logs(settings: Settings, stream: TextIO | None = None) -> logging.Handler:
    """Send this process's log to standard error as the settings say; what other libraries tell counts from warnings."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter((JsonLines if settings.log == "json" else TextLines)(secrets_of(settings)))
    root = logging.getLogger()
    for old in [one for one in root.handlers if isinstance(one.formatter, TextLines)]:
        root.removeHandler(old)
    root.addHandler(handler)
    logging.getLogger("mergewright").setLevel(settings.log_level.upper())
    root.setLevel(max(logging.WARNING, logging.getLevelName(settings.log_level.upper())))
    return handler


class TextLines(logging.Formatter):
    """`2026-11-21T09:31:37.120Z INFO mergewright.dispatch: … session=… flow=…`."""

    def __init__(self, secrets: tuple[str, ...] = ()) -> None:
        super().__init__()
        self._secrets = secrets

    def format(self, record: "LogRecord") -> str:
        facts = " ".join(f"{name}={_word(value)}" for name, value in self.facts(record).items())
        line = f"{_time(record)} {record.levelname} {record.name}: {self.clean(record.getMessage())} {facts}".rstrip()
        # A stack is indented, so that no line of it passes for one of ours.
        return "\n".join([line, *(f"    {self.clean(one)}" for one in self.stack(record))])

    def clean(self, text: str) -> str:
        """Take out what may not be in a log."""
        return scrub(text, self._secrets)

    def facts(self, record: "LogRecord") -> dict[str, str | int | float]:
        """Give what belongs to the line beside its message."""
        given = {re.sub(r"\W", "_", name): value for name, value in vars(record).items() if name not in _OWN}
        found: dict[str, str | int | float] = {}
        if session := _working.get():
            found = {"session": session.id, "subject": str(session.subject), "flow": session.flow}
            found["trace_id"] = trace_id(session.id)
        found |= {name: value if isinstance(value, int | float) else str(value) for name, value in given.items()}
        return {name: self.clean(value) if isinstance(value, str) else value for name, value in found.items()}

    def stack(self, record: "LogRecord") -> list[str]:
        """Give the lines of the exception that came with the record."""
        text = self.formatException(record.exc_info) if record.exc_info else ""
        return text.splitlines()


class JsonLines(TextLines):
    """`{"at": …, "level": "info", "logger": …, "message": …, "session": …}`."""

    def format(self, record: "LogRecord") -> str:
        line: dict[str, object] = {
            "at": _time(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": self.clean(record.getMessage()),
        }
        line |= {name: value for name, value in self.facts(record).items() if name not in line}
        if stack := self.stack(record):
            line["stack"] = [self.clean(one) for one in stack]
        return json.dumps(line)


def _time(record: "LogRecord") -> str:
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(record.created))}.{int(record.msecs):03}Z"


def _word(value: str | int | float) -> str:
    """Give a value that a blank or a quote cannot turn into two."""
    text = str(value)
    return text if re.fullmatch(r"[\w.:/#!@+-]+", text) else json.dumps(text)
