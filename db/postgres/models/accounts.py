"""Accounts, their keys and sessions, invitations and plans."""

from datetime import datetime
from typing import Any, ClassVar
from uuid import UUID

from sqlalchemy import (
    Boolean,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    SmallInteger,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column

from db.postgres.models.base import MICRO, SCHEMA, USER_TYPE, Base, Xid8


class Plan(Base):
    """What a tier is called and what it gives a month, in micro-credits."""

    __tablename__ = "plan"

    tier: Mapped[int] = mapped_column(SmallInteger, primary_key=True)
    name: Mapped[str] = mapped_column(Text, unique=True)
    monthly: Mapped[int] = mapped_column(MICRO)


class Account(Base):
    """A person, a program or the system itself. Its wallet has the same id."""

    __tablename__ = "account"
    __table_args__: ClassVar[Any] = (
        UniqueConstraint("email", name="account_email_taken"),
        Index("account_changed", "changed"),
        {"schema": SCHEMA},
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, server_default=text("gen_random_uuid()"))
    kind: Mapped[str] = mapped_column(USER_TYPE)
    email: Mapped[str | None] = mapped_column(Text)
    name: Mapped[str | None] = mapped_column(Text)
    password_hash: Mapped[str | None] = mapped_column(Text)
    tier: Mapped[int] = mapped_column(
        SmallInteger, ForeignKey(f"{SCHEMA}.plan.tier"), default=1, server_default=text("1")
    )
    admin: Mapped[bool] = mapped_column(Boolean, default=False, server_default=text("false"))
    suspended: Mapped[bool] = mapped_column(Boolean, default=False, server_default=text("false"))
    token_epoch: Mapped[int] = mapped_column(Integer, default=0, server_default=text("0"))
    created_at: Mapped[datetime] = mapped_column(server_default=text("clock_timestamp()"))
    # Written by a trigger:
    changed: Mapped[int] = mapped_column(Xid8, server_default=text("'0'::xid8"), deferred=True)
    verified_at: Mapped[datetime | None] = mapped_column()
    verification_due: Mapped[bool] = mapped_column(Boolean, default=False, server_default=text("false"))


class ApiKey(Base):
    """A key of an account: found by `digest`, revealed from `sealed`."""

    __tablename__ = "api_key"
    __table_args__: ClassVar[Any] = (
        Index("api_key_account", "account", "created_at"),
        Index("api_key_changed", "changed"),
        {"schema": SCHEMA},
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, server_default=text("gen_random_uuid()"))
    account: Mapped[UUID] = mapped_column(ForeignKey(f"{SCHEMA}.account.id"))
    name: Mapped[str] = mapped_column(Text)
    prefix: Mapped[str] = mapped_column(Text)
    digest: Mapped[bytes] = mapped_column(LargeBinary, unique=True)
    sealed: Mapped[bytes | None] = mapped_column(LargeBinary)
    scopes: Mapped[list[str]] = mapped_column(ARRAY(Text), default=list, server_default=text("'{}'::text[]"))
    created_at: Mapped[datetime] = mapped_column(server_default=text("clock_timestamp()"))
    last_used_at: Mapped[datetime | None] = mapped_column()
    expires_at: Mapped[datetime | None] = mapped_column()
    revoked_at: Mapped[datetime | None] = mapped_column()
    personal: Mapped[bool] = mapped_column(Boolean, default=False, server_default=text("false"))
    # Written by a trigger:
    changed: Mapped[int] = mapped_column(Xid8, server_default=text("'0'::xid8"), deferred=True)


class Invite(Base):
    """An invitation: how many may sign up with it, with which tier."""

    __tablename__ = "invite"

    digest: Mapped[bytes] = mapped_column(LargeBinary, primary_key=True)
    created_by: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(server_default=text("clock_timestamp()"))
    tier: Mapped[int] = mapped_column(SmallInteger, ForeignKey(f"{SCHEMA}.plan.tier"))
    uses_left: Mapped[int] = mapped_column(Integer)
    expires_at: Mapped[datetime | None] = mapped_column()
    id: Mapped[UUID] = mapped_column(unique=True, server_default=text("gen_random_uuid()"))
    uses: Mapped[int | None] = mapped_column(Integer)
    revoked_at: Mapped[datetime | None] = mapped_column()


class PasswordReset(Base):
    """A token to choose a new password, as a digest."""

    __tablename__ = "password_reset"
    __table_args__: ClassVar[Any] = (
        Index("password_reset_account", "account"),
        Index("password_reset_expires", "expires_at"),
        {"schema": SCHEMA},
    )

    digest: Mapped[bytes] = mapped_column(LargeBinary, primary_key=True)
    account: Mapped[UUID] = mapped_column(ForeignKey(f"{SCHEMA}.account.id"))
    expires_at: Mapped[datetime] = mapped_column()
    by_mail: Mapped[bool] = mapped_column(Boolean, server_default=text("true"))


class EndedSession(Base):
    """A session that was logged out, until its tokens would have expired."""

    __tablename__ = "ended_session"

    account: Mapped[UUID] = mapped_column(ForeignKey(f"{SCHEMA}.account.id"), primary_key=True)
    session: Mapped[UUID] = mapped_column(primary_key=True)
    until: Mapped[datetime] = mapped_column()
