"""What stands in the log, and what never does."""

import io
import json
import logging
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from mergewright.app.logs import begin_logs, scrub, trace_id, working_on
from mergewright.app.settings import SECRETS, Settings, read_settings
from mergewright.domain.session import Session, Subject

SESSION = Session("k3mv8q2t91xz", "developer", Subject.parse("group/project#7"), "do it", "ann", "openai:x")
log = logging.getLogger("mergewright.test")


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return read_settings({"MERGEWRIGHT_HOME": str(tmp_path)})


@pytest.fixture
def written() -> Iterator[io.StringIO]:
    root, ours = logging.getLogger(), logging.getLogger("mergewright")
    before = (root.level, ours.level, list(root.handlers))
    yield io.StringIO()
    root.setLevel(before[0])
    ours.setLevel(before[1])
    root.handlers[:] = before[2]


def test_a_line_of_a_session_says_which_one_it_is(settings: Settings, written: io.StringIO) -> None:
    begin_logs(replace(settings, log="json"), written)
    with working_on(SESSION):
        log.info("it began")
    log.info("it is over", extra={"ms": 3})
    first, second = [json.loads(line) for line in written.getvalue().splitlines()]
    assert (first["message"], first["level"], first["logger"]) == ("it began", "info", "mergewright.test")
    assert (first["session"], first["flow"]) == (SESSION.id, "developer")
    assert first["subject"] == "group/project#7"
    assert first["trace_id"] == trace_id(SESSION.id)
    assert "session" not in second
    assert second["ms"] == 3


def test_text_has_the_same_on_one_line(settings: Settings, written: io.StringIO) -> None:
    begin_logs(settings, written)
    with working_on(SESSION):
        log.warning("a fault", extra={"why": "two words"})
    (line,) = written.getvalue().splitlines()
    assert "WARNING mergewright.test: a fault" in line
    assert f"session={SESSION.id} subject=group/project#7 flow=developer" in line
    assert 'why="two words"' in line


def test_what_weighs_less_than_the_level_is_left_out(settings: Settings, written: io.StringIO) -> None:
    begin_logs(replace(settings, log_level="warning"), written)
    log.info("chatter")
    logging.getLogger("other.library").info("chatter")
    log.error("trouble")
    assert [line.rpartition(": ")[2] for line in written.getvalue().splitlines()] == ["trouble"]


def test_a_second_beginning_does_not_write_every_line_twice(settings: Settings, written: io.StringIO) -> None:
    begin_logs(settings, written)
    begin_logs(settings, written)
    log.info("once")
    assert written.getvalue().count("once") == 1


@pytest.mark.parametrize("form", ["text", "json"])
def test_no_word_of_a_stranger_begins_a_line_or_steers_a_terminal(
    form: str, settings: Settings, written: io.StringIO
) -> None:
    begin_logs(replace(settings, log=form), written)
    evil = "x\n2026-01-01T00:00:00.000Z ERROR mergewright: forged\r\x1b[2J\x9b31m\u2028\u202e\0"
    try:
        raise ValueError(evil)
    except ValueError:
        log.exception("failed: %s", evil, extra={"title": evil})
    lines = written.getvalue().split("\n")
    assert not any(line.startswith("2026-01-01") for line in lines)
    assert all(letter.isprintable() for line in lines for letter in line)
    assert "forged" in written.getvalue()
    if form == "json":
        assert len(lines) == 2, "one line, and the end of it"


@pytest.mark.parametrize(
    ("said", "secret"),
    [
        ("glpat-abcdefghij0123456789", "abcdefghij"),
        ("gloas-0123456789abcdefghij", "0123456789"),
        ("Authorization: Bearer opaque-words-of-somebody", "opaque"),
        ("PRIVATE-TOKEN: 0123456789abcdef", "0123456789"),
        ("'X-Gitlab-Token': 'no-shape-at-all'", "no-shape"),
        ("whsec_c2VjcmV0LXNlY3JldC1zZWNyZXQ=", "c2VjcmV0"),
        ("https://oauth2:hunter2-hunter2@gitlab.example.com/x.git", "hunter2"),
        ("cookie: session=0123456789", "0123456789"),
        ("grant?access_token=abcdefgh&x=1", "abcdefgh"),
        ("sk-ant-0123456789abcdef", "0123456789"),
    ],
)
def test_what_has_the_shape_of_a_secret_is_taken_out(said: str, secret: str) -> None:
    told = scrub(f"the request said {said} and went on")
    assert secret not in told
    assert told.startswith("the request said")
    assert told.endswith("and went on")


def test_no_secret_of_the_settings_is_written_whatever_its_shape(
    settings: Settings, written: io.StringIO, tmp_path: Path
) -> None:
    values = {name: f"plainwords{number}here" for number, name in enumerate(SECRETS) if "DATABASE" not in name}
    values["MERGEWRIGHT_DATABASE_URL"] = "postgresql://u:plainwords99here@db/x"
    begin_logs(read_settings(values | {"MERGEWRIGHT_HOME": str(tmp_path)}), written)
    log.error("all: %s", " ".join(values.values()), extra={"all": list(values.values())})
    begun = {name for name, value in values.items() if value in written.getvalue()}
    # One name goes before the other, and the one that is not used is not known.
    assert begun <= {"GITLAB_TOKEN"}
    assert "<key>" in written.getvalue()
