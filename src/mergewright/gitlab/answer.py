"""What comes back from one request to a forge."""

import json
from dataclasses import dataclass

from mergewright.domain.errors import Unreachable
from mergewright.domain.session import JSON


@dataclass(frozen=True, slots=True)
class Answer:
    """A forge's answer to a request that it accepted."""

    status: int
    content: bytes
    content_type: str
    next_page: str | None
    """Empty on the last page; None where the forge does not count pages."""

    def json(self) -> JSON:
        """The decoded answer; raises Unreachable where it is no JSON, such as a page to sign in."""
        if self.content_type == "application/json":
            try:
                return json.loads(self.content)
            except ValueError:
                pass
        raise Unreachable(
            f"The forge answered something else than JSON: {self.content_type or 'nothing'}",
            hint="check that the address is a GitLab's, without `/api` or a project in it",
        )


class PassingFault(Exception):
    """A fault that may be gone at the next try."""

    def __init__(
        self, message: str, *, hint: str = "", wait: float | None = None, reached: bool = True, status: int = 0
    ) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.wait = wait
        """The seconds that the forge asks to wait."""
        self.reached = reached
        """Whether the forge may have done what it was asked."""
        self.status = status
        """The answer's status; 0 where there was none."""
