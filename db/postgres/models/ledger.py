"""The ledger: wallets, transfers, checkpoints, prices, operations."""

from datetime import date, datetime
from typing import Any, ClassVar
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    Boolean,
    Date,
    ForeignKey,
    Identity,
    Index,
    Integer,
    LargeBinary,
    SmallInteger,
    Text,
    UniqueConstraint,
    column,
    table,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from db.postgres.models.base import BUCKET, COUNT, MICRO, MOVED, SAID, SCHEMA, USER_TYPE, Base


class Wallet(Base):
    """An account's buckets of micro-credits, and the head of its chain of transfers."""

    __tablename__ = "wallet"

    owner: Mapped[UUID] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(USER_TYPE)
    tier: Mapped[int] = mapped_column(SmallInteger, ForeignKey(f"{SCHEMA}.plan.tier"))
    monthly: Mapped[int | None] = mapped_column(MICRO)
    next_tier: Mapped[int | None] = mapped_column(SmallInteger, ForeignKey(f"{SCHEMA}.plan.tier"))
    next_monthly: Mapped[int | None] = mapped_column(MICRO)
    unlimited: Mapped[bool] = mapped_column(Boolean, server_default=text("false"))
    closed: Mapped[bool] = mapped_column(Boolean, server_default=text("false"))
    period: Mapped[date] = mapped_column(Date)
    seq: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))
    head: Mapped[bytes] = mapped_column(LargeBinary, server_default=text("'\\x00'::bytea"))
    issued: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))
    free: Mapped[int] = mapped_column(MICRO, server_default=text("0"))
    paid: Mapped[int] = mapped_column(MICRO, server_default=text("0"))
    held: Mapped[int] = mapped_column(MICRO, server_default=text("0"))
    spent: Mapped[int] = mapped_column(MICRO, server_default=text("0"))
    expired: Mapped[int] = mapped_column(MICRO, server_default=text("0"))
    open_jobs: Mapped[int] = mapped_column(COUNT, server_default=text("0"))
    next_at: Mapped[datetime] = mapped_column(server_default=text("'-infinity'::timestamp with time zone"))


class Transfer(Base):
    """One append-only movement between two buckets of a wallet."""

    __tablename__ = "transfer"
    __table_args__: ClassVar[Any] = (
        UniqueConstraint("owner", "ref", "slot", name="transfer_owner_ref_slot_key"),
        {"schema": SCHEMA},
    )

    owner: Mapped[UUID] = mapped_column(primary_key=True)
    seq: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    ref: Mapped[UUID] = mapped_column()
    slot: Mapped[int] = mapped_column(SmallInteger)
    src: Mapped[str] = mapped_column(BUCKET)
    dst: Mapped[str] = mapped_column(BUCKET)
    amount: Mapped[int] = mapped_column(MOVED)
    bucket: Mapped[str] = mapped_column(BUCKET)
    period: Mapped[date] = mapped_column(Date)
    actor: Mapped[str] = mapped_column(SAID)
    reason: Mapped[str] = mapped_column(SAID)
    at: Mapped[datetime] = mapped_column()
    hash: Mapped[bytes] = mapped_column(LargeBinary)


class Checkpoint(Base):
    """The balances and the head of a wallet at a transfer, as audited."""

    __tablename__ = "checkpoint"

    owner: Mapped[UUID] = mapped_column(primary_key=True)
    seq: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    head: Mapped[bytes] = mapped_column(LargeBinary)
    issued: Mapped[int] = mapped_column(BigInteger)
    free: Mapped[int] = mapped_column(BigInteger)
    paid: Mapped[int] = mapped_column(BigInteger)
    held: Mapped[int] = mapped_column(BigInteger)
    spent: Mapped[int] = mapped_column(BigInteger)
    expired: Mapped[int] = mapped_column(BigInteger)
    at: Mapped[datetime] = mapped_column(server_default=text("clock_timestamp()"))


class Price(Base):
    """A version of the price book."""

    __tablename__ = "price"

    version: Mapped[int] = mapped_column(Integer, Identity(always=True), primary_key=True)
    kind: Mapped[str] = mapped_column(Text)
    engine: Mapped[str] = mapped_column(Text)
    unit: Mapped[str] = mapped_column(Text)
    amount: Mapped[int] = mapped_column(MICRO)
    valid_from: Mapped[datetime] = mapped_column()
    at: Mapped[datetime] = mapped_column(server_default=text("clock_timestamp()"))
    ref: Mapped[UUID] = mapped_column(unique=True)
    actor: Mapped[str] = mapped_column(SAID)
    reason: Mapped[str] = mapped_column(SAID)


class AdminAct(Base):
    """An operation of an administrator, for the audit."""

    __tablename__ = "admin_act"
    __table_args__: ClassVar[Any] = (
        Index("admin_act_at", text("at DESC")),
        Index("admin_act_owner", "owner", text("at DESC")),
        {"schema": SCHEMA},
    )

    ref: Mapped[UUID] = mapped_column(primary_key=True)
    at: Mapped[datetime] = mapped_column(server_default=text("clock_timestamp()"))
    actor: Mapped[str] = mapped_column(SAID)
    act: Mapped[str] = mapped_column(Text)
    owner: Mapped[UUID | None] = mapped_column()
    reason: Mapped[str] = mapped_column(SAID)
    details: Mapped[dict[str, Any]] = mapped_column(JSONB, server_default=text("'{}'::jsonb"))


# Views: an account's balance as it is now, whatever the month; and the prices in force.
BALANCE = table(
    "balance",
    *map(column, ("plan", "tier", "monthly", "free", "paid", "held", "unlimited", "closed", "resets_at")),
    column("owner"),
    schema=SCHEMA,
)
PRICE_NOW = table("price_now", column("version"), schema=SCHEMA)
