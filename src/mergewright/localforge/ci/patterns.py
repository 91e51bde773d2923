"""Patterns out of a pushed configuration: whoever may push wrote them, so a slow one must not stop the forge."""

import re
import subprocess
import sys
from functools import lru_cache

SECONDS = 2.0
PROGRAM = """
import re, sys
size = int(sys.argv[1])
data = sys.stdin.buffer.read().decode()
sys.exit(0 if re.search(data[:size], data[size:], int(sys.argv[2])) else 1)
"""


class BadPattern(Exception):
    """A pattern that cannot be used."""


@lru_cache(maxsize=1024)
def matches(written: str, text: str) -> bool:
    """Whether a `/pattern/` or `/pattern/i` is found in a text."""
    if not re.fullmatch(r"/.+/i?", written, re.DOTALL):
        raise BadPattern(f"`{written}` is not a /pattern/")
    pattern, _, flag = written[1:].rpartition("/")
    flags = re.IGNORECASE if flag else re.NOFLAG
    try:
        compiled = re.compile(pattern, flags)
    except (re.error, RecursionError, OverflowError) as error:
        raise BadPattern(f"`{written}` is not a pattern: {error}") from error
    if "(" not in pattern and len(re.findall(r"[*+?{]", pattern)) < 2:
        return compiled.search(text) is not None
    return _apart(written, pattern, text, int(flags))


def _apart(written: str, pattern: str, text: str, flags: int) -> bool:
    """Search in a process of its own, which can be ended: Python's own search cannot."""
    command = [sys.executable, "-I", "-S", "-c", PROGRAM, str(len(pattern)), str(flags)]
    try:
        done = subprocess.run(
            command, input=(pattern + text).encode(), capture_output=True, timeout=SECONDS, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise BadPattern(f"`{written}` takes too long") from error
    if done.returncode not in {0, 1} or done.stderr:
        raise BadPattern(f"`{written}` could not be tried")
    return done.returncode == 0
