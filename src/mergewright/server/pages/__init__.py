"""The pages people look at, made here on the server; a page works without any script, and is livelier with one."""

from pathlib import Path

from fastapi import FastAPI
from starlette.staticfiles import StaticFiles

STATIC = Path(__file__).parent.parent / "static"


def add_pages(app: FastAPI) -> None:
    """Put the pages and what they load on the server."""
    from mergewright.server.pages import home

    app.mount("/static", StaticFiles(directory=STATIC), name="static")
    for part in (home,):
        app.include_router(part.router, include_in_schema=False)
