"""Errors of the APIs: ours as `application/problem+json`, those of GitLab's flows API in GitLab's shape.

https://www.rfc-editor.org/rfc/rfc9457
"""

import logging
from collections.abc import Mapping, Sequence
from http import HTTPStatus

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

from mergewright.domain.errors import (
    Conflict,
    Forbidden,
    ForgeError,
    MergewrightError,
    NoDatabase,
    NotFound,
    TooMany,
    Unauthorized,
    Unreachable,
    WrongUse,
)
from mergewright.domain.session import JSON

STATUS: tuple[tuple[type[MergewrightError], int], ...] = (
    (Unauthorized, 401),
    (Forbidden, 403),
    (NotFound, 404),
    (Conflict, 409),
    (WrongUse, 422),
    (TooMany, 429),
    (Unreachable, 503),
    (NoDatabase, 503),
    (ForgeError, 502),
)
MEDIA = "application/problem+json"
GITLAB = "/api/v4/"
"""Below this, errors look as GitLab's own."""
ASK_FOR_TOKEN = {"WWW-Authenticate": 'Bearer realm="mergewright"'}
log = logging.getLogger("mergewright.server")


class Fault(BaseModel):
    """One thing that is wrong with a request."""

    where: str = Field(examples=["body.goal"], description="The parameter or field")
    message: str = Field(examples=["Field required"])


class Problem(BaseModel):
    """Why a request was refused, in one sentence."""

    type: str = "about:blank"
    status: int = Field(examples=[409])
    title: str = Field(examples=["session `0k3f` was answered already"])
    hint: str = Field("", description="What to do about it")
    errors: list[Fault] | None = Field(None, description="What is wrong with the request, each by its name")


def problem(status: int, title: str, *, hint: str = "", errors: Sequence[Fault] = ()) -> JSONResponse:
    """Give an error as an answer."""
    told: dict[str, JSON] = {"type": "about:blank", "status": status, "title": _whole(title)}
    if hint:
        told["hint"] = _whole(hint)
    if errors:
        told["errors"] = [one.model_dump() for one in errors]
    return JSONResponse(told, status, media_type=MEDIA, headers=ASK_FOR_TOKEN if status == 401 else None)


def as_gitlab(status: int, title: str, *, errors: Sequence[Fault] = ()) -> JSONResponse:
    """Give an error as GitLab's API does: what is wrong with a parameter as `error`, the rest as `message`."""
    status = 400 if status == 422 else status
    if errors:
        told = {"error": ", ".join(f"{one.where.partition('.')[2] or one.where}: {one.message}" for one in errors)}
    else:
        told = {"message": f"{status} {HTTPStatus(status).phrase} - {_whole(title)}"}
    return JSONResponse(told, status, headers=ASK_FOR_TOKEN if status == 401 else None)


def _whole(text: str) -> str:
    """Give a text that can be sent: what was asked for is quoted in it, and JSON can hold half a letter."""
    return text.encode(errors="backslashreplace").decode()


def refusal(request: Request, status: int, title: str, *, hint: str = "", errors: Sequence[Fault] = ()) -> JSONResponse:
    """Give an error in the shape of the API that was asked."""
    if request.url.path.startswith(GITLAB):
        return as_gitlab(status, title, errors=errors)
    return problem(status, title, hint=hint, errors=errors)


async def tell(request: Request, error: Exception) -> JSONResponse:
    """Give one of our errors as an answer; its words are made to be read by people."""
    if not isinstance(error, MergewrightError):
        raise error
    if isinstance(error, NoDatabase):
        log.error("%s", error.message)
    told = error.discreet()
    return refusal(request, status_of(error), told.message, hint=told.hint)


async def tell_http(request: Request, error: Exception) -> Response:
    """Give what the framework refuses."""
    if not isinstance(error, HTTPException):
        raise error
    answer = refusal(request, error.status_code, str(error.detail))
    answer.headers.update(error.headers or {})
    return answer


async def tell_wrong(request: Request, error: Exception) -> Response:
    """Give what a request says wrong, each by its name."""
    if not isinstance(error, RequestValidationError):
        raise error
    faults = [
        Fault(where=".".join(map(str, one["loc"]))[:200], message=str(one["msg"])[:500]) for one in error.errors()
    ]
    return refusal(request, 422, "the request does not say what it should", errors=faults)


def status_of(error: MergewrightError) -> int:
    """Give the status of an answer that tells of an error."""
    return next((code for kind, code in STATUS if isinstance(error, kind)), 500)


def described(*statuses: int) -> dict[int | str, dict[str, JSON]]:
    """Describe the errors that a route may answer with, beside those of every route."""
    return {status: {"description": TOLD[status], "model": Problem} for status in (*ALWAYS, *statuses)}


ALWAYS = (401, 403, 404, 422, 429, 502, 503)
TOLD: Mapping[int, str] = {
    400: "The request is malformed",
    401: "No token, or one that the forge does not know",
    403: "The person, or their token, may not do this",
    404: "It is not there, or the person may not see it",
    405: "This is not done here",
    409: "Somebody else got there first",
    413: "The request is too large",
    422: "The request does not say what it should, or what cannot be done",
    429: "Too many requests",
    502: "The forge refused",
    503: "The forge or the database gives no answer",
}
