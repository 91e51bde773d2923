"""Errors as JSON, so that a failed turn fails with the same words in another process."""

from mergewright.domain import errors
from mergewright.domain.errors import MergewrightError
from mergewright.domain.session import JSON


class TurnFailed(Exception):
    """A turn failed; the durable engine keeps `data`."""

    def __init__(self, error: BaseException) -> None:
        self.data = encode(error)
        super().__init__(self.data["message"])


def encode(error: BaseException) -> dict[str, JSON]:
    """Give an error's class, message and hint."""
    message, hint = (error.message, error.hint) if isinstance(error, MergewrightError) else (str(error), "")
    return {"error": type(error).__name__, "message": _storable(message), "hint": _storable(hint)}


def decode(value: JSON) -> MergewrightError:
    """Make the error again; one that is not ours becomes a MergewrightError that names it."""
    kind = getattr(errors, value["error"], None)
    if isinstance(kind, type) and issubclass(kind, MergewrightError):
        return kind(value["message"], hint=value["hint"])
    return MergewrightError(f"{value['error']}: {value['message']}")


def stored(error: BaseException) -> MergewrightError:
    """Read an error as DBOS gives it back: with our `data` where it came from a turn, else with a name."""
    data = getattr(error, "data", None)
    name = getattr(error, "name", type(error).__name__)
    return decode(data if data else {"error": name, "message": str(error), "hint": ""})


def _storable(text: str) -> str:
    # Half a character, as undecodable output leaves it, is refused by every database.
    return text.encode(errors="backslashreplace").decode()
