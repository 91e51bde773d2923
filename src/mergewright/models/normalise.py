"""What differs between two runs of the same session and means nothing: paths, hashes, times, versions."""

import re
from collections.abc import Sequence
from typing import NamedTuple

from mergewright.domain.agent import Message, Role

WORK_TREE = "{work-tree}"
"""Stands in a recording for the work tree's path."""


class Rule(NamedTuple):
    name: str
    pattern: re.Pattern[str]
    replacement: str


def _rule(name: str, pattern: str, replacement: str) -> Rule:
    return Rule(name, re.compile(pattern, re.MULTILINE), replacement)


_DAY = r"(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)"
_MONTH = r"(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)"
_CLOCK = r"\d{1,2}:\d{2}(?::\d{2})?(?:[.,]\d+)?"
_ZONE = r"(?:\ ?(?:Z|UTC|GMT|[+-]\d{2}:?\d{2}))?"
_ROOTS = r"home|root|Users|private|tmp|var|opt|usr|mnt|srv|work|workspace|workspaces|builds|nix|Library"

RULES: tuple[Rule, ...] = (
    _rule("colours", r"\x1b\[[0-9;?]*[A-Za-z]", ""),
    _rule("loopback addresses", r"(?:https?://)?(?:127\.0\.0\.1|localhost|\[::1\]|0\.0\.0\.0):\d+", "<loopback>"),
    _rule("test runner's surroundings", r"^(?:platform|plugins:|rootdir:|cachedir:|configfile:|testpaths:) ?.*\n?", ""),
    _rule(
        "long listings",
        r"^([bcdlps-](?:[r-][w-][xsStT-]){3})[.+@]? +\d+ +\S+ +\S+ +\d+ +"
        rf"(?:{_MONTH} +\d{{1,2}} +(?:{_CLOCK}|\d{{4}})|\d{{4}}-\d{{2}}-\d{{2}} {_CLOCK}) ",
        r"\1 ",
    ),
    _rule("long listings' totals", r"^total \d+$", "total <n>"),
    _rule("temporary folders", r"(?<![\w.>}/-])(?:/private)?/(?:tmp|var/tmp|var/folders)/[^\s\"'`:,;()<>\]]+", "<tmp>"),
    _rule("absolute paths", rf"(?<![\w.>}}/-])/(?:{_ROOTS})/(?:[^\s\"'`:,;()<>/\]]+/)*", "<path>/"),
    _rule("unique ids", r"\b[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}\b", "<uuid>"),
    _rule("memory addresses", r"\b0x[0-9a-fA-F]{4,16}\b", "<address>"),
    _rule(
        "dates with times",
        rf"\b\d{{4}}-\d{{2}}-\d{{2}}[T ]{_CLOCK}{_ZONE}"
        rf"|\b(?:{_DAY},? )?(?:{_MONTH} +\d{{1,2}}|\d{{1,2}} {_MONTH}),?(?: \d{{4}})?"
        rf" +{_CLOCK}{_ZONE}(?: \d{{4}})?{_ZONE}"
        rf"|\b{_DAY},? \d{{1,2}} {_MONTH} \d{{4}} {_CLOCK}{_ZONE}",
        "<time>",
    ),
    _rule(
        "dates",
        rf"\b\d{{4}}-\d{{2}}-\d{{2}}\b|\b{_MONTH} +\d{{1,2}},? +\d{{4}}\b|\b\d{{1,2}} {_MONTH} \d{{4}}\b",
        "<date>",
    ),
    _rule("times of day", r"\b\d{1,2}:\d{2}:\d{2}(?:[.,]\d+)?\b", "<time>"),
    _rule(
        "durations",
        r"(?<![\w.])\d+(?:\.\d+)? ?(?:ns|µs|us|ms|s|sec|secs|seconds?|min|mins|minutes?)\b(?: \(<time>\))?",
        "<duration>",
    ),
    _rule(
        "processor times",
        r" *\d+ +wallclock +secs? +\([^)\n]*\)|\b\d+m\d+(?:\.\d+)?s\b",
        "<duration>",
    ),
    _rule("test durations", r"\b(duration_ms|time)([ =:\"']+)\d+(?:\.\d+)?", r"\1\2<n>"),
    _rule("process ids", r"\b(pid|PID|process)([ =:#]+)\d+", r"\1\2<pid>"),
    _rule("hashes", r"\b(?=[a-f]*\d)[0-9a-f]{7,64}\b", "<hash>"),
    _rule("versions", r"(?i)\b(python|node|ruby|perl|php|go|rust|java)( ?)v?\d+(?:\.\d+)+\b", r"\1\2<version>"),
    _rule("version numbers", r"\bv?\d+\.\d+\.\d+(?:[.\w+-]*\w)?\b", "<version>"),
    _rule("rulers", r"([=_*~-])\1{4,}", r"\1\1\1\1\1"),
    _rule("space at line ends", r"[ \t\r]+$", ""),
)
"""Applied in this order; each has a test."""

_WORK_TREE = re.compile(r"work(?:ing)?[ -](?:directory|tree)\b[^\n/]{0,40}?(/[^\s`'\"<>,;:)]+)", re.IGNORECASE)


def normalise(text: str, *, work_tree: str = "") -> str:
    """Put a tool's result into the form in which two runs are compared."""
    text = hide_work_tree(text, work_tree)
    for rule in RULES:
        text = rule.pattern.sub(rule.replacement, text)
    return text.strip()


def find_work_tree(messages: Sequence[Message]) -> str:
    """Find the work tree that a prompt names, as in `Working directory: /path`; empty when it names none."""
    for message in messages:
        if message.role in {Role.SYSTEM, Role.USER} and (match := _WORK_TREE.search(message.text)):
            return match[1].rstrip("/.")
    return ""


def hide_work_tree(text: str, work_tree: str) -> str:
    return text.replace(work_tree, WORK_TREE) if work_tree else text


def show_work_tree(text: str, work_tree: str) -> str:
    """Put a path back for the placeholder; a conversation that names no path gets a relative one."""
    return text.replace(WORK_TREE, work_tree or ".")
