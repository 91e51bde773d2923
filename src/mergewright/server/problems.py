"""Errors as `application/problem+json`. https://www.rfc-editor.org/rfc/rfc9457"""

from fastapi import Request
from fastapi.responses import JSONResponse

from mergewright.domain.errors import (
    Conflict,
    Forbidden,
    MergewrightError,
    NotFound,
    TooMany,
    Unauthorized,
    Unreachable,
    WrongUse,
)

STATUS: tuple[tuple[type[MergewrightError], int], ...] = (
    (Unauthorized, 401),
    (Forbidden, 403),
    (NotFound, 404),
    (Conflict, 409),
    (WrongUse, 422),
    (TooMany, 429),
    (Unreachable, 503),
)


def problem(status: int, title: str, *, hint: str = "") -> JSONResponse:
    """Give an error as an answer."""
    told = {"type": "about:blank", "status": status, "title": title} | ({"hint": hint} if hint else {})
    return JSONResponse(told, status, media_type="application/problem+json")


async def tell(request: Request, error: Exception) -> JSONResponse:
    """Give one of our errors as an answer; its words are made to be read by people."""
    if not isinstance(error, MergewrightError):
        raise error
    return problem(status_of(error), error.message, hint=error.hint)


def status_of(error: MergewrightError) -> int:
    """Give the status of an answer that tells of an error."""
    return next((code for kind, code in STATUS if isinstance(error, kind)), 500)
