"""Who is asking, and what may they do."""

import base64
import binascii
import hashlib
import secrets
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from fnmatch import fnmatchcase

from sqlalchemy import select
from sqlalchemy.orm import Session

from mergewright.localforge.errors import Refused, unauthorized
from mergewright.localforge.login_tables import OAuthToken
from mergewright.localforge.tables import Member, Project, ProtectedBranch, Token, User

GUEST, REPORTER, DEVELOPER, MAINTAINER, OWNER = 10, 20, 30, 40, 50
SCOPES = ("api", "read_api", "read_user", "read_repository", "write_repository", "sudo", "ai_workflows")


def digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def new_token(
    session: Session, user: User, *, scopes: Sequence[str], name: str, expires_at: str | None = None
) -> tuple[Token, str]:
    """Make a token; its value is returned once and kept nowhere."""
    value = f"glpat-{secrets.token_urlsafe(24)}"
    row = Token(user_id=user.id, name=name, digest=digest(value), scopes=list(scopes), expires_at=expires_at)
    session.add(row)
    session.flush()
    return row, value


def find_token(session: Session, value: str) -> Token:
    """The live token with this value; anything else is a 401."""
    row = session.scalar(select(Token).where(Token.digest == digest(value)))
    if row is None and (given := oauth_token(session, value)):
        # Its own kind of row, and never stored: it only says whose the token is and what it may do.
        name = f"{given.application.name} (OAuth)"
        return Token(id=0, user_id=given.user_id, user=given.user, name=name, scopes=given.scopes, revoked=False)
    if row is None or row.revoked or not active(row):
        raise unauthorized()
    return row


def oauth_token(session: Session, value: str) -> OAuthToken | None:
    """The live token that an application was given with this value."""
    row = session.scalar(select(OAuthToken).where(OAuthToken.digest == digest(value)))
    return None if row is None or row.revoked or row.expires_at <= time.time() else row


def active(token: Token) -> bool:
    expired = token.expires_at is not None and token.expires_at <= datetime.now(UTC).date().isoformat()
    return not token.revoked and not expired


def sent_token(headers: Mapping[str, str], query: Mapping[str, object]) -> str | None:
    """The token a request carries, from the places GitLab looks in."""
    if value := headers.get("private-token") or headers.get("job-token"):
        return value
    kind, _, value = headers.get("authorization", "").partition(" ")
    if kind.lower() == "bearer" and value:
        return value.strip()
    in_query = query.get("private_token") or query.get("access_token")
    return in_query if isinstance(in_query, str) else None


def basic_password(headers: Mapping[str, str]) -> str | None:
    """The password of HTTP Basic; git sends the token there, with any user name."""
    kind, _, value = headers.get("authorization", "").partition(" ")
    if kind.lower() != "basic":
        return None
    try:
        user, _, password = base64.b64decode(value, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError) as error:
        raise unauthorized() from error
    return password or user


def check_scope(token: Token, *, method: str, path: str) -> None:
    """Refuse what the token's scopes do not cover."""
    scopes = set(token.scopes)
    reading = method in {"GET", "HEAD"}
    if "api" in scopes or (reading and "read_api" in scopes):
        return
    if "ai_workflows" in scopes and (reading or path.startswith("/ai/")):
        return
    if reading and "read_user" in scopes and path.split("/")[1] in {"user", "users"}:
        return
    if path == "/personal_access_tokens/self":
        return
    raise insufficient_scope("api" if not reading else "api read_api")


def insufficient_scope(needed: str) -> Refused:
    return Refused(
        403,
        {
            "error": "insufficient_scope",
            "error_description": "The request requires higher privileges than provided by the access token.",
            "scope": needed,
        },
    )


def access_level(session: Session, project: Project, user: User | None) -> int:
    """A user's level in a project: 0 for a stranger, Owner for administrators."""
    return effective(user, own_level(session, project, user))


def effective(user: User | None, own: int | None) -> int:
    """What the level that a user was given in a project comes to."""
    return OWNER if user is not None and user.admin else own or 0


def own_level(session: Session, project: Project, user: User | None) -> int | None:
    """The level that a user was given in a project itself; None for no member."""
    if user is None:
        return None
    return session.scalar(select(Member.access_level).where(Member.project_id == project.id, Member.user_id == user.id))


def can_see(project: Project, user: User | None, level: int) -> bool:
    return level >= GUEST or project.visibility == "public" or (project.visibility == "internal" and user is not None)


def can_read_code(project: Project, user: User | None, level: int) -> bool:
    """A guest sees a private project's issues, but not its code."""
    return level >= REPORTER or (project.visibility != "private" and can_see(project, user, level))


def protection(session: Session, project: Project, branch: str) -> ProtectedBranch | None:
    """The rule that protects a branch, if any."""
    rules = session.scalars(select(ProtectedBranch).where(ProtectedBranch.project_id == project.id))
    return next((rule for rule in rules if rule.name == branch or fnmatchcase(branch, rule.name)), None)


def may_push(session: Session, project: Project, level: int, branch: str) -> bool:
    rule = protection(session, project, branch)
    return _reaches(level, rule.push_access_level if rule else DEVELOPER)


def may_merge(session: Session, project: Project, level: int, branch: str) -> bool:
    rule = protection(session, project, branch)
    return _reaches(level, rule.merge_access_level if rule else DEVELOPER)


def _reaches(level: int, needed: int) -> bool:
    # 0 is GitLab's "No one", not "everyone".
    return needed > 0 and level >= max(DEVELOPER, needed)
