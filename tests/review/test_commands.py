"""What a person tells the reviewer, read word by word."""

import pytest

from mergewright.review.commands import Command, Malformed, parse


@pytest.mark.parametrize(
    ("note", "kind", "reason"),
    [
        ("@bot dismiss because it is a test", "dismiss", "it is a test"),
        ("@Bot, Dismiss: it is a test", "dismiss", "it is a test"),
        ("Thanks.\n\n@bot override because\nthe release\nis today", "override", "the release is today"),
        ("@bot incorrect because `x` is never None", "incorrect", "`x` is never None"),
        ("@bot wrong since x is never None", "incorrect", "x is never None"),
        ("@bot review", "review", ""),
        ("@bot re-review please", "review", ""),
        ("@bot fix this", "fix", ""),
        ("@bot resolve with mergewright", "fix", ""),
        ("@bot help", "help", ""),
    ],
)
def test_a_command_is_understood(note: str, kind: str, reason: str) -> None:
    assert parse(note, "bot") == Command(kind, reason)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "note",
    [
        "@bot dismiss",
        "@bot dismiss it",
        "@bot override because",
        "@bot dissmiss because no",
        "@bot overide because of X",
    ],
)
def test_r47_what_was_meant_as_a_command_is_answered_with_its_form(note: str) -> None:
    found = parse(note, "bot")
    assert isinstance(found, Malformed)
    assert "because …" in found.form


@pytest.mark.parametrize(
    "note",
    [
        "@bot why is that?",
        "@bot review the naming once more with me",
        "I told @bot to dismiss because I can",
        "> @bot dismiss because quoted",
        "```\n@bot dismiss because code\n```",
        "    @bot dismiss because indented",
        "@botany dismiss because other",
        "dismiss because nobody was named",
    ],
)
def test_what_only_talks_or_is_quoted_is_no_command(note: str) -> None:
    assert parse(note, "bot") is None
