"""A repository or a model writes to the terminal of whoever watches."""

import json

import pytest

from mergewright.cli.output import fail, print_json, summarize
from mergewright.domain.errors import WrongUse

EVIL = "\x1b]0;owned\x07\x1b[2J\x9b31m\u202eevil\udcff\r"


def test_a_summary_does_not_steer_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    """The commands of `.gitlab-ci.yml` stand in the summary, and one wiped the screen and forged a line on it."""
    check = {"when": "after", "command": f"pytest {EVIL}", "exit_code": 0}
    issue = {"web_url": f"http://127.0.0.1/{EVIL}"}
    tokens = {"input": 1, "output": 1}
    told = {"session": "s", "status": "failed", "reason": EVIL, "issue": issue, "merge_request": None}
    summarize({**told, "checks": [check], "tokens": tokens, "requests": 1, "cost": None, "seconds": 1})
    fail(WrongUse(f"no `{EVIL}`", hint=EVIL))
    shown = capsys.readouterr()
    for text in (shown.out, shown.err):
        assert not set(EVIL) & set(text) - set("]0;owned[2J31mevil")
        assert "evil" in text
        text.encode()


def test_json_says_all_and_steers_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    print_json({"text": f"grün {EVIL} \U000e0041"})
    line = capsys.readouterr().out
    assert json.loads(line) == {"text": f"grün {EVIL} \U000e0041"}
    assert "grün" in line
    assert not {"\x1b", "\x07", "\x9b", "\u202e", "\udcff", "\r", "\U000e0041"} & set(line)
