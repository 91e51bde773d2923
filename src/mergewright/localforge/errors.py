"""What the local forge says when it refuses."""


class LocalForgeError(Exception):
    """The local forge cannot do what its owner asked."""

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class Refused(Exception):
    """A request is answered with an error status and GitLab's body for it."""

    def __init__(self, status: int, body: dict[str, object], *, headers: dict[str, str] | None = None) -> None:
        super().__init__(f"{status} {body}")
        self.status = status
        self.body = body
        self.headers = headers or {}


class GitFailed(Exception):
    """A git command ended with an error."""

    def __init__(self, command: str, exit_code: int, stderr: str) -> None:
        super().__init__(f"git {command} ended with {exit_code}: {stderr.strip()}")
        self.exit_code = exit_code
        self.stderr = stderr


def bad_request(reason: str) -> Refused:
    return Refused(400, {"message": f"400 Bad request - {reason}"})


def unauthorized() -> Refused:
    return Refused(401, {"message": "401 Unauthorized"})


def forbidden(reason: str = "") -> Refused:
    return Refused(403, {"message": f"403 Forbidden - {reason}" if reason else "403 Forbidden"})


def not_found(noun: str = "") -> Refused:
    return Refused(404, {"message": f"404 {noun} Not Found" if noun else "404 Not found"})


def invalid(**fields: list[str]) -> Refused:
    """A noun that fails its own rules: 400 with the fields and what is wrong with each."""
    return Refused(400, {"message": dict(fields)})
