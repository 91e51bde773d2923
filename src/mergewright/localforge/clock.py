"""Times as GitLab writes them."""

from datetime import UTC, datetime


def now() -> str:
    """The present, as `2026-01-31T09:30:00.123Z`."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def parse(moment: str) -> datetime:
    return datetime.fromisoformat(moment.replace("Z", "+00:00"))


def seconds_between(start: str | None, end: str | None) -> float | None:
    """How long something took; up to now when it has not ended; None when it has not begun."""
    if start is None:
        return None
    return round((parse(end or now()) - parse(start)).total_seconds(), 3)


def hook_time(moment: str | None) -> str | None:
    """The spelling of times in webhook payloads: `2026-01-31 09:30:00 UTC`."""
    return parse(moment).strftime("%Y-%m-%d %H:%M:%S UTC") if moment else None
