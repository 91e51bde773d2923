"""The pages people look at, made here on the server; a page works without any script, and is livelier with one."""

from fastapi import FastAPI
from starlette.responses import Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from mergewright.server.pages.base import STATIC


class Assets(StaticFiles):
    """What pages load: its address changes with it, so a browser may keep it."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        """Give a file, to be kept when it was asked for by its own version."""
        answer = await super().get_response(path, scope)
        kept = "public, max-age=31536000, immutable" if b"v=" in scope["query_string"] else "no-cache"
        answer.headers["Cache-Control"] = kept
        return answer


def add_pages(app: FastAPI) -> None:
    """Put the pages and what they load on the server."""
    from mergewright.server.pages import audit, home, metrics, reviews, session, sessions, settings
    from mergewright.server.pages.problems import add_problems

    app.mount("/static", Assets(directory=STATIC), name="static")
    add_problems(app)
    for part in (home, reviews, sessions, session, settings, audit, metrics):
        app.include_router(part.router, include_in_schema=False)
