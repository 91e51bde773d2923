import base64
import hashlib
import hmac

import pytest

from mergewright.server.signature import Secrets

KEY = "whsec_" + base64.b64encode(b"k" * 24).decode()
BODY = b'{"object_kind": "note"}'


def signed(
    *, stamp: int = 1_000, body: bytes = BODY, key: bytes = b"k" * 24, identity: str = "msg_1"
) -> dict[str, str]:
    made = hmac.new(key, f"{identity}.{stamp}.".encode() + body, hashlib.sha256).digest()
    signature = f"v1,{base64.b64encode(made).decode()}"
    return {"webhook-id": identity, "webhook-timestamp": str(stamp), "webhook-signature": signature}


def test_the_right_token_is_taken_and_any_other_refused() -> None:
    secrets = Secrets(token="s3cret")
    assert secrets.accept({"x-gitlab-token": "s3cret"}, BODY, now=0) == ""
    assert secrets.accept({"x-gitlab-token": "s3cre"}, BODY, now=0) == "wrong token"
    assert secrets.accept({}, BODY, now=0) == "wrong token"


def test_without_a_secret_nothing_is_taken() -> None:
    assert Secrets().accept({"x-gitlab-token": ""}, BODY, now=0)


def test_a_delivery_signed_with_the_key_is_taken() -> None:
    assert Secrets(signing_key=KEY).accept(signed(), BODY, now=1_010) == ""


def test_one_good_signature_among_several_is_enough() -> None:
    headers = signed()
    headers["webhook-signature"] = f"v1,AAAA {headers['webhook-signature']} v2,x"
    assert Secrets(signing_key=KEY).accept(headers, BODY, now=1_010) == ""


@pytest.mark.parametrize(
    ("headers", "body", "now"),
    [
        (signed(key=b"x" * 24), BODY, 1_000),
        (signed(), BODY + b" ", 1_000),
        (signed(), BODY, 1_301),
        (signed(stamp=2_000), BODY, 1_000),
        ({**signed(), "webhook-id": "msg_2"}, BODY, 1_000),
        ({**signed(), "webhook-timestamp": "x"}, BODY, 1_000),
        ({**signed(), "webhook-timestamp": "²"}, BODY, 1_000),
        ({**signed(), "webhook-timestamp": "9" * 5_000}, BODY, 1_000),
        ({}, BODY, 1_000),
    ],
)
def test_a_delivery_that_was_not_signed_so_is_refused(headers: dict[str, str], body: bytes, now: float) -> None:
    assert Secrets(signing_key=KEY, token="t").accept({"x-gitlab-token": "t", **headers}, body, now=now)


def test_a_signed_delivery_is_known_by_its_signed_name_alone() -> None:
    headers = {"idempotency-key": "another each time", "webhook-id": "msg_1"}
    assert Secrets(signing_key=KEY).identity(headers) == "msg_1"
    assert Secrets(token="t").identity(headers) == "another each time"
    assert Secrets(token="t").identity({"x-gitlab-event-uuid": "u"}) == "u"
    assert Secrets(token="t").identity({}) == ""
