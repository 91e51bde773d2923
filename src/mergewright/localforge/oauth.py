"""OAuth: people let an application act for them. https://docs.gitlab.com/api/oauth2/"""

import base64
import hashlib
import re
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from hmac import compare_digest
from typing import Any
from urllib.parse import unquote_plus, urlencode, urlsplit

from sqlalchemy import select, update
from sqlalchemy.orm import Session
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response

from mergewright.localforge import access
from mergewright.localforge.errors import Refused, unauthorized
from mergewright.localforge.instance import Instance
from mergewright.localforge.login_tables import Application, Grant, OAuthToken
from mergewright.localforge.logins import OLD, Login, login_of, own_form, show, to_sign_in
from mergewright.localforge.wire.users import user_self

CODE_LASTS = 600.0
TOKEN_LASTS = 7_200.0
SCOPES = (*access.SCOPES, "openid", "profile", "email")
Values = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Asked:
    """What an application asks a person for, checked."""

    application: Application
    redirect_uri: str
    scopes: list[str]
    state: str
    challenge: str

    def led(self, **answer: str) -> Response:
        """Lead the browser back to the application with an answer."""
        joined = "&" if urlsplit(self.redirect_uri).query else "?"
        query = urlencode(answer | ({"state": self.state} if self.state else {}))
        return RedirectResponse(f"{self.redirect_uri}{joined}{query}", status_code=303)


class Declined(Exception):
    """An application asked for something that its own address is told about."""

    def __init__(self, asked: Asked, error: str, description: str) -> None:
        super().__init__(description)
        self.answer = asked.led(error=error, error_description=description)


# --- the leave of a person ---------------------------------------------------------------------


def answer_authorize(instance: Instance, request: Request, values: Values) -> Response:
    """Ask the person for leave, or take their answer."""
    with instance.write() as session:
        try:
            asked = _asked(session, values)
            login = login_of(session, request)
            if login is None:
                return to_sign_in(request) if request.method == "GET" else _wrong(session, OLD, status=403)
            if request.method == "GET":
                if asked.application.trusted:
                    return asked.led(code=_new_code(session, asked, login))
                return _consent(session, asked, login, values)
            if not own_form(request, values.get("csrf"), login.csrf):
                return _wrong(session, OLD, status=403)
            if str(values.get("allow") or "") != "1":
                return asked.led(error="access_denied", error_description="The resource owner denied the request.")
            return asked.led(code=_new_code(session, asked, login))
        except Declined as declined:
            return declined.answer
        except Refused as refused:
            # Whoever made this address is not known: nobody is sent on by it.
            return _wrong(session, str(refused.body.get("error_description", "")), status=refused.status)


def _asked(session: Session, values: Values) -> Asked:
    application = _application(session, str(values.get("client_id") or ""))
    redirect_uri = str(values.get("redirect_uri") or "")
    if redirect_uri not in application.redirect_uris:
        raise _error(400, "invalid_redirect_uri", "The redirect URI included is not valid.")
    scopes = str(values.get("scope") or "").split() or application.scopes[:1]
    challenge = str(values.get("code_challenge") or "")
    asked = Asked(application, redirect_uri, scopes, str(values.get("state") or "")[:2000], challenge)
    if values.get("response_type") != "code":
        raise Declined(asked, "unsupported_response_type", "Only the response type `code` is known.")
    if set(scopes) - set(application.scopes):
        raise Declined(asked, "invalid_scope", "The requested scope is invalid, unknown, or malformed.")
    if challenge and values.get("code_challenge_method") != "S256":
        raise Declined(asked, "invalid_request", "The code challenge method must be S256.")
    if challenge and not re.fullmatch(r"[\w-]{43}", challenge, re.ASCII):
        raise Declined(asked, "invalid_request", "The code challenge is none.")
    if not challenge and not application.confidential:
        raise Declined(asked, "invalid_request", "An application without a secret needs a code challenge.")
    return asked


def _consent(session: Session, asked: Asked, login: Login, values: Values) -> Response:
    kept = ("client_id", "redirect_uri", "response_type", "scope", "state", "code_challenge", "code_challenge_method")
    hidden = {name: str(values[name]) for name in kept if values.get(name)}
    return show(
        session,
        "authorize.html",
        title="Authorize",
        login=login,
        asked=asked,
        where="{0.scheme}://{0.netloc}".format(urlsplit(asked.redirect_uri)),
        hidden=hidden,
    )


def _new_code(session: Session, asked: Asked, login: Login) -> str:
    value = secrets.token_hex(32)
    grant = Grant(
        application_id=asked.application.id,
        user_id=login.user.id,
        digest=access.digest(value),
        redirect_uri=asked.redirect_uri,
        scopes=asked.scopes,
        challenge=asked.challenge,
        expires_at=time.time() + CODE_LASTS,
    )
    session.add(grant)
    return value


def _wrong(session: Session, error: str, *, status: int) -> Response:
    return show(session, "authorize_wrong.html", status=status, title="This cannot be authorized", error=error)


# --- tokens ------------------------------------------------------------------------------------


def answer_token(instance: Instance, request: Request, values: Values) -> Response:
    """Change a code, or a token that renews, into a token."""
    with instance.write() as session:
        try:
            application = _proved(session, request, values)
            kind = values.get("grant_type")
            if kind == "authorization_code":
                return _redeem(session, application, values)
            if kind == "refresh_token":
                return _renew(session, application, str(values.get("refresh_token") or ""))
            raise _error(400, "unsupported_grant_type", "The authorization grant type is not supported.")
        except Refused as refused:
            # What was ended by a code that came twice stays ended: the transaction is kept.
            return JSONResponse(refused.body, refused.status, {"Cache-Control": "no-store"})


def _redeem(session: Session, application: Application, values: Values) -> Response:
    digest = access.digest(str(values.get("code") or ""))
    grant = session.scalar(select(Grant).where(Grant.digest == digest))
    if grant is None or grant.application_id != application.id:
        raise _invalid_grant()
    if grant.used:
        _end(session, grant.id)
        raise _invalid_grant()
    verifier = str(values.get("code_verifier") or "")
    proof = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).decode().rstrip("=")
    grant.used = True
    if (
        grant.expires_at < time.time()
        or values.get("redirect_uri") != grant.redirect_uri
        or (grant.challenge and not compare_digest(proof, grant.challenge))
        or (verifier and not grant.challenge)
    ):
        raise _invalid_grant()
    return _new_token(session, grant.id, application.id, grant.user_id, grant.scopes)


def _renew(session: Session, application: Application, value: str) -> Response:
    row = session.scalar(select(OAuthToken).where(OAuthToken.refresh_digest == access.digest(value)))
    if row is None or row.application_id != application.id:
        raise _invalid_grant()
    if row.revoked:
        _end(session, row.grant_id)
        raise _invalid_grant()
    row.revoked = True
    return _new_token(session, row.grant_id, application.id, row.user_id, row.scopes)


def _new_token(session: Session, grant: int, application: int, user: int, scopes: list[str]) -> Response:
    value, refresh, now = secrets.token_hex(32), secrets.token_hex(32), time.time()
    row = OAuthToken(
        application_id=application,
        user_id=user,
        grant_id=grant,
        digest=access.digest(value),
        refresh_digest=access.digest(refresh),
        scopes=scopes,
        created_at=now,
        expires_at=now + TOKEN_LASTS,
    )
    session.add(row)
    told = {
        "access_token": value,
        "token_type": "Bearer",
        "expires_in": int(TOKEN_LASTS),
        "refresh_token": refresh,
        "scope": " ".join(scopes),
        "created_at": int(now),
    }
    return JSONResponse(told, headers={"Cache-Control": "no-store"})


def _end(session: Session, grant: int) -> None:
    session.execute(update(OAuthToken).where(OAuthToken.grant_id == grant).values(revoked=True))


def answer_revoke(instance: Instance, request: Request, values: Values) -> Response:
    """End a token, and what renews it."""
    with instance.write() as session:
        try:
            application = _proved(session, request, values)
        except Refused as refused:
            body = {"error": "unauthorized_client", "error_description": refused.body["error_description"]}
            return JSONResponse(body, 403)
        digest = access.digest(str(values.get("token") or ""))
        here = (OAuthToken.digest == digest) | (OAuthToken.refresh_digest == digest)
        session.execute(
            update(OAuthToken).where(here, OAuthToken.application_id == application.id).values(revoked=True)
        )
    return JSONResponse({})


def answer_info(instance: Instance, request: Request, _: Values) -> Response:
    """Say whose a token is, and for how long."""
    with instance.read() as session:
        row = _live(session, request)
        told = {
            "resource_owner_id": row.user_id,
            "scope": row.scopes,
            "expires_in": max(0, int(row.expires_at - time.time())),
            "application": {"uid": row.application.uid},
            "created_at": int(row.created_at),
        }
    return JSONResponse(told)


def answer_userinfo(instance: Instance, request: Request, _: Values) -> Response:
    """Say who somebody is, as OpenID has it."""
    with instance.read() as session:
        row = _live(session, request)
        if not {"openid", "read_user", "read_api", "api"} & set(row.scopes):
            raise access.insufficient_scope("openid")
        user = user_self(instance, row.user)
        told = {
            "sub": str(user["id"]),
            "name": user["name"],
            "nickname": user["username"],
            "preferred_username": user["username"],
            "email": user["email"],
            "email_verified": True,
            "profile": user["web_url"],
            "groups": [],
        }
    return JSONResponse(told)


def _live(session: Session, request: Request) -> OAuthToken:
    value = access.sent_token(request.headers, {}) or ""
    row = access.oauth_token(session, value)
    if row is None:
        raise unauthorized()
    return row


# --- applications ------------------------------------------------------------------------------


def _proved(session: Session, request: Request, values: Values) -> Application:
    """The application that asks, which has proved itself where it has a secret."""
    uid, secret = str(values.get("client_id") or ""), str(values.get("client_secret") or "")
    kind, _, text = request.headers.get("authorization", "").partition(" ")
    if kind.lower() == "basic":
        try:
            name, _, word = base64.b64decode(text, validate=True).decode().partition(":")
        except ValueError as error:
            raise _invalid_client() from error
        uid, secret = unquote_plus(name), unquote_plus(word)
    application = _application(session, uid)
    right = compare_digest(access.digest(secret), application.secret_digest)
    # Without a secret, what proves the application is the verifier of its own code, or its own renewing token.
    if (application.confidential or secret) and not right:
        raise _invalid_client()
    return application


def _application(session: Session, uid: str) -> Application:
    row = session.scalar(select(Application).where(Application.uid == uid))
    if row is None:
        raise _invalid_client()
    return row


def new_application(
    session: Session, name: str, redirect_uris: list[str], *, scopes: list[str], confidential: bool, trusted: bool
) -> tuple[Application, str]:
    """Register an application; its secret is shown this once."""
    for address in redirect_uris:
        parts = urlsplit(address)
        wrong = parts.scheme not in {"http", "https"} or not parts.hostname or parts.fragment or "@" in parts.netloc
        if wrong or not address.isascii() or not address.isprintable() or {" ", "\\", ";"} & set(address):
            raise Refused(400, {"message": {"redirect_uri": ["must be an absolute URI."]}})
    if not redirect_uris or not scopes or set(scopes) - set(SCOPES):
        raise Refused(400, {"error": "redirect_uri is missing" if not redirect_uris else "scopes is invalid"})
    secret = f"gloas-{secrets.token_hex(32)}"
    row = Application(
        uid=secrets.token_hex(32),
        secret_digest=access.digest(secret) if confidential else "",
        name=name,
        redirect_uris=redirect_uris,
        scopes=scopes,
        confidential=confidential,
        trusted=trusted,
    )
    session.add(row)
    session.flush()
    return row, secret if confidential else ""


def _invalid_client() -> Refused:
    return _error(401, "invalid_client", "Client authentication failed: it is not known, or its secret is wrong.")


def _invalid_grant() -> Refused:
    text = "The provided authorization grant is invalid, expired, revoked, or was issued to another client."
    return _error(400, "invalid_grant", text)


def _error(status: int, error: str, description: str) -> Refused:
    return Refused(status, {"error": error, "error_description": description})
