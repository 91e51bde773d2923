"""Which forge to speak to, and as whom."""

import json
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from mergewright.app.settings import Settings
from mergewright.domain.errors import Unreachable, WrongUse

if TYPE_CHECKING:
    from mergewright.domain.forge import ForgeStatus
    from mergewright.gitlab.reviewing import GitLabReviewForge


Role = Literal["developer", "reviewer", "person"]
"""As whom to speak to a forge: who writes a merge request must not be who approves it."""


@dataclass(frozen=True, slots=True)
class LocalConnection:
    """How to reach the local forge that was started last; kept in a file that only its owner can read."""

    url: str
    person: str
    person_token: str = field(repr=False)
    bot: str
    bot_token: str = field(repr=False)
    reviewer: str = ""
    """Empty in what a release without a reviewer has written."""
    reviewer_token: str = field(default="", repr=False)
    oauth_id: str = ""
    """The server's application on it, through which people sign in."""

    @classmethod
    def read(cls, path: Path) -> "LocalConnection | None":
        """Read it back; None when no local forge was ever started, WrongUse when what is there makes no sense."""
        try:
            return cls(**json.loads(path.read_text()))
        except (FileNotFoundError, NotADirectoryError):
            return None
        except (OSError, ValueError, TypeError) as error:
            raise WrongUse(
                f"`{path}` cannot be read", hint="it must be yours; remove it and start `mergewright serve` again"
            ) from error

    def write(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(".part")
        part.touch(mode=0o600)
        part.write_text(json.dumps({name: getattr(self, name) for name in self.__slots__}))
        part.replace(path)


def connection_file(settings: Settings) -> Path:
    return settings.forge_home / "connection.json"


def local_connection(settings: Settings) -> LocalConnection | None:
    """How to reach the local forge; None where a GitLab is set, or none was ever started."""
    return None if settings.gitlab_url else LocalConnection.read(connection_file(settings))


def forge_url(settings: Settings) -> str:
    """Where the forge is; empty where there is none."""
    local = local_connection(settings)
    return local.url if local else settings.gitlab_url


def person_of(settings: Settings, username: str) -> str:
    """Who acts here: on the local forge the person who started it, elsewhere the token's owner."""
    local = local_connection(settings)
    return local.person if local else username


def connect(settings: Settings, *, role: Role = "developer") -> "GitLabReviewForge":
    """Open the forge that is set, or else the local one; raises WrongUse when there is neither.

    On the local forge `person` is who started it. Elsewhere the person is the token's owner, and the reviewer too
    unless it has a token of its own.
    """
    from mergewright.gitlab.reviewing import GitLabReviewForge

    brief = role == "reviewer"
    if settings.gitlab_url:
        token = (settings.reviewer_token if role == "reviewer" else "") or settings.gitlab_token
        if not token:
            raise WrongUse("no token for the forge is set", hint="put it in GITLAB_TOKEN; it needs the scope `api`")
        return GitLabReviewForge(
            settings.gitlab_url,
            token,
            brief=brief,
            allow_http=settings.allow_http,
            patience=settings.forge_patience,
        )
    local = LocalConnection.read(connection_file(settings))
    if local is None:
        raise WrongUse(
            "no forge is set and no local one was started",
            hint="run `mergewright serve --local PATH` in another terminal, or set GITLAB_URL and GITLAB_TOKEN",
        )
    if role == "reviewer" and not local.reviewer_token:
        raise WrongUse("the local forge has no reviewer yet", hint="end `mergewright serve` and start it again")
    tokens = {"developer": local.bot_token, "reviewer": local.reviewer_token, "person": local.person_token}
    return GitLabReviewForge(local.url, tokens[role], brief=brief, patience=settings.forge_patience)


async def reach(settings: Settings, forge: "GitLabReviewForge") -> "ForgeStatus":
    """Ask the forge who we are, with one more try at most: who starts something wants to hear soon that it is down.

    What runs later waits for a forge that is gone for a while.
    """
    patient, forge.patience = forge.patience, replace(forge.patience, retries=1)
    try:
        return await forge.status()
    except Unreachable as error:
        if settings.gitlab_url:
            raise
        raise Unreachable(
            f"the local forge at `{forge.url}` gives no answer",
            hint="run `mergewright serve --local PATH` in another terminal",
        ) from error
    finally:
        forge.patience = patient
