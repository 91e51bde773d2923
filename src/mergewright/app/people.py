"""Who asks: a person proves who they are with their own token of the forge, which is never logged."""

import hashlib
import re
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from math import ceil
from typing import TYPE_CHECKING

from mergewright.app.logins import Logins, csrf_of, ended
from mergewright.app.rates import Rate
from mergewright.domain.errors import Forbidden, NotFound, TooMany, Unauthorized, Unreachable
from mergewright.domain.forge import AccessLevel, Forge, Project, User

if TYPE_CHECKING:
    from starlette.requests import HTTPConnection

KNOWN = 60.0
"""Seconds for which a token's owner is not asked for again."""
MOST = 1_000


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody who asks, with the token that shows what they may see."""

    user: User
    token: str = field(repr=False)
    csrf: str = field(default="", repr=False)
    """What a form of theirs must carry; empty for one who came with a token and no cookie."""
    in_person: bool = False
    """Whether they signed in at GitLab themselves: who came with a token does what the token may, and no more."""


@dataclass(slots=True)
class People:
    """Finds out who asks and what they may see."""

    open_forge: Callable[[str], AbstractContextManager[Forge]]
    """Opens the forge with a person's token, and closes it."""
    forge: Forge
    """The forge as the reviewer sees it."""
    logins: Logins | None = None
    """Who is signed in with a browser; None where nobody can be."""
    rate: Rate = field(default_factory=lambda: Rate(150, 10.0))
    """Requests of one person: 150, and 15 more each second."""
    _known: dict[str, tuple[float, User]] = field(default_factory=dict)

    async def of(self, request: "HTTPConnection") -> Person:
        """Give the person who asks, by the token or the cookie of a request; raises Unauthorized."""
        authorization = request.headers.get("authorization", "")
        private_token = request.headers.get("private-token", "")
        cookie = request.cookies.get(self.logins.cookie, "") if self.logins else ""
        if authorization or private_token or not cookie or self.logins is None:
            person = await self.who(authorization, private_token)
        else:
            person = await self._signed_in(self.logins, cookie)
        if waits := self.rate.take(person.user.id):
            raise TooMany("too many requests", hint=f"wait {ceil(waits)} seconds")
        return person

    async def _signed_in(self, logins: Logins, cookie: str) -> Person:
        login = await logins.of(cookie)
        try:
            person = await self.who("", login.token)
        except Unauthorized as error:
            # Revoked on the forge: the cookie is worth no more than the token behind it.
            await logins.kept.end(login.id)
            raise ended() from error
        if person.user.id != login.user_id:
            await logins.kept.end(login.id)
            raise ended()
        return Person(person.user, login.token, csrf_of(cookie), in_person=bool(login.refresh))

    def forget(self, token: str) -> None:
        """Ask the forge again whose a token is."""
        self._known.pop(hashlib.sha256(token.encode()).hexdigest(), None)

    async def who(self, authorization: str, private_token: str) -> Person:
        """Give the person behind a header's token; raises Unauthorized."""
        match = re.fullmatch(r"Bearer\s+(\S{8,256})", authorization, re.IGNORECASE)
        token = match[1] if match else private_token
        if not token or not token.isascii() or len(token) > 256:
            raise Unauthorized("no token", hint="send your GitLab token as `Authorization: Bearer …`")
        key = hashlib.sha256(token.encode()).hexdigest()
        at, user = self._known.get(key, (0.0, None))
        if user is None or time.monotonic() - at > KNOWN:
            with self.open_forge(token) as forge:
                user = (await forge.status()).user
            if len(self._known) >= MOST:
                self._known.clear()
            self._known[key] = (time.monotonic(), user)
        return Person(user, token)

    async def may_read(self, person: Person, project: str, *, what: str = "", code: bool = False) -> str:
        """Give a project's path as the forge writes it: one in other letters would go past the project's policy.

        Raises NotFound for a project that the person does not see, as for one that is not there; with `code` also
        where they do not see its code. `what` names what was asked for: then not even the project is told.
        """
        try:
            with self.open_forge(person.token) as forge:
                found = await forge.project(project)
                if code:
                    await _see_code(forge, found)
                return found.path_with_namespace
        except NotFound as error:
            if not what:
                raise
            raise NotFound(f"there is no {what}") from error

    async def level(self, person: Person, project: str) -> AccessLevel:
        """Give the person's role in a project."""
        try:
            return await self.forge.access_level(project, person.user.id)
        except Unauthorized as error:
            # Our own token, not the person's: to sign in again would not help them.
            raise Unreachable("the forge no longer takes the server's own token", hint="tell who runs it") from error

    async def at_least(self, person: Person, project: str, role: AccessLevel) -> str:
        """Give a project's path as `may_read` does; raises Forbidden where the person's role is less."""
        path = await self.may_read(person, project)
        if await self.level(person, path) < role:
            name = role.name.title()
            raise Forbidden(f"this takes the role {name} or more", hint="ask a maintainer of the project")
        return path


async def _see_code(forge: Forge, project: Project) -> None:
    """Raise NotFound where the forge shows a project, but not its code: a guest of a private one."""
    try:
        await forge.branch(project.path_with_namespace, project.default_branch or "main")
    except Forbidden as error:
        raise NotFound(f"there is no project `{project.path_with_namespace}` whose code you can see") from error
