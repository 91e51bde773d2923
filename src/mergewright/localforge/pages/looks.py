"""How pages are made: the templates, what they load, and the words and times that they share."""

import hashlib
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from mergewright.localforge.clock import parse, seconds_between
from mergewright.localforge.markdown import markdown
from mergewright.localforge.pages.links import linked
from mergewright.localforge.tables import User

if TYPE_CHECKING:
    from jinja2 import Environment

STATIC = Path(__file__).parent.parent / "static"
ASSETS = "/-/assets/"
TYPES = {".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml"}
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}
STEPS = ((60, "second"), (60, "minute"), (24, "hour"), (30, "day"), (12, "month"))
WORDS = {"opened": "Open", "success": "passed", "input_required": "waits for an answer"}
COLOURS = 8


@cache
def templates() -> "Environment":
    """Give the templates; every value in them is escaped, and a name that is not there is an error."""
    # Here, not above: a forge that nobody looks at never needs it.
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("mergewright.localforge"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "markdown": markdown,
        "ago": ago,
        "word": word,
        "colour": colour,
        "lasted": lasted,
        "linked": linked,
    }
    environment.globals["asset"] = asset
    return environment


def render(name: str, **values: Any) -> str:
    return templates().get_template(name).render(**values)


@cache
def asset(name: str) -> str:
    """Give the address of a file that pages load; it changes with the file, so that browsers may keep it."""
    return f"{ASSETS}{name}?v={hashlib.sha256((STATIC / name).read_bytes()).hexdigest()[:12]}"


@cache
def asset_file(name: str) -> tuple[bytes, str] | None:
    """Give such a file and its type; None for any name that is not one of them."""
    found = {path.name: path for path in STATIC.iterdir() if path.suffix in TYPES}.get(name)
    return (found.read_bytes(), TYPES[found.suffix]) if found else None


def ago(moment: str | None) -> Markup:
    """Give a time as people say it, with the exact one behind it."""
    if not moment:
        return Markup("")
    then = parse(moment)
    exact = then.astimezone(UTC).strftime("%d %b %Y, %H:%M:%S UTC")
    return Markup('<time datetime="{}" title="{}">{}</time>').format(moment, exact, _since(then))


def _since(then: datetime) -> str:
    past = max((datetime.now(UTC) - then).total_seconds(), 0.0)
    if past < 10:
        return "just now"
    for size, unit in STEPS:
        if past < size:
            return f"{int(past)} {unit}{'' if int(past) == 1 else 's'} ago"
        past /= size
    return f"{int(past)} year{'' if int(past) == 1 else 's'} ago"


def lasted(row: Any) -> str:
    """Give how long a job or a pipeline took, or has taken so far."""
    seconds = seconds_between(row.started_at, row.finished_at)
    if seconds is None:
        return ""
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s" if rest else "less than 1 s"


def word(state: str) -> str:
    """Give GitLab's value as a word for people."""
    return WORDS.get(state, state.replace("_", " "))


def colour(user: User) -> str:
    """Give the class that colours a user's sign."""
    return f"c{sum(user.username.encode()) % COLOURS}"
