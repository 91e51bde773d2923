"""How every page is made: the templates, and the headers that keep it inert."""

from functools import cache
from typing import TYPE_CHECKING

from fastapi import Request
from fastapi.responses import HTMLResponse

from mergewright.app.people import Person

if TYPE_CHECKING:
    from jinja2 import Environment

HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
}


@cache
def templates() -> "Environment":
    """Give the templates; every value in them is escaped, and a name that is not there is an error."""
    # Here, not above: a server that nobody looks at never needs it.
    from jinja2 import Environment, PackageLoader, StrictUndefined

    return Environment(
        loader=PackageLoader("mergewright.server"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )


def page(request: Request, name: str, person: Person | None, *, status: int = 200, **values: object) -> HTMLResponse:
    """Give a page made of a template; `title` is among the values."""
    text = templates().get_template(name).render(person=person, path=request.url.path, **values)
    return HTMLResponse(text, status, headers=HEADERS)
