"""The database's content after the storm: every job, transfer and wallet, read with plain queries."""

from datetime import date
from typing import Any

import psycopg
from msgspec import Struct
from psycopg.rows import class_row

_JOBS = b"""SELECT id::text, owner::text, coalesce(params ->> 'text', '') AS text, state, hold, price,
  object, audio_bytes FROM cv.job"""
_TRANSFERS = b"""SELECT owner::text, seq, ref::text, slot, src::text, dst::text, amount, bucket::text, period,
  reason FROM cv.transfer ORDER BY owner, seq"""
_WALLETS = b"""SELECT w.owner::text, w.unlimited, coalesce(w.monthly, p.monthly) AS monthly, w.period,
  cv.month() AS month, w.seq, w.issued, w.free, w.paid, w.held, w.spent, w.expired
  FROM cv.wallet w JOIN cv.plan p USING (tier)"""
_OPEN = b"SELECT count(*) FROM cv.job WHERE state IN ('queued', 'processing')"


class Job(Struct, frozen=True):
    """A job as it ended."""

    id: str
    owner: str
    text: str
    state: str
    hold: int
    price: int | None
    object: str | None
    audio_bytes: int | None


class Transfer(Struct, frozen=True):
    """One entry of an owner's journal."""

    owner: str
    seq: int
    ref: str
    slot: int
    src: str
    dst: str
    amount: int
    bucket: str
    period: date
    reason: str


class Wallet(Struct, frozen=True):
    """An owner's balances as the database keeps them."""

    owner: str
    unlimited: bool
    monthly: int
    period: date
    month: date  # of the ledger's clock
    seq: int
    issued: int
    free: int
    paid: int
    held: int
    spent: int
    expired: int


class Record(Struct, frozen=True):
    """The whole content."""

    jobs: dict[str, Job]
    transfers: list[Transfer]
    wallets: dict[str, Wallet]


def read(url: str) -> Record:
    """Read everything in one snapshot. Raises psycopg.Error."""
    with psycopg.connect(url) as connection:
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        return Record(
            jobs={job.id: job for job in _rows(connection, Job, _JOBS)},
            transfers=_rows(connection, Transfer, _TRANSFERS),
            wallets={wallet.owner: wallet for wallet in _rows(connection, Wallet, _WALLETS)},
        )


def open_jobs(url: str) -> int:
    """The number of jobs that have not ended. Raises psycopg.Error."""
    with psycopg.connect(url, connect_timeout=2) as connection:
        row = connection.execute(_OPEN).fetchone()
    return row[0] if row else 0


def _rows(connection: psycopg.Connection[Any], kind: Any, statement: bytes) -> list[Any]:
    with connection.cursor(row_factory=class_row(kind)) as cursor:
        return cursor.execute(statement).fetchall()
