"""Job functions of the API server: submit, charge, status, listen, cancel. Rules: `migrations/sql/`."""

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

import msgspec

from db.metrics import JOBS
from db.postgres.pool import Connection
from db.postgres.queries import query
from db.types import Charged, JobStatus, NewCharge, NewJob, Progress, Submitted, TranscriptionJob


async def submit(
    connection: Connection, jobs: Sequence[NewJob], *, wait_s_max: int, open_max: int
) -> list[Submitted]:
    """Hold the price of each job and queue it, in one statement; return a result for each, in order.

    Idempotent by job id and by key. `open_max`: unfinished jobs an owner may have. The result of a job that
    cannot be stored is `malformed`; the others are queued.
    """
    columns = zip(*map(_fields, jobs), strict=True)
    limits = (timedelta(seconds=wait_s_max), open_max)
    rows = await connection.fetch(query("submit_batch"), *columns, *limits)
    answers: list[Submitted | None] = [None] * len(jobs)
    for row in rows:
        answers[row["pos"] - 1] = Submitted(
            code=row["code"], id=row["id"], bucket=row["bucket"], remaining=row["remaining"] or 0
        )
    return [answer for answer in answers if answer is not None]


def _fields(job: NewJob) -> Sequence[object]:
    return (
        job.id, job.owner, job.kind, job.engine, job.lane, _params(job), job.hold, job.characters,
        job.cost_us, job.key, job.fingerprint, job.live, job.api_key, job.tariff,
    )  # fmt: skip


def _params(job: NewJob) -> str:
    """The params as JSON, with the request's id and the expected cost. The params of a retried job contain
    these already: the last ones count.
    """
    encoded = msgspec.json.encode(job.params)
    more: dict[str, object] = {"request_id": job.request_id, "cost_us": job.cost_us}
    if job.expected_ms:
        more["expected_ms"] = job.expected_ms
    return (encoded[:-1] + (b"," if encoded != b"{}" else b"") + msgspec.json.encode(more)[1:]).decode()


async def charge(connection: Connection, wanted: NewCharge) -> Charged:
    """Charge work done elsewhere, as a completed job, in one statement. Idempotent by id and by key."""
    (row,) = await connection.fetch(
        query("charge"),
        wanted.id,
        wanted.owner,
        wanted.kind,
        wanted.engine,
        msgspec.json.encode(wanted.params).decode(),
        wanted.price,
        wanted.characters,
        wanted.duration_ms,
        wanted.key,
        wanted.fingerprint,
        None if wanted.key_s is None else timedelta(seconds=wanted.key_s),
        wanted.actor,
        wanted.tariff,
    )
    charged = Charged(**dict(row))
    if charged.code == "charged":
        JOBS.labels(wanted.kind, "completed").inc()
    return charged


async def status(connection: Connection, job: UUID) -> JobStatus | None:
    """What anyone who knows a job's id may see of it; None if there is no such job."""
    (found,) = await statuses(connection, [job])
    return found


async def statuses(connection: Connection, wanted: Sequence[UUID]) -> list[JobStatus | None]:
    """The status of each job, in order, in one round trip."""
    rows = await connection.fetch(query("job_status"), wanted)
    found = {row["id"]: JobStatus(**dict(row)) for row in rows}
    return [found.get(job) for job in wanted]


async def progress(connection: Connection, wanted: Sequence[UUID]) -> list[Progress | None]:
    """What a poll shows of each job, in order, in one round trip."""
    found: list[Progress | None] = [None] * len(wanted)
    for row in await connection.fetch(query("job_progress"), wanted):
        found[row[0] - 1] = Progress(*row[1:])
    return found


async def transcriptions(
    connection: Connection, wanted: Sequence[tuple[UUID, UUID]]
) -> list[TranscriptionJob | None]:
    """The transcription of each (job, owner), in order, in one round trip; None unless it is the owner's."""
    found: list[TranscriptionJob | None] = [None] * len(wanted)
    for row in await connection.fetch(query("transcription_jobs"), *zip(*wanted, strict=True)):
        n, *values = row
        found[n - 1] = TranscriptionJob(**dict(zip(TranscriptionJob.__struct_fields__, values, strict=True)))
    return found


async def cancel(connection: Connection, job: UUID, *, owner: UUID, actor: str) -> str:
    """Cancel an owner's unfinished job: audio delivered to a listener is charged, else its credits return.

    Returns cancelled, too_late or not_found.
    """
    row = await connection.fetchrow(query("cancel"), job, owner, actor)
    assert row is not None
    if row["code"] == "cancelled":
        JOBS.labels(row["kind"], "cancelled").inc()
    return str(row["code"])


async def break_off(connection: Connection, job: UUID, *, owner: UUID, actor: str) -> str:
    """End a job whose stream was interrupted by a failure of ours: it is free, even if it has completed.

    Returns failed, refunded, too_late or not_found.
    """
    return str(await connection.fetchval(query("break_off"), job, owner, actor))


async def live_jobs(connection: Connection, engine: str) -> tuple[list[UUID], int]:
    """The owner of each unfinished live job of an engine, and the number of the engine's workers."""
    row = await connection.fetchrow(query("live_jobs"), engine)
    assert row is not None
    return row["owners"], row["workers"]


async def listen(connection: Connection, job: UUID) -> None:
    """Record that a client listens to an unfinished job, for the worker that claims it."""
    await connection.execute(query("listen"), job)


async def unlisten(connection: Connection, job: UUID) -> None:
    """Record that the last listener of an enqueued job has left."""
    await connection.execute(query("unlisten"), job)


async def record_delivery(connection: Connection, job: UUID, *, attempt: int, given_ms: int) -> str:
    """Record that audio of an attempt is about to be delivered to a listener, `given_ms` in all.

    Returns heard; metered, if further audio must be recorded as well; superseded, if another attempt has
    taken over; else the state in which the job ended.
    """
    return str(await connection.fetchval(query("hear"), job, attempt, given_ms))


async def has_too_many_refunds(connection: Connection, owner: UUID, *, refunds_max: int) -> bool:
    """Whether more than `refunds_max` of an owner's streams were refunded today, outside incidents."""
    return bool(await connection.fetchval(query("has_too_many_refunds"), owner, refunds_max))
