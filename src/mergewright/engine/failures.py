"""Errors as JSON, so that a failed turn fails with the same words in another process."""

from mergewright.domain import errors
from mergewright.domain.errors import MergewrightError
from mergewright.domain.session import JSON


class TurnFailed(Exception):
    """A turn failed; the durable engine keeps `data`."""

    def __init__(self, error: BaseException) -> None:
        super().__init__(str(error))
        self.data = encode(error)


def encode(error: BaseException) -> dict[str, JSON]:
    """Give an error's class, message and hint."""
    message, hint = (error.message, error.hint) if isinstance(error, MergewrightError) else (str(error), "")
    return {"error": type(error).__name__, "message": message, "hint": hint}


def decode(value: JSON) -> MergewrightError:
    """Make the error again; one that is not ours becomes a MergewrightError that names it."""
    kind = getattr(errors, value["error"], None)
    if isinstance(kind, type) and issubclass(kind, MergewrightError):
        return kind(value["message"], hint=value["hint"])
    return MergewrightError(f"{value['error']}: {value['message']}")
