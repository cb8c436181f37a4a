"""Jobs as a worker sees them: claim, renew, finish, sweep; its engine made known. Blocking."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

import msgspec
import psycopg

from db.queries import query
from db.rows import Capabilities, Claimed, Finished, SpeechParams

WorkerConnection = psycopg.Connection[tuple[Any, ...]]


def worker_connection(url: str, *, application_name: str) -> WorkerConnection:
    """A blocking connection in autocommit: each statement, thus each ledger function, is one commit.

    Parameters are $1, $2 …, as in the asyncpg half. For one thread.
    """
    return psycopg.connect(
        url,
        autocommit=True,
        prepare_threshold=1,
        cursor_factory=psycopg.RawCursor,
        application_name=application_name,
        options="-c statement_timeout=30s",
        connect_timeout=5,
    )


def claim(
    connection: WorkerConnection,
    *,
    engine: str,
    lane: str | None,
    mixed: bool,
    limit: int,
    worker: str,
    lease_s: float,
) -> list[Claimed]:
    """Take up to `limit` queued jobs, the fairest first; each comes leased and with a new attempt number.

    Of `lane` where given; else of one lane (that of the fairest job), or of any where `mixed`.
    """
    rows = connection.execute(
        query("claim"), (engine, lane, mixed, limit, worker, timedelta(seconds=lease_s))
    ).fetchall()
    return [
        Claimed(id=id, attempt=attempt, lane=lane, params=msgspec.json.decode(params, type=SpeechParams))
        for id, attempt, lane, params, _ in rows
    ]


def renew(
    connection: WorkerConnection, held: Sequence[tuple[UUID, int]], *, worker: str, lease_s: float
) -> set[UUID]:
    """Renew the leases of `held` (id, attempt); the ids still the worker's. Others: cancelled, lost."""
    ids, attempts = [job for job, _ in held], [attempt for _, attempt in held]
    rows = connection.execute(query("renew"), (ids, attempts, worker, timedelta(seconds=lease_s))).fetchall()
    return {row[0] for row in rows}


def finish(
    connection: WorkerConnection, ended: Sequence[Finished], *, worker: str, tries_max: int, keep_s: int
) -> dict[UUID, str]:
    """End attempts, jobs and credit in one commit: id → completed, failed, queued (again) or fenced."""
    columns = [[getattr(end, field) for end in ended] for field in Finished.__struct_fields__]
    rows = connection.execute(
        query("finish"), (*columns, worker, tries_max, timedelta(seconds=keep_s))
    ).fetchall()
    return {end.id: "fenced" for end in ended} | dict(rows)


def sweep(connection: WorkerConnection, *, tries_max: int, limit: int) -> list[tuple[UUID, str, str]]:
    """Rescue jobs whose lease or waiting time ran out: (id, engine, queued | failed | expired) for each."""
    return connection.execute(query("sweep"), (tries_max, limit)).fetchall()


def forget_audio(connection: WorkerConnection, *, limit: int) -> list[str]:
    """Keys of objects kept past their time, now forgotten by the record: the caller deletes them."""
    return [row[0] for row in connection.execute(query("forget_audio"), (limit,)).fetchall()]


def waiting(connection: WorkerConnection, *, engine: str, limit: int) -> int:
    """Queued jobs of `engine`, counted up to `limit`."""
    row = connection.execute(query("waiting"), (engine, limit)).fetchone()
    return row[0] if row else 0


def publish(connection: WorkerConnection, capabilities: Capabilities, *, worker: str) -> None:
    """Make an engine known to the front door, and its worker seen now."""
    text = msgspec.json.encode(capabilities).decode()
    connection.execute(query("publish"), (capabilities.engine, worker, text))


def retire(connection: WorkerConnection, *, engine: str, worker: str) -> None:
    """Take a worker off the list, unless it is the engine's last: its voices stay known while it restarts."""
    connection.execute(query("retire"), (worker, engine))
