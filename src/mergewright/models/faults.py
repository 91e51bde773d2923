"""What a model's server means when it does not answer: try again, ask for less, or give up."""

import json
import re
from collections.abc import Mapping
from email.utils import parsedate_to_datetime

from mergewright.domain.errors import ContextOverflow, ModelError, ModelRefused, ModelUnavailable, ReplayDiverged
from mergewright.domain.session import JSON
from mergewright.models.redact import clip, redact

PASSING = frozenset({408, 409, 425, 429})
"""The statuses below 500 that another try may cure."""

DIVERGED = "replay_diverged"
"""The error code by which the replaying server says that it was asked something it never heard."""

# Each provider has its own words for a conversation that is too long; few send a code for it.
_OVERFLOW = re.compile(
    r"context_length_exceeded|exceed_context_size|model_context_window|context[ _-](?:length|window|size|limit)"
    r"|maximum (?:prompt|model) length|prompt is too long|input is too long|too many (?:input )?tokens"
    r"|input token count|reduce the length of the (?:messages|prompt)|tokens? .{0,40}exceeds? the (?:maximum|limit)"
    r"|request_too_large|`inputs` tokens",
    re.IGNORECASE,
)


class PassingFault(ModelUnavailable):
    """A failure that another try may cure; only the retry layer sees it."""

    def __init__(self, message: str, *, hint: str = "", wait: float | None = None, silent: bool = False) -> None:
        super().__init__(message, hint=hint)
        self.wait = wait
        """Seconds that the server asked for; None when it said nothing."""
        self.silent = silent


def answer_fault(
    status: int, body: str, headers: Mapping[str, str], *, server: str, now: float, key: str = ""
) -> ModelError:
    """Turn an answer that holds no reply into the error it stands for."""
    error = _error(body)
    said = clip(redact(_message(error, body), key))
    code = str(error.get("code") or error.get("type") or "") if isinstance(error, dict) else ""
    if code == DIVERGED:
        # Its lines are a diff, which `clip` would fold into one.
        return ReplayDiverged(redact(_message(error, body), key), hint="record the session again with `--record FILE`")
    if status in {400, 413, 422} and (status == 413 or _OVERFLOW.search(f"{code} {said}")):
        return ContextOverflow(f"The conversation is longer than the model takes: {said or status}")
    if status in {402, 429} and "insufficient_quota" in f"{code} {said}":
        return ModelRefused(
            f"{server} says that the account's credit is used up: {said}", hint="add credit, or choose another model"
        )
    if status in PASSING or status >= 500:
        return PassingFault(f"{server} answered {status}{said and ': ' + said}", wait=asked_wait(headers, now=now))
    return ModelRefused(
        f"{server} refused the request with {status}{said and ': ' + said}", hint=_HINTS.get(status, "")
    )


_HINTS = {
    401: "check the API key: this server does not know it",
    403: "this API key may not use this model",
    404: "check the model's name, and that the base URL ends where the server's API begins, mostly in `/v1`",
    405: "check that the base URL ends where the server's API begins, mostly in `/v1`",
}


def stream_fault(error: JSON, *, server: str, key: str = "") -> ModelError:
    """Turn an error that came inside an answer of status 200 into the error it stands for."""
    value = error if isinstance(error, dict) else {"message": str(error)}
    code = str(value.get("code", value.get("status")))
    status = int(code) if re.fullmatch(r"[45]\d\d", code) else 500
    if _OVERFLOW.search(f"{code} {value.get('type', '')} {value.get('message', '')}"):
        status = 400
    return answer_fault(status, json.dumps({"error": value}), {}, server=server, now=0.0, key=key)


def asked_wait(headers: Mapping[str, str], *, now: float) -> float | None:
    """Read how many seconds a server asks to wait, from `Retry-After` as seconds or as a date."""
    value = headers.get("retry-after-ms", "").strip()
    if re.fullmatch(r"\d+(\.\d+)?", value):
        return float(value) / 1000
    value = headers.get("retry-after", "").strip()
    if re.fullmatch(r"\d+(\.\d+)?", value):
        return float(value)
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - now) if value else None
    except ValueError:
        return None


def _error(body: str) -> JSON:
    """Find the error in a JSON body, whichever of the usual shapes it has."""
    try:
        value = json.loads(body)
    except ValueError:
        return None
    if isinstance(value, list) and value:
        value = value[0]
    return value.get("error", value) if isinstance(value, dict) else value


def _message(error: JSON, body: str) -> str:
    if isinstance(error, str):
        return error
    if isinstance(error, dict):
        said = error.get("message") or error.get("detail") or error
        return said if isinstance(said, str) else json.dumps(said)
    if body.lstrip()[:1] == "<":
        title = re.search(r"<title>(.*?)</title>", body, re.IGNORECASE | re.DOTALL)
        return title[1].strip() if title else "a web page"
    return body
