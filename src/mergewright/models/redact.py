"""Keeping keys out of messages and recordings."""

import re

_SHAPES = re.compile(
    r"""
      \bsk-(?=[\w*-]*[\d*])[\w*-]{10,}                  # OpenAI, Anthropic and those who copied them
    | \bgl(?:pat|dt|rt|ptt|cbt|oas|ft|soat|ffct)-[\w.-]{16,}  # GitLab
    | \bgh[pousr]_\w{20,} | \bgithub_pat_\w{20,}        # GitHub
    | \bxox[abprs]-[\w-]{10,}                           # Slack
    | \bA(?:KIA|SIA)[0-9A-Z]{16}\b                      # AWS
    | \bAIza[\w-]{30,}                                  # Google
    | (?<=Bearer\ )[\w.~+/-]{12,}=*
    | (?<=://)[^\s/:@'"<>]*:[^\s/@'"<>]+(?=@)           # a password in an address
    """,
    re.VERBOSE,
)


SHORTEST = 12
"""Shorter keys, such as `none` or `ollama`, guard nothing, and are words that occur in any text."""


def redact(text: str, *known: str) -> str:
    """Take out the known secrets and whatever has the shape of a key."""
    for secret in sorted((secret for secret in known if len(secret) >= SHORTEST), key=len, reverse=True):
        text = text.replace(secret, "<key>")
    return _SHAPES.sub("<key>", text)


def clip(text: str, limit: int = 400) -> str:
    """Put a text on one line of at most `limit` characters."""
    line = " ".join(text.split())
    return line if len(line) <= limit else line[: limit - 1] + "…"
