"""Turn what the forge or the network says no with into the errors that the rest knows."""

from collections.abc import Mapping
from email.utils import parsedate_to_datetime

import requests
from gitlab.exceptions import GitlabError

from mergewright.domain.errors import Conflict, Forbidden, ForgeError, NotFound, Unauthorized, Unreachable
from mergewright.domain.session import JSON
from mergewright.git.command import OWN_AUTHORITY
from mergewright.gitlab.answer import PassingFault

PASSING = frozenset({429, 500, 502, 503, 504, *range(520, 528)})


def raise_for_passing(status: int, headers: Mapping[str, str], body: bytes) -> None:
    """Raise PassingFault for a status that another try may turn into an answer."""
    if status == 429:
        wait = retry_after(headers)
        raise PassingFault(
            "The forge asks for fewer requests", hint="try again later", wait=wait, reached=False, status=status
        )
    if status in PASSING:
        message = f"The forge answers with an error of its own: {status}"
        raise PassingFault(message, hint="look into the forge's own log", wait=retry_after(headers), status=status)
    if status == 409 and b"Resource lock" in body:
        raise PassingFault(
            "The forge is busy with this object", wait=retry_after(headers), reached=False, status=status
        )


def retry_after(headers: Mapping[str, str]) -> float | None:
    """The seconds a forge asks to wait; None where it asks for nothing that makes sense."""
    value = headers.get("Retry-After", "").strip()
    if value.isdecimal():
        return float(value)
    try:
        until, now = parsedate_to_datetime(value), parsedate_to_datetime(headers.get("Date", ""))
        return max((until - now).total_seconds(), 0.0)
    except (ValueError, TypeError):
        return None


def from_forge(error: GitlabError, *, what: str) -> ForgeError:
    """The domain's error for an answer that python-gitlab gave up on."""
    status, said = error.response_code or 0, sentence(error.error_message)
    if status == 401:
        return Unauthorized(
            "The forge does not know this token",
            hint="make a token with the scope `api`, and check that it has not expired",
        )
    if status == 403 and "insufficient_scope" in said:
        return Forbidden(f"The token's scopes do not allow this: {what}", hint="make a token with the scope `api`")
    if status == 403:
        return Forbidden(
            f"The forge refuses this to the token's owner: {what} ({said})",
            hint="give the token's owner the Developer role in the project, and the token the scope `api`",
        )
    if status == 404:
        return NotFound(
            f"The forge has no such thing, or the token's owner may not see it: {what}",
            hint="check the name, and that the token's owner is a member of the project",
        )
    if status in {409, 422}:
        return Conflict(f"The forge refuses this as it stands: {what} ({said})")
    if status >= 500 or status == 0:
        return Unreachable(f"The forge could not answer: {what} ({status or said})")
    return ForgeError(f"The forge refuses the request: {what} ({status}, {said})")


def from_network(error: requests.RequestException, *, url: str, timeout: float) -> Exception:
    """A PassingFault where another try may help, else Unreachable."""
    hint = f"check that a GitLab runs at `{url}`, and that this machine may reach it"
    if isinstance(error, requests.exceptions.SSLError):
        return Unreachable(f"The certificate of the forge at `{url}` cannot be trusted", hint=OWN_AUTHORITY)
    if isinstance(error, requests.exceptions.ConnectTimeout):
        return PassingFault(f"No connection to the forge at `{url}` within {timeout:g} s", hint=hint, reached=False)
    if isinstance(error, requests.exceptions.Timeout):
        return PassingFault(f"No answer from the forge at `{url}` within {timeout:g} s", hint=hint)
    if isinstance(error, requests.exceptions.ConnectionError | requests.exceptions.ChunkedEncodingError):
        reached = "NewConnectionError" not in str(error) and "NameResolutionError" not in str(error)
        broken = "breaks off" if reached else "cannot be made"
        return PassingFault(f"The connection to the forge at `{url}` {broken}", hint=hint, reached=reached)
    return Unreachable(f"The forge at `{url}` cannot be asked: {type(error).__name__}", hint=hint)


def sentence(said: JSON) -> str:
    """A forge's message, a string, a list or a dictionary of lists, in one short line."""
    if isinstance(said, bytes):
        said = said.decode("utf-8", "replace")
        if said.lstrip().startswith("<"):
            return "a page instead of a reason"
    if isinstance(said, Mapping):
        said = "; ".join(f"{name}: {sentence(value)}" for name, value in said.items())
    elif isinstance(said, list):
        said = ", ".join(sentence(value) for value in said)
    line = " ".join(str(said).split()).rstrip(".")
    return line if len(line) <= 300 else line[:299] + "…"
