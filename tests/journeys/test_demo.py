"""The first thing a stranger runs: the demo, with nothing configured."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.journeys.place import COMMAND

SUITE = "python3 -m unittest discover -s tests -t . -v"


class Demo(NamedTuple):
    """One run of the demo."""

    home: Path
    """The only place it may write to: its home folder and its folder for temporary files."""
    stderr: str
    told: dict[str, Any]


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Demo:
    home = tmp_path_factory.mktemp("stranger")
    env = {"PATH": os.environ["PATH"], "HOME": str(home), "TMPDIR": str(home), "LANG": "C.UTF-8"}
    done = subprocess.run(
        [COMMAND, "demo", "--json"], env=env, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    return Demo(home, done.stderr, json.loads(done.stdout.strip().rpartition("\n")[2]))


def test_the_demo_ends_with_a_draft_merge_request_linked_to_the_issue(demo: Demo) -> None:
    told = demo.told
    assert told["status"] == "finished"
    merge_request = told["merge_request"]
    assert merge_request["draft"]
    assert merge_request["linked"]
    assert merge_request["title"].startswith("Draft: ")
    assert len(merge_request["sha"]) == 40
    assert merge_request["web_url"].endswith("/demo/users-api/-/merge_requests/1")
    assert told["issue"]["web_url"].endswith("/demo/users-api/-/issues/1")


def test_the_demo_runs_the_projects_own_tests_before_and_after(demo: Demo) -> None:
    checks = [(check["when"], check["command"], check["exit_code"]) for check in demo.told["checks"]]
    assert checks == [("before", SUITE, 0), ("after", SUITE, 0)]
    before, after = (int(check["summary"].split()[0]) for check in demo.told["checks"])
    assert after > before


def test_the_demo_tells_plan_tokens_seconds_and_session(demo: Demo) -> None:
    told = demo.told
    assert len(told["plan"]) >= 3
    assert all(task["done"] for task in told["plan"])
    assert told["tokens"]["input"] > 0
    assert told["tokens"]["output"] > 0
    assert told["seconds"] > 0
    assert told["session"]


def test_the_demo_says_that_the_model_is_a_recording_and_shows_what_happens(demo: Demo) -> None:
    lines = demo.stderr.splitlines()
    assert [line for line in lines if "recorded model session is replayed" in line]
    for step in ("— prepare workspace", "— plan", "— implement", "— verify", "— push"):
        assert any(line.startswith(step) for line in lines), step


def test_the_demo_leaves_nothing_in_the_home_folder_or_behind(demo: Demo) -> None:
    assert list(demo.home.iterdir()) == []
    command_lines = [path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline") if path.exists()]
    assert not [line for line in command_lines if str(demo.home).encode() in line]
