"""How every page is made: the templates, what they load, and the headers that keep a page inert."""

import hashlib
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from fastapi import Request
from fastapi.responses import HTMLResponse

from mergewright.app.people import Person

if TYPE_CHECKING:
    from jinja2 import Environment

STATIC = Path(__file__).parent.parent / "static"
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
}


@cache
def templates() -> "Environment":
    """Give the templates; every value in them is escaped, and a name that is not there is an error."""
    # Here, not above: a server that nobody looks at never needs it.
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("mergewright.server"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals["asset"] = asset
    return environment


@cache
def asset(name: str) -> str:
    """Give the address of a file that pages load; it changes with the file, so that browsers may keep it."""
    return f"/static/{name}?v={hashlib.sha256((STATIC / name).read_bytes()).hexdigest()[:12]}"


def page(request: Request, name: str, person: Person | None, *, status: int = 200, **values: object) -> HTMLResponse:
    """Give a page made of a template; `title` is among the values."""
    text = templates().get_template(name).render(person=person, path=request.url.path, status=status, **values)
    return HTMLResponse(text, status, headers=HEADERS)


def part(name: str, **values: object) -> str:
    """Give a part of a page, as it is put into one that stands."""
    return templates().get_template(name).render(**values)
