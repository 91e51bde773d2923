"""Signing in: with GitLab or by a token, kept by a cookie until it ends."""

import asyncio
import hashlib
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from mergewright.app.connect import local_connection
from mergewright.app.settings import Settings
from mergewright.domain.errors import MergewrightError, Unauthorized, WrongUse
from mergewright.store.logins import Login, SqlLogins

if TYPE_CHECKING:
    from mergewright.gitlab.oauth import OAuth

SOON = 60.0
"""Seconds before its end at which a token is renewed."""
RENEWING = 10.0
"""Seconds to wait for another process that renews the same token."""


def application_of(settings: Settings) -> "OAuth | None":
    """Give the application that people sign in through; None where they do so by a token only."""
    from mergewright.gitlab.oauth import OAuth

    if settings.gitlab_url:
        given = settings.gitlab_url, settings.oauth_id, settings.oauth_secret
        return OAuth(*given, allow_http=settings.allow_http) if settings.oauth_id else None
    local = local_connection(settings)
    return OAuth(local.url, local.oauth_id, "", allow_http=False) if local and local.oauth_id else None


@dataclass(slots=True)
class Logins:
    """Signs people in and out, and keeps their tokens fresh."""

    kept: SqlLogins
    url: str
    """The server's public address."""
    application: "Callable[[], OAuth | None]"

    @property
    def secure(self) -> bool:
        return self.url.startswith("https://")

    @property
    def cookie(self) -> str:
        """The name of a login's cookie; on one machine, ports are not told apart by browsers."""
        return "__Host-mergewright" if self.secure else f"mergewright-{urlsplit(self.url).port or 80}"

    @property
    def visit(self) -> str:
        """The name of the cookie of a browser that has begun to sign in."""
        return f"{self.cookie}-visit"

    @property
    def callback(self) -> str:
        return f"{self.url}/sign-in/callback"

    # --- with GitLab ---------------------------------------------------------------------------

    async def begin(self, *, browser: str, back: str) -> str:
        """Give the address at GitLab where somebody signs in; `browser` is the secret of theirs."""
        application = self.application()
        if application is None:
            raise WrongUse("nobody can sign in with GitLab here", hint="sign in with a token")
        state, verifier = secrets.token_urlsafe(32), secrets.token_urlsafe(48)
        await self.kept.begin(state, browser=browser, verifier=verifier, back=back)
        return application.address(redirect_uri=self.callback, state=state, verifier=verifier)

    async def finish(self, code: str, state: str, *, browser: str) -> tuple[Login, str]:
        """Give the tokens of somebody who comes back from GitLab, and where they wanted to go."""
        begun = await self.kept.finish(state, browser=browser)
        application = self.application()
        if begun is None or application is None or not code:
            raise Unauthorized("this sign-in was not begun in this browser, or took too long", hint="sign in again")
        got = await application.redeem(code, redirect_uri=self.callback, verifier=begun.verifier)
        return Login("", 0, "", got.token, got.refresh, got.expires_at), begun.back

    # --- by the cookie -------------------------------------------------------------------------

    async def of(self, cookie: str) -> Login:
        """Give the login of a cookie, with a token that still counts; raises Unauthorized for one that has ended."""
        login = await self.kept.find(cookie)
        if login is None:
            raise ended()
        if not login.expires_at or login.expires_at > time.time() + SOON:
            return login
        return await self._renewed(login, cookie)

    async def _renewed(self, login: Login, cookie: str) -> Login:
        application = self.application()
        if application is None or not login.refresh:
            await self.kept.end(login.id)
            raise ended()
        if not await self.kept.renew(login):
            return await self._renewed_elsewhere(login, cookie)
        try:
            got = await application.renew(login.refresh, redirect_uri=self.callback)
        except Unauthorized as error:
            await self.kept.end(login.id)
            raise ended() from error
        except MergewrightError:
            await self.kept.not_renewed(login)
            raise
        await self.kept.renewed(login, token=got.token, refresh=got.refresh, expires_at=got.expires_at)
        return Login(login.id, login.user_id, login.username, got.token, got.refresh, got.expires_at)

    async def _renewed_elsewhere(self, login: Login, cookie: str) -> Login:
        """Wait for whoever renews it: two at once would end it."""
        until = time.monotonic() + RENEWING
        while time.monotonic() < until:
            found = await self.kept.find(cookie)
            if found is None:
                raise ended()
            if found.expires_at != login.expires_at:
                return found
            if login.expires_at > time.time():
                # It counts for a little longer.
                return login
            await asyncio.sleep(0.1)
        raise ended()

    async def sign_out(self, cookie: str) -> None:
        """Forget a login, and let GitLab forget its token; a personal token stays its owner's."""
        login = await self.kept.find(cookie)
        if login is None:
            return
        await self.kept.end(login.id)
        application = self.application()
        if application is not None and login.refresh:
            await application.revoke(login.token)


def ended() -> Unauthorized:
    """Say that a sign-in has ended."""
    return Unauthorized("your sign-in has ended", hint="sign in again")


def csrf_of(cookie: str) -> str:
    """Give what a form must carry: nobody can know it who does not know the cookie."""
    return hashlib.sha256(f"csrf:{cookie}".encode()).hexdigest()
