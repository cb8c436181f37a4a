"""Jobs, engines, and what is kept for fair shares and storage."""

from datetime import datetime, timedelta
from typing import Any, ClassVar
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    Boolean,
    ForeignKey,
    Index,
    Integer,
    Interval,
    LargeBinary,
    Text,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from db.postgres.models.base import BUCKET, JOB_STATE, MICRO, SCHEMA, Base


class Job(Base):
    """A job of any kind, from its submission to its end."""

    __tablename__ = "job"
    __table_args__: ClassVar[Any] = (
        Index("job_audio", "audio_until", postgresql_where=text("(object IS NOT NULL)")),
        Index("job_deadline", "deadline", postgresql_where=text("((state)::text = 'queued'::text)")),
        Index(
            "job_lane", "engine", "lane", "fair_at", postgresql_where=text("((state)::text = 'queued'::text)")
        ),
        Index("job_lease", "lease", postgresql_where=text("((state)::text = 'processing'::text)")),
        Index(
            "job_live",
            "engine",
            "fair_at",
            postgresql_where=text(
                "(live AND ((state)::text = ANY (ARRAY['queued'::text, 'processing'::text])))"
            ),
        ),
        Index(
            "job_owner",
            "owner",
            text("created_at DESC"),
            postgresql_include=["kind", "state", "price", "refunded"],
        ),
        Index("job_ready", "engine", "fair_at", postgresql_where=text("((state)::text = 'queued'::text)")),
        Index(
            "job_text",
            "finished_at",
            postgresql_where=text("((code IS NOT NULL) AND ((params ->> 'text'::text) <> ''::text))"),
        ),
        Index(
            "job_waiting",
            "engine",
            "owner",
            "fair_at",
            postgresql_where=text("((state)::text = 'queued'::text)"),
        ),
        {"schema": SCHEMA},
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    owner: Mapped[UUID] = mapped_column()
    kind: Mapped[str] = mapped_column(Text)
    engine: Mapped[str] = mapped_column(Text)
    lane: Mapped[str] = mapped_column(Text)
    params: Mapped[dict[str, Any]] = mapped_column(JSONB)
    characters: Mapped[int] = mapped_column(Integer)
    hold: Mapped[int] = mapped_column(MICRO)
    tariff: Mapped[int | None] = mapped_column(Integer)
    price: Mapped[int | None] = mapped_column(MICRO)
    bucket: Mapped[str | None] = mapped_column(BUCKET)
    remaining: Mapped[int] = mapped_column(BigInteger)
    split: Mapped[bool] = mapped_column(Boolean, server_default=text("false"))
    state: Mapped[str] = mapped_column(JOB_STATE, server_default=text("'queued'::text"))
    attempt: Mapped[int] = mapped_column(Integer, server_default=text("0"))
    tries: Mapped[int] = mapped_column(Integer, server_default=text("0"))
    worker: Mapped[str | None] = mapped_column(Text)
    lease: Mapped[datetime | None] = mapped_column()
    not_before: Mapped[datetime] = mapped_column(server_default=text("'-infinity'::timestamp with time zone"))
    fair_at: Mapped[datetime] = mapped_column()
    deadline: Mapped[datetime] = mapped_column()
    created_at: Mapped[datetime] = mapped_column(server_default=text("clock_timestamp()"))
    started_at: Mapped[datetime | None] = mapped_column()
    finished_at: Mapped[datetime | None] = mapped_column()
    code: Mapped[str | None] = mapped_column(Text)
    object: Mapped[str | None] = mapped_column(Text)
    content_type: Mapped[str | None] = mapped_column(Text)
    audio_bytes: Mapped[int | None] = mapped_column(BigInteger)
    duration_ms: Mapped[int | None] = mapped_column(BigInteger)
    sha256: Mapped[bytes | None] = mapped_column(LargeBinary)
    audio_until: Mapped[datetime | None] = mapped_column()
    api_key: Mapped[UUID | None] = mapped_column()
    live: Mapped[bool] = mapped_column(Boolean, server_default=text("false"))
    heard: Mapped[bool] = mapped_column(Boolean, server_default=text("false"))
    given_ms: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))
    refunded: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))
    overheard: Mapped[bool] = mapped_column(Boolean, server_default=text("false"))


class Idempotency(Base):
    """A client's Idempotency-Key and the job it created."""

    __tablename__ = "idempotency"
    __table_args__: ClassVar[Any] = (Index("idempotency_at", "at"), {"schema": SCHEMA})

    owner: Mapped[UUID] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(Text, primary_key=True)
    fingerprint: Mapped[bytes] = mapped_column(LargeBinary)
    job: Mapped[UUID] = mapped_column(ForeignKey(f"{SCHEMA}.job.id"))
    at: Mapped[datetime] = mapped_column(server_default=text("clock_timestamp()"))


class Engine(Base):
    """What a worker publishes of its engine."""

    __tablename__ = "engine"

    name: Mapped[str] = mapped_column(Text, primary_key=True)
    worker: Mapped[str] = mapped_column(Text, primary_key=True)
    capabilities: Mapped[dict[str, Any]] = mapped_column(JSONB)
    seen_at: Mapped[datetime] = mapped_column(server_default=text("clock_timestamp()"))


class BrokenStream(Base):
    """A stream that was interrupted and refunded."""

    __tablename__ = "broken_stream"
    __table_args__: ClassVar[Any] = (
        Index("broken_stream_at", "at"),
        Index("broken_stream_owner", "owner", "at"),
        {"schema": SCHEMA},
    )

    job: Mapped[UUID] = mapped_column(primary_key=True)
    owner: Mapped[UUID] = mapped_column()
    at: Mapped[datetime] = mapped_column(server_default=text("cv.now()"))
    planned: Mapped[bool] = mapped_column(Boolean, server_default=text("false"))


class LostWorker(Base):
    """A worker whose leases expired."""

    __tablename__ = "lost_worker"
    __table_args__: ClassVar[Any] = (Index("lost_worker_at", "at"), {"schema": SCHEMA})

    worker: Mapped[str] = mapped_column(Text, primary_key=True)
    at: Mapped[datetime] = mapped_column(server_default=text("cv.now()"))


class Correction(Base):
    """How much later an account's jobs come, by what its earlier ones took."""

    __tablename__ = "correction"

    owner: Mapped[UUID] = mapped_column(primary_key=True)
    engine: Mapped[str] = mapped_column(Text, primary_key=True)
    later: Mapped[timedelta] = mapped_column(Interval)
    since: Mapped[datetime | None] = mapped_column()
    done_at: Mapped[datetime] = mapped_column()


class Stored(Base):
    """How many bytes an account keeps in the store."""

    __tablename__ = "stored"

    owner: Mapped[UUID] = mapped_column(primary_key=True)
    bytes: Mapped[int] = mapped_column(BigInteger)


class ExpectedStore(Base):
    """Bytes set aside for a result that is not stored yet."""

    __tablename__ = "expected_store"
    __table_args__: ClassVar[Any] = (Index("expected_store_owner", "owner"), {"schema": SCHEMA})

    job: Mapped[UUID] = mapped_column(primary_key=True)
    owner: Mapped[UUID] = mapped_column()
    bytes: Mapped[int] = mapped_column(BigInteger)
    at: Mapped[datetime] = mapped_column(server_default=text("clock_timestamp()"))
