"""The rows of sign-ins: who is signed in with a browser, and what applications were given."""

from sqlalchemy import ForeignKey
from sqlalchemy.orm import Mapped, mapped_column, relationship

from mergewright.localforge.clock import now
from mergewright.localforge.tables import Table, User


class BrowserLogin(Table):
    """Somebody who is signed in with a browser."""

    __tablename__ = "browser_logins"
    id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    digest: Mapped[str] = mapped_column(unique=True)
    """SHA-256 of the cookie; the cookie itself is never stored."""
    created_at: Mapped[float]
    seen_at: Mapped[float]
    user: Mapped[User] = relationship(lazy="joined", innerjoin=True)


class SignInLink(Table):
    """An address that signs somebody in, once."""

    __tablename__ = "sign_in_links"
    id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    digest: Mapped[str] = mapped_column(unique=True)
    expires_at: Mapped[float]


class Application(Table):
    """A program that people let act for them."""

    __tablename__ = "oauth_applications"
    id: Mapped[int] = mapped_column(primary_key=True)
    uid: Mapped[str] = mapped_column(unique=True)
    secret_digest: Mapped[str] = mapped_column(default="")
    name: Mapped[str]
    redirect_uris: Mapped[list[str]]
    scopes: Mapped[list[str]]
    confidential: Mapped[bool] = mapped_column(default=True)
    trusted: Mapped[bool] = mapped_column(default=False)
    """Whether nobody is asked for leave."""
    created_at: Mapped[str] = mapped_column(default=now)


class Grant(Table):
    """A code that an application may change into a token, once."""

    __tablename__ = "oauth_grants"
    id: Mapped[int] = mapped_column(primary_key=True)
    application_id: Mapped[int] = mapped_column(ForeignKey("oauth_applications.id", ondelete="CASCADE"))
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    digest: Mapped[str] = mapped_column(unique=True)
    redirect_uri: Mapped[str]
    scopes: Mapped[list[str]]
    challenge: Mapped[str]
    """SHA-256 of what only the application knows, as PKCE writes it; empty where it proves itself by a secret."""
    expires_at: Mapped[float]
    used: Mapped[bool] = mapped_column(default=False)
    application: Mapped[Application] = relationship()


class OAuthToken(Table):
    """A token of an application, with the one that renews it."""

    __tablename__ = "oauth_tokens"
    id: Mapped[int] = mapped_column(primary_key=True)
    application_id: Mapped[int] = mapped_column(ForeignKey("oauth_applications.id", ondelete="CASCADE"))
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    grant_id: Mapped[int] = mapped_column(ForeignKey("oauth_grants.id", ondelete="CASCADE"))
    """All that came from one leave: a token that is shown twice ends them all."""
    digest: Mapped[str] = mapped_column(unique=True)
    refresh_digest: Mapped[str] = mapped_column(unique=True)
    scopes: Mapped[list[str]]
    created_at: Mapped[float]
    expires_at: Mapped[float]
    revoked: Mapped[bool] = mapped_column(default=False)
    user: Mapped[User] = relationship(lazy="joined", innerjoin=True)
    application: Mapped[Application] = relationship()
