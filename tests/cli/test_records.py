"""`policy`, `audit` and `metrics`, as a stranger meets them."""

import csv
import io
import json
import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

COMMAND = Path(sys.executable).with_name("mergewright")


class Place:
    """A home folder in which the command runs."""

    def __init__(self, home: Path) -> None:
        self.home = home

    def run(self, *arguments: str, exit_code: int = 0) -> subprocess.CompletedProcess[str]:
        environment = {"PATH": os.environ["PATH"], "HOME": str(self.home), "MERGEWRIGHT_HOME": str(self.home / "kept")}
        environment["LANG"] = "C.UTF-8"
        done = subprocess.run([COMMAND, *arguments], env=environment, capture_output=True, text=True, check=False)
        assert "Traceback" not in done.stderr
        assert done.returncode == exit_code, done.stderr
        return done

    @property
    def database(self) -> Path:
        (found,) = (path for path in (self.home / "kept").iterdir() if path.suffix in {".db", ".sqlite3", ".sqlite"})
        return found


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def test_a_policy_is_set_shown_with_its_source_and_audited(place: Place) -> None:
    place.run("policy", "set", "organisation", "block_on=major", "--lock", "block_on", "--reason", "agreed on Monday")
    place.run("policy", "set", "group/project", "exclude=[docs/**, '*.md']", "auto_review=off", "--reason", "=1+1")
    refused = place.run(
        "policy", "set", "group/project", "block_on=critical", "--reason", "we are special", exit_code=2
    )
    assert "looser than organisation allows" in refused.stderr

    lines = place.run("policy", "show", "group/project").stdout.splitlines()
    shown = {line.split()[0]: line.split(maxsplit=1)[1] for line in lines}
    assert shown["block_on"].split() == ["major", "organisation,", "locked", "by", "organisation"]
    assert shown["auto_review"].split() == ["false", "group/project"]
    assert shown["exclude"] == "docs/**, *.md  group/project"
    assert shown["round_limit"].split() == ["5", "default"]
    told = json.loads(place.run("policy", "show", "group/other", "--json").stdout)
    assert told["policy"]["block_on"] == {"value": "major", "from": "organisation"}
    assert told["locked"] == {"block_on": "organisation"}

    exported = place.run("audit", "export").stdout.splitlines()
    assert [json.loads(line)["reason"] for line in exported] == ["agreed on Monday", "=1+1"]
    rows = list(csv.DictReader(io.StringIO(place.run("audit", "export", "--format", "csv").stdout, newline="")))
    assert [row["reason"] for row in rows] == ["agreed on Monday", "'=1+1"]
    of_project = place.run("audit", "export", "--project", "group/project", "--days", "1").stdout.splitlines()
    assert len(of_project) == 1


def test_an_audit_that_was_changed_ends_with_1_and_says_where(place: Place) -> None:
    assert place.run("audit", "verify").stdout == "the audit is whole: 0 lines\n"
    for number in ("3", "4"):
        place.run("policy", "set", "group", f"round_limit={number}", "--reason", "agreed")
    assert place.run("audit", "verify").stdout == "the audit is whole: 2 lines\n"
    with sqlite3.connect(place.database) as hand:
        hand.execute("DROP TRIGGER audit_no_update")
        hand.execute("UPDATE audit SET body = replace(body, 'agreed', 'forced') WHERE seq = 2")
    hand.close()
    found = place.run("audit", "verify", exit_code=1)
    assert found.stdout == ""
    assert found.stderr.splitlines()[0] == "error: the audit was tampered with: line 2 was changed"


def test_without_any_review_the_metrics_are_unknown_and_not_nought(place: Place) -> None:
    lines = place.run("metrics").stdout.splitlines()
    assert lines[0].split() == ["merge", "requests", "reviewed", "0"]
    assert next(line for line in lines if line.startswith("share approved ")).split()[-1] == "unknown"
    told = json.loads(place.run("metrics", "--project", "group/project", "--json").stdout)
    assert told["share_approved"] is None
