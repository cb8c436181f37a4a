"""SQLAlchemy models of accounts and keys, for cold paths; the tables are created by `migrations/`."""

from datetime import datetime
from typing import Any, ClassVar
from uuid import UUID

from advanced_alchemy.base import AdvancedDeclarativeBase, BasicAttributes, create_registry
from sqlalchemy import Boolean, DateTime, ForeignKey, LargeBinary, SmallInteger, Text, func
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column

SCHEMA = "cv"


class Base(BasicAttributes, AdvancedDeclarativeBase):
    """Tables of the schema `cv`."""

    __abstract__ = True
    __table_args__: ClassVar[Any] = {"schema": SCHEMA}
    registry = create_registry()


class Account(Base):
    """A person, a program or the system itself. Its wallet has the same id."""

    __tablename__ = "account"

    id: Mapped[UUID] = mapped_column(primary_key=True, server_default=func.gen_random_uuid())
    kind: Mapped[str] = mapped_column(Text)
    email: Mapped[str | None] = mapped_column(Text)
    name: Mapped[str | None] = mapped_column(Text)
    password_hash: Mapped[str | None] = mapped_column(Text)
    tier: Mapped[int] = mapped_column(SmallInteger, default=1)
    admin: Mapped[bool] = mapped_column(Boolean, default=False)
    suspended: Mapped[bool] = mapped_column(Boolean, default=False)
    token_epoch: Mapped[int] = mapped_column(default=0)
    # When the e-mail address was verified.
    verified_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    verification_due: Mapped[bool] = mapped_column(Boolean, default=False)  # free credits wait for it
    created_at: Mapped[datetime] = mapped_column(
        DateTime(timezone=True), server_default=func.clock_timestamp()
    )


class ApiKey(Base):
    """A key of an account: found by `digest`, revealed from `sealed`."""

    __tablename__ = "api_key"

    id: Mapped[UUID] = mapped_column(primary_key=True, server_default=func.gen_random_uuid())
    account: Mapped[UUID] = mapped_column(ForeignKey(f"{SCHEMA}.account.id"))
    name: Mapped[str] = mapped_column(Text)
    prefix: Mapped[str] = mapped_column(Text)
    digest: Mapped[bytes] = mapped_column(LargeBinary, unique=True)
    sealed: Mapped[bytes | None] = mapped_column(LargeBinary)
    scopes: Mapped[list[str]] = mapped_column(ARRAY(Text), default=list)
    created_at: Mapped[datetime] = mapped_column(
        DateTime(timezone=True), server_default=func.clock_timestamp()
    )
    last_used_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    expires_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    revoked_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    personal: Mapped[bool] = mapped_column(Boolean, default=False)
