"""Who is signed in with a browser: cookies only as their SHA-256, tokens only encrypted."""

import base64
import hashlib
import json
import secrets
import time
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import sqlalchemy as sa

from mergewright.store.keys import read_key
from mergewright.store.sql import SqlStore

if TYPE_CHECKING:
    from cryptography.fernet import Fernet

LASTS = 7 * 86_400.0
"""Seconds after which somebody signs in again, whatever they did."""
IDLE = 86_400.0
"""Seconds without a request after which somebody signs in again."""
SIGN_IN_LASTS = 600.0
"""Seconds for which a sign-in that was begun can be finished."""
SEEN_EVERY = 60.0
RENEWING_LASTS = 30.0
"""Seconds after which a process that began to renew a token counts as gone."""

_tables = sa.MetaData()
LOGINS = sa.Table(
    "logins",
    _tables,
    sa.Column("id", sa.Text),
    sa.Column("user_id", sa.BigInteger),
    sa.Column("username", sa.Text),
    sa.Column("tokens", sa.Text),
    sa.Column("expires_at", sa.Double),
    sa.Column("created_at", sa.Double),
    sa.Column("seen_at", sa.Double),
    sa.Column("renewing_at", sa.Double),
)
SIGN_INS = sa.Table(
    "sign_ins",
    _tables,
    sa.Column("id", sa.Text),
    sa.Column("browser", sa.Text),
    sa.Column("body", sa.Text),
    sa.Column("at", sa.Double),
)


@dataclass(frozen=True, slots=True)
class Login:
    """One browser in which somebody is signed in."""

    id: str
    user_id: int
    username: str
    token: str = field(repr=False)
    refresh: str = field(repr=False, default="")
    """Renews the token; empty for a personal one."""
    expires_at: float = 0.0
    """When the token ends; 0 where that is not known."""


@dataclass(frozen=True, slots=True)
class SignIn:
    """A sign-in that was begun at the forge."""

    verifier: str = field(repr=False)
    back: str


class SqlLogins:
    """Logins in the same database as sessions."""

    def __init__(self, store: SqlStore, key_file: Path) -> None:
        self._store = store
        self._key_file = key_file

    @cached_property
    def _fernet(self) -> "Fernet":
        from cryptography.fernet import Fernet

        return Fernet(base64.urlsafe_b64encode(read_key(self._key_file)))

    def _sealed(self, first: str, second: str) -> str:
        return self._fernet.encrypt(json.dumps([first, second]).encode()).decode()

    def _opened(self, text: str) -> tuple[str, str] | None:
        """What was sealed; None where the key is another one now."""
        from cryptography.fernet import InvalidToken

        try:
            first, second = json.loads(self._fernet.decrypt(text))
            return str(first), str(second)
        except InvalidToken:
            return None

    # --- logins --------------------------------------------------------------------------------

    async def add(
        self, *, user_id: int, username: str, token: str, refresh: str = "", expires_at: float = 0.0, old: str = ""
    ) -> str:
        """Keep a login and give the cookie for it, which was never used before; `old` is the one it replaces."""
        cookie, now = secrets.token_urlsafe(32), time.time()
        row = LOGINS.insert().values(
            id=hashed(cookie),
            user_id=user_id,
            username=username,
            tokens=self._sealed(token, refresh),
            expires_at=expires_at,
            created_at=now,
            seen_at=now,
            renewing_at=0.0,
        )
        stale = (LOGINS.c.created_at < now - LASTS) | (LOGINS.c.seen_at < now - IDLE) | (LOGINS.c.id == hashed(old))

        def keep(connection: sa.Connection) -> None:
            connection.execute(LOGINS.delete().where(stale))
            connection.execute(row)

        await self._store.run(keep)
        return cookie

    async def find(self, cookie: str) -> Login | None:
        """Give the login of a cookie; None for one that nobody knows, or that has ended."""
        here, now = LOGINS.c.id == hashed(cookie), time.time()

        def read(connection: sa.Connection) -> sa.Row[tuple[object, ...]] | None:
            row = connection.execute(LOGINS.select().where(here)).first()
            if row is None:
                return None
            if row.created_at < now - LASTS or row.seen_at < now - IDLE:
                connection.execute(LOGINS.delete().where(here))
                return None
            if row.seen_at < now - SEEN_EVERY:
                connection.execute(LOGINS.update().where(here).values(seen_at=now))
            return row

        row = await self._store.run(read)
        if row is None:
            return None
        tokens = self._opened(row.tokens)
        return Login(row.id, row.user_id, row.username, *tokens, row.expires_at) if tokens else None

    async def renew(self, login: Login) -> bool:
        """Whether it is this process that renews the login's token: a token that renews works only once."""
        now = time.time()
        here = (LOGINS.c.id == login.id) & (LOGINS.c.renewing_at < now - RENEWING_LASTS)
        query = LOGINS.update().where(here, LOGINS.c.expires_at == login.expires_at).values(renewing_at=now)
        return await self._store.run(lambda connection: connection.execute(query).rowcount == 1)

    async def renewed(self, login: Login, *, token: str, refresh: str, expires_at: float) -> None:
        """Keep a renewed token."""
        values = {"tokens": self._sealed(token, refresh), "expires_at": expires_at, "renewing_at": 0.0}
        query = LOGINS.update().where(LOGINS.c.id == login.id).values(**values)
        await self._store.run(lambda connection: connection.execute(query))

    async def not_renewed(self, login: Login) -> None:
        """Let the next request try again."""
        query = LOGINS.update().where(LOGINS.c.id == login.id).values(renewing_at=0.0)
        await self._store.run(lambda connection: connection.execute(query))

    async def end(self, login_id: str) -> None:
        """Forget a login."""
        query = LOGINS.delete().where(LOGINS.c.id == login_id)
        await self._store.run(lambda connection: connection.execute(query))

    # --- sign-ins ------------------------------------------------------------------------------

    async def begin(self, state: str, *, browser: str, verifier: str, back: str) -> None:
        """Keep a sign-in that is begun, for the browser that begins it."""
        now = time.time()
        row = SIGN_INS.insert().values(
            id=hashed(state), browser=hashed(browser), body=self._sealed(verifier, back), at=now
        )

        def keep(connection: sa.Connection) -> None:
            connection.execute(SIGN_INS.delete().where(SIGN_INS.c.at < now - SIGN_IN_LASTS))
            connection.execute(row)

        await self._store.run(keep)

    async def finish(self, state: str, *, browser: str) -> SignIn | None:
        """Give a sign-in that this browser began; it is given only once."""
        here = SIGN_INS.c.id == hashed(state)

        def take(connection: sa.Connection) -> sa.Row[tuple[object, ...]] | None:
            row = connection.execute(SIGN_INS.select().where(here)).first()
            # Who deletes it is the one who has it, whatever else reads at the same time.
            return row if connection.execute(SIGN_INS.delete().where(here)).rowcount == 1 else None

        row = await self._store.run(take)
        if row is None or row.at < time.time() - SIGN_IN_LASTS or row.browser != hashed(browser):
            return None
        opened = self._opened(row.body)
        return SignIn(*opened) if opened else None


def hashed(secret: str) -> str:
    """Give what is stored of a cookie: who reads the database cannot sign in by it."""
    return hashlib.sha256(secret.encode()).hexdigest()
