"""Job functions of the workers: claim, renew, finish, sweep, retention, and publishing engines. Blocking."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

import msgspec
import psycopg

from db.postgres.queries import query
from db.types import UNSHARED, Capabilities, Claimed, Finished, Params, Shares, SpeechParams

WorkerConnection = psycopg.Connection[tuple[Any, ...]]
Way = WorkerConnection | psycopg.Cursor[tuple[Any, ...]]  # a reused cursor caches types it has read
_Row = tuple[UUID, int, str, str, bool, str, float, UUID]
_UNREAD = SpeechParams(text="", voice="", language="")


class _Origin(msgspec.Struct):
    request_id: str = ""
    cost_us: int | None = None


def worker_connection(url: str, *, application_name: str) -> WorkerConnection:
    """A blocking connection in autocommit mode: each statement, thus each ledger function, is one commit.

    Parameters are $1, $2 …, as with asyncpg. For one thread.
    """
    return psycopg.connect(
        url,
        autocommit=True,
        prepare_threshold=1,
        cursor_factory=psycopg.RawCursor,
        application_name=application_name,
        options="-c statement_timeout=30s -c lock_timeout=5s",
        connect_timeout=5,
        keepalives_idle=5,
        keepalives_interval=2,
        keepalives_count=3,
        tcp_user_timeout=10_000,
    )


def claim(
    connection: Way,
    *,
    engine: str,
    params: type[Params] = SpeechParams,
    lane: str | None,
    mixed: bool,
    limit: int,
    worker: str,
    lease_s: float,
    shares: Shares = UNSHARED,
    live_only: bool = False,
) -> list[Claimed]:
    """Claim up to `limit` queued jobs in fair order; each is leased, with a new attempt number.

    All are of `lane` if given; else of one lane (the first job's), or of any lanes if `mixed`. `params`: the
    type of the engine's job params. `live_only`: only live jobs, of any lane. While other accounts wait, an
    account above its share comes after them.
    """
    values = (engine, lane, mixed, live_only, limit, *_share(shares), worker, timedelta(seconds=lease_s))
    return [_claimed(row, params) for row in connection.execute(query("claim"), values).fetchall()]


def claim_beyond(
    connection: Way,
    *,
    engine: str,
    params: type[Params],
    limit: int,
    characters_max: int | None,
    worker: str,
    lease_s: float,
) -> list[Claimed]:
    """Claim the next job of each of up to `limit` accounts that have no running job on this engine.

    The jobs have at most `characters_max` characters, if given.
    """
    values = (engine, limit, characters_max, worker, timedelta(seconds=lease_s))
    return [_claimed(row, params) for row in connection.execute(query("claim_beyond"), values).fetchall()]


def correct_costs(connection: Way, more_us: Mapping[UUID, int]) -> None:
    """Delay owners' later jobs by the engine time (in us, by job) their jobs took beyond the estimate."""
    connection.execute(query("correct_costs"), (list(more_us), list(more_us.values())))


def _share(shares: Shares) -> tuple[int, int]:
    return shares.slots, shares.percent


def _claimed(row: _Row, params: type[Params]) -> Claimed:
    """A claimed job. An undecodable row becomes unreadable, so that the others, now leased, are not lost."""
    job, attempt, lane, text, live, kind, waited_s, owner = row
    claimed = Claimed(
        id=job,
        attempt=attempt,
        owner=owner,
        lane=lane,
        params=_UNREAD,
        live=live,
        kind=kind,
        waited_s=waited_s,
    )
    change = msgspec.structs.replace
    try:
        origin = msgspec.json.decode(text, type=_Origin)
        read = msgspec.json.decode(text, type=params)
        return change(claimed, params=read, request_id=origin.request_id, cost_us=origin.cost_us)
    except msgspec.DecodeError:
        return change(claimed, readable=False)


def renew(
    connection: Way, held: Sequence[tuple[UUID, int]], *, worker: str, lease_s: float
) -> set[tuple[UUID, int]]:
    """Renew the leases of `held` (id, attempt); return those still held. The rest were cancelled or lost."""
    ids, attempts = [job for job, _ in held], [attempt for _, attempt in held]
    rows = connection.execute(query("renew"), (ids, attempts, worker, timedelta(seconds=lease_s))).fetchall()
    last = dict(sorted(held))  # of several attempts at a job, only the last can still be held
    return {(row[0], last[row[0]]) for row in rows}


def finish(
    connection: Way, ended: Sequence[Finished], *, worker: str, tries_max: int, keep_s: int
) -> dict[tuple[UUID, int], str]:
    """End attempts and settle jobs in one commit: attempt → completed, failed, queued (again) or fenced."""
    ending = (*_fields(ended), worker, tries_max, timedelta(seconds=keep_s))
    rows = connection.execute(query("finish"), ending).fetchall()
    return _fenced(ended) | {(id, n): result for id, n, result in rows}


def finish_and_claim(
    connection: Way,
    ended: Sequence[Finished],
    *,
    worker: str,
    tries_max: int,
    keep_s: int,
    engine: str,
    params: type[Params],
    limit: int,
    lease_s: float,
    shares: Shares = UNSHARED,
) -> tuple[dict[tuple[UUID, int], str], list[Claimed]]:
    """`finish`, and `claim` of jobs of any lane, in one commit."""
    ending = (*_fields(ended), worker, tries_max, timedelta(seconds=keep_s))
    claiming = (engine, limit, *_share(shares), timedelta(seconds=lease_s))
    rows = connection.execute(query("finish_and_claim"), (*ending, *claiming)).fetchall()
    results = {(id, n): result for id, n, result, *_ in rows if result}
    claimed = [_claimed((id, n, *job), params) for id, n, result, *job in rows if not result]
    return _fenced(ended) | results, claimed


def _fields(ended: Sequence[Finished]) -> Sequence[object]:
    """One column for each field of `Finished`."""
    return [[getattr(end, field) for end in ended] for field in Finished.__struct_fields__]


def _fenced(ended: Sequence[Finished]) -> dict[tuple[UUID, int], str]:
    return {(end.id, end.attempt): "fenced" for end in ended}


def sweep(connection: Way, *, tries_max: int, limit: int) -> list[tuple[UUID, str, str, str]]:
    """Recover jobs whose lease or waiting time has expired: (id, engine, queued | failed | expired, kind)."""
    return connection.execute(query("sweep"), (tries_max, limit)).fetchall()


def expired_audio(connection: Way, *, limit: int) -> list[tuple[UUID, str]]:
    """(job, key) of objects past their retention time: delete them, then call `forget_audio`."""
    return connection.execute(query("old_audio"), (limit,)).fetchall()


def forget_audio(connection: Way, jobs: Sequence[UUID]) -> None:
    """Clear the keys of deleted objects, and the texts of their jobs."""
    connection.execute(query("forget_audio"), (list(jobs),))


def named_objects(connection: Way, keys: Sequence[str]) -> set[str]:
    """Those of `keys` that finished jobs refer to."""
    return {row[0] for row in connection.execute(query("named_objects"), (list(keys),)).fetchall()}


def upload_jobs(connection: Way, jobs: Sequence[UUID], *, keep_s: int) -> dict[UUID, bool]:
    """Of the existing `jobs`, whether each still needs its upload: it is open, or ended within `keep_s`."""
    rows = connection.execute(query("upload_jobs"), (list(jobs), timedelta(seconds=keep_s))).fetchall()
    return dict(rows)


def orphans(connection: Way, objects: Sequence[tuple[str, UUID]]) -> list[str]:
    """Of `objects` (key, job), the keys no job will ever refer to. Unknown jobs' objects are left out."""
    keys, jobs = [key for key, _ in objects], [job for _, job in objects]
    return [row[0] for row in connection.execute(query("orphans"), (keys, jobs)).fetchall()]


def forget_texts(connection: Way, *, keep_s: int, limit: int) -> None:
    """Clear the texts of jobs that ended without a result `keep_s` ago."""
    connection.execute(query("forget_texts"), (timedelta(seconds=keep_s), limit))


def forget_keys(connection: Way, *, limit: int) -> None:
    """Delete Idempotency-Keys that are a day old."""
    connection.execute(query("forget_keys"), (limit,))


def waiting(connection: Way, *, engine: str, limit: int) -> int:
    """Queued jobs of `engine`, counted up to `limit`."""
    row = connection.execute(query("waiting"), (engine, limit)).fetchone()
    return row[0] if row else 0


def publish(connection: Way, capabilities: Capabilities, *, worker: str) -> None:
    """Publish an engine to the API server, and mark its worker as seen now."""
    text = msgspec.json.encode(capabilities).decode()
    connection.execute(query("publish"), (capabilities.engine, worker, text))


def retire(connection: Way, *, engine: str, worker: str) -> None:
    """Mark a worker as stopped; its engine's capabilities are kept until another worker publishes."""
    connection.execute(query("retire"), (engine, worker))
