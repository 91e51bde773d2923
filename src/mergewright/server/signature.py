"""Whether a webhook comes from the forge that it says it comes from."""

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

WINDOW = 300.0
"""Seconds by which a signed delivery's time may differ from ours."""


@dataclass(frozen=True, slots=True)
class Secrets:
    """What a delivery proves itself with: a token, or a key that signs it."""

    token: str = field(default="", repr=False)
    """Compared with `X-Gitlab-Token`."""
    signing_key: str = field(default="", repr=False)
    """`whsec_…`, as https://www.standardwebhooks.com has it."""

    def accept(self, headers: Mapping[str, str], body: bytes, *, now: float) -> str:
        """Say why a delivery is refused; empty when it is taken. Header names are in lower case."""
        return self.refuse(headers, now=now) or (_signed(self.signing_key, headers, body) if self.signing_key else "")

    def refuse(self, headers: Mapping[str, str], *, now: float) -> str:
        """Say why a delivery is refused whatever its body is: nobody need wait for that."""
        if not self.token and not self.signing_key:
            return "this server has no secret for webhooks"
        if self.signing_key:
            stamp = headers.get("webhook-timestamp", "")
            if not headers.get("webhook-id") or not re.fullmatch(r"[0-9]{1,18}", stamp):
                return "not signed"
            return "signed at another time" if abs(now - int(stamp)) > WINDOW else ""
        given = headers.get("x-gitlab-token", "")
        return "" if hmac.compare_digest(given.encode(), self.token.encode()) else "wrong token"

    def identity(self, headers: Mapping[str, str]) -> str:
        """Give what names a delivery over all its tries: where it is signed, only a name that is signed too."""
        names = ("webhook-id",) if self.signing_key else ("idempotency-key", "webhook-id", "x-gitlab-event-uuid")
        return next((headers[name][:200] for name in names if headers.get(name)), "")


def _signed(key: str, headers: Mapping[str, str], body: bytes) -> str:
    identity, stamp = headers["webhook-id"], headers["webhook-timestamp"]
    try:
        secret = base64.b64decode(key.removeprefix("whsec_"), validate=True)
    except binascii.Error:
        return "this server's signing key is no base64"
    signed = hmac.new(secret, f"{identity}.{stamp}.".encode() + body, hashlib.sha256).digest()
    wanted = f"v1,{base64.b64encode(signed).decode()}".encode()
    # Several signatures stand side by side while a key is changed.
    given = headers.get("webhook-signature", "").split()
    return "" if any([hmac.compare_digest(one.encode(), wanted) for one in given]) else "wrong signature"
