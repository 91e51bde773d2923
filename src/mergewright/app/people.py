"""Who asks: a person proves who they are with their own token of the forge, which is never logged."""

import hashlib
import re
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field

from mergewright.domain.errors import Forbidden, NotFound, Unauthorized
from mergewright.domain.forge import AccessLevel, Forge, User

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


@dataclass(slots=True)
class People:
    """Finds out who asks and what they may see."""

    open_forge: Callable[[str], AbstractContextManager[Forge]]
    """Opens the forge with a person's token, and closes it."""
    forge: Forge
    """The forge as the reviewer sees it."""
    _known: dict[str, tuple[float, User]] = field(default_factory=dict)

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

    async def may_read(self, person: Person, project: str, *, what: str = "") -> None:
        """Raise NotFound for a project that the person does not see, as for one that is not there.

        `what` names the thing of that project that was asked for: not even its project is told.
        """
        try:
            with self.open_forge(person.token) as forge:
                await forge.project(project)
        except NotFound as error:
            if not what:
                raise
            raise NotFound(f"there is no {what}") from error

    async def level(self, person: Person, project: str) -> AccessLevel:
        """Give the person's role in a project."""
        return await self.forge.access_level(project, person.user.id)

    async def at_least(self, person: Person, project: str, role: AccessLevel) -> None:
        """Raise NotFound for a project that the person does not see, Forbidden where their role is less."""
        await self.may_read(person, project)
        if await self.level(person, project) < role:
            name = role.name.title()
            raise Forbidden(f"this takes the role {name} or more", hint="ask a maintainer of the project")
