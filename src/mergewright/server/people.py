"""Who asks: a person proves who they are with their own token of the forge, which is neither kept nor logged."""

import hashlib
import re
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field

from mergewright.domain.errors import Unauthorized
from mergewright.domain.forge import AccessLevel, Forge, User

KNOWN = 60.0
"""Seconds for which a token's owner is not asked for again."""
MOST = 1_000


@dataclass(slots=True)
class People:
    """Finds out who asks and what they may see."""

    open_forge: Callable[[str], AbstractContextManager[Forge]]
    """Opens the forge with a person's token, and closes it."""
    forge: Forge
    """The forge as the reviewer sees it."""
    _known: dict[str, tuple[float, User]] = field(default_factory=dict)

    async def who(self, authorization: str, private_token: str) -> tuple[User, str]:
        """Give the person and the token; raises Unauthorized."""
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
        return user, token

    async def may_read(self, token: str, project: str) -> None:
        """Raise NotFound for a project that the person does not see, as for one that is not there."""
        with self.open_forge(token) as forge:
            await forge.project(project)

    async def level(self, user: User, project: str) -> AccessLevel:
        """Give the person's role in a project."""
        return await self.forge.access_level(project, user.id)
