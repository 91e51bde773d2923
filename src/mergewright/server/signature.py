"""Whether a webhook comes from the forge that it says it comes from."""

import base64
import binascii
import hashlib
import hmac
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
        if not self.token and not self.signing_key:
            return "this server has no secret for webhooks"
        if self.signing_key:
            return _signed(self.signing_key, headers, body, now)
        given = headers.get("x-gitlab-token", "")
        return "" if hmac.compare_digest(given.encode(), self.token.encode()) else "wrong token"

    def identity(self, headers: Mapping[str, str]) -> str:
        """Give what names a delivery over all its tries: where it is signed, only a name that is signed too."""
        names = ("webhook-id",) if self.signing_key else ("idempotency-key", "webhook-id", "x-gitlab-event-uuid")
        return next((headers[name][:200] for name in names if headers.get(name)), "")


def _signed(key: str, headers: Mapping[str, str], body: bytes, now: float) -> str:
    identity, stamp = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    if not identity or not (stamp.isascii() and stamp.isdigit()):
        return "not signed"
    if abs(now - int(stamp)) > WINDOW:
        return "signed at another time"
    try:
        secret = base64.b64decode(key.removeprefix("whsec_"), validate=True)
    except binascii.Error:
        return "this server's signing key is no base64"
    signed = hmac.new(secret, f"{identity}.{stamp}.".encode() + body, hashlib.sha256).digest()
    wanted = f"v1,{base64.b64encode(signed).decode()}".encode()
    # Several signatures stand side by side while a key is changed.
    given = headers.get("webhook-signature", "").split()
    return "" if any([hmac.compare_digest(one.encode(), wanted) for one in given]) else "wrong signature"
