"""Users, tokens and members on the wire."""

import hashlib

from sqlalchemy import select
from sqlalchemy.orm import Session

from mergewright.localforge.access import active
from mergewright.localforge.call import Wire
from mergewright.localforge.instance import Instance
from mergewright.localforge.tables import Member, Token, User


def user_basic(instance: Instance, user: User) -> Wire:
    return {
        "id": user.id,
        "username": user.username,
        "public_email": "",
        "name": user.name,
        "state": "active",
        "locked": False,
        "avatar_url": None,
        "web_url": f"{instance.url}/{user.username}",
    }


def user_public(instance: Instance, user: User) -> Wire:
    return user_basic(instance, user) | {
        "created_at": user.created_at,
        "bio": "",
        "location": "",
        "linkedin": "",
        "twitter": "",
        "discord": "",
        "website_url": "",
        "github": "",
        "job_title": "",
        "pronouns": None,
        "organization": "",
        "bot": user.bot,
        "work_information": None,
        "followers": 0,
        "following": 0,
        "is_followed": False,
        "local_time": None,
    }


def user_self(instance: Instance, user: User) -> Wire:
    """A user as that user (or an administrator) sees it."""
    return user_public(instance, user) | {
        "last_sign_in_at": None,
        "confirmed_at": user.created_at,
        "last_activity_on": None,
        "email": user.email,
        "theme_id": 1,
        "color_scheme_id": 1,
        "projects_limit": 100000,
        "current_sign_in_at": None,
        "identities": [],
        "can_create_group": True,
        "can_create_project": True,
        "two_factor_enabled": False,
        "external": False,
        "private_profile": False,
        "commit_email": user.email,
        "is_admin": user.admin,
        "note": None,
        "namespace_id": user.id,
    }


def users_by_id(session: Session, ids: list[int]) -> list[User]:
    """Users in the order of their ids; ids of nobody are left out."""
    if not ids:
        return []
    found = {user.id: user for user in session.scalars(select(User).where(User.id.in_(ids)))}
    return [found[user_id] for user_id in ids if user_id in found]


def user_or_none(instance: Instance, session: Session, user_id: int | None) -> Wire | None:
    user = session.get(User, user_id) if user_id else None
    return user_basic(instance, user) if user else None


def hook_user(user: User) -> Wire:
    """A user as webhook payloads show it."""
    digest = hashlib.sha256(user.email.encode()).hexdigest()
    return {
        "id": user.id,
        "name": user.name,
        "username": user.username,
        "avatar_url": f"https://www.gravatar.com/avatar/{digest}?s=80&d=identicon",
        "email": "[REDACTED]",
    }


def token_wire(token: Token) -> Wire:
    return {
        "id": token.id,
        "name": token.name,
        "revoked": token.revoked,
        "created_at": token.created_at,
        "description": None,
        "scopes": token.scopes,
        "user_id": token.user_id,
        "last_used_at": None,
        "active": active(token),
        "expires_at": token.expires_at,
    }


def member_wire(instance: Instance, member: Member) -> Wire:
    return user_basic(instance, member.user) | {
        "access_level": member.access_level,
        "created_at": member.created_at,
        "expires_at": member.expires_at,
        "membership_state": "active",
    }
