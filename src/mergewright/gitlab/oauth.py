"""Sign-in with GitLab: the authorization code flow with PKCE. https://docs.gitlab.com/api/oauth2/"""

import base64
import hashlib
import time
from dataclasses import dataclass, field
from urllib.parse import urlencode

from mergewright.domain.errors import Unauthorized, Unreachable, WrongUse
from mergewright.gitlab.address import forge_address, is_loopback

SCOPE = "read_api"
"""The least that shows which projects somebody may see, and who they are."""
SECONDS = 15.0
LARGEST = 64 * 1024


@dataclass(frozen=True, slots=True)
class Tokens:
    """What GitLab gives for a code."""

    token: str = field(repr=False)
    refresh: str = field(repr=False)
    expires_at: float


class OAuth:
    """An application as GitLab knows it."""

    def __init__(self, url: str, client_id: str, secret: str, *, allow_http: bool) -> None:
        self.url = forge_address(url, allow_http=allow_http)
        self._id = client_id
        self._secret = secret

    def address(self, *, redirect_uri: str, state: str, verifier: str) -> str:
        """Give the address at which somebody lets us read for them."""
        asked = {
            "client_id": self._id,
            "redirect_uri": redirect_uri,
            "response_type": "code",
            "state": state,
            "scope": SCOPE,
            "code_challenge": challenge(verifier),
            "code_challenge_method": "S256",
        }
        return f"{self.url}/oauth/authorize?{urlencode(asked)}"

    async def redeem(self, code: str, *, redirect_uri: str, verifier: str) -> Tokens:
        """Change a code into tokens; raises Unauthorized for one that does not count."""
        given = {"grant_type": "authorization_code", "code": code, "code_verifier": verifier}
        return await self._tokens(given | {"redirect_uri": redirect_uri})

    async def renew(self, refresh: str, *, redirect_uri: str) -> Tokens:
        """Give new tokens for the one that renews; raises Unauthorized where it was revoked."""
        return await self._tokens(
            {"grant_type": "refresh_token", "refresh_token": refresh, "redirect_uri": redirect_uri}
        )

    async def revoke(self, token: str) -> None:
        """End a token."""
        await self._ask("revoke", {"token": token})

    async def _tokens(self, given: dict[str, str]) -> Tokens:
        told = await self._ask("token", given)
        token, refresh, lasts = told.get("access_token"), told.get("refresh_token"), told.get("expires_in")
        if not isinstance(token, str) or not token:
            raise Unreachable("GitLab's answer to the sign-in makes no sense", hint="try again")
        until = time.time() + lasts if isinstance(lasts, int | float) and lasts > 0 else 0.0
        return Tokens(token, refresh if isinstance(refresh, str) else "", until)

    async def _ask(self, what: str, given: dict[str, str]) -> dict[str, object]:
        import httpx2

        secret = {"client_secret": self._secret} if self._secret else {}
        try:
            # A redirect is not followed: it would carry secrets to wherever it points.
            # Reading the machine's certificates takes long: only where there is something to check with them.
            async with httpx2.AsyncClient(
                timeout=SECONDS, trust_env=not is_loopback(self.url), verify=not self.url.startswith("http:")
            ) as client:
                answer = await client.post(f"{self.url}/oauth/{what}", data={"client_id": self._id} | secret | given)
        except httpx2.HTTPError as error:
            raise Unreachable(f"the forge at `{self.url}` gives no answer", hint="try again") from error
        if answer.status_code >= 500 or answer.status_code == 429 or len(answer.content) > LARGEST:
            raise Unreachable(f"the forge at `{self.url}` gives no answer that helps", hint="try again")
        try:
            told = answer.json()
        except ValueError as error:
            raise Unreachable(f"the forge at `{self.url}` gives no answer that helps", hint="try again") from error
        if not isinstance(told, dict):
            told = {}
        if told.get("error") in {"invalid_client", "unauthorized_client"}:
            raise WrongUse(
                "GitLab does not know this application, or its secret is another one",
                hint="whoever set the server up looks at MERGEWRIGHT_OAUTH_ID and MERGEWRIGHT_OAUTH_SECRET",
            )
        if answer.status_code != 200:
            raise Unauthorized("GitLab did not take this sign-in", hint="sign in again")
        return told


def challenge(verifier: str) -> str:
    """Give what GitLab is told of a verifier before it sees it."""
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).decode().rstrip("=")
