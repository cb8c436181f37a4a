"""Jobs as the front door sees them: submit, charge, status, listen, cancel. Rules: `migrations/sql/`."""

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

import msgspec

from db.metrics import JOBS
from db.postgres.pool import Connection
from db.postgres.queries import query
from db.types import Charged, JobStatus, NewCharge, NewJob, Progress, Submitted, TranscriptionJob


async def submit(
    connection: Connection,
    jobs: Sequence[NewJob],
    *,
    wait_s_max: int,
    open_max: int,
) -> list[Submitted]:
    """Hold the price of each job and queue it, in one statement; an answer for each, in order.

    Idempotent by job id and by key. `open_max`: unfinished jobs an owner may have. A job that cannot be
    written is answered `malformed`; the others are queued.
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
        job.id,
        job.owner,
        job.kind,
        job.engine,
        job.lane,
        _params(job),
        job.hold,
        job.characters,
        job.cost_us,
        job.key,
        job.fingerprint,
        job.live,
        job.api_key,
        job.tariff,
    )


def _params(job: NewJob) -> str:
    """With the request's id and the expected cost. An earlier job's params, JSON already, may have them: the
    last ones count.
    """
    told = msgspec.json.encode(job.params)
    more: dict[str, object] = {"request_id": job.request_id, "cost_us": job.cost_us}
    if job.expected_ms:
        more["expected_ms"] = job.expected_ms
    return (told[:-1] + (b"," if told != b"{}" else b"") + msgspec.json.encode(more)[1:]).decode()


async def charge(connection: Connection, wanted: NewCharge) -> Charged:
    """Take the price of something done elsewhere, as a completed job, once: in one statement."""
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
    """What may be told of a job to whoever knows its id."""
    (found,) = await statuses(connection, [job])
    return found


async def statuses(connection: Connection, wanted: Sequence[UUID]) -> list[JobStatus | None]:
    """The status of each, in order, in one round trip."""
    rows = await connection.fetch(query("job_status"), wanted)
    found = {row["id"]: JobStatus(**dict(row)) for row in rows}
    return [found.get(job) for job in wanted]


async def progress(connection: Connection, wanted: Sequence[UUID]) -> list[Progress | None]:
    """What a poll shows of each, in order, in one round trip."""
    found: list[Progress | None] = [None] * len(wanted)
    for row in await connection.fetch(query("job_progress"), wanted):
        found[row[0] - 1] = Progress(*row[1:])
    return found


async def transcriptions(
    connection: Connection, wanted: Sequence[tuple[UUID, UUID]]
) -> list[TranscriptionJob | None]:
    """Of each (job, owner) the owner's own transcription, in order, in one round trip."""
    found: list[TranscriptionJob | None] = [None] * len(wanted)
    for row in await connection.fetch(query("transcription_jobs"), *zip(*wanted, strict=True)):
        n, *values = row
        found[n - 1] = TranscriptionJob(**dict(zip(TranscriptionJob.__struct_fields__, values, strict=True)))
    return found


async def cancel(connection: Connection, job: UUID, *, owner: UUID, actor: str) -> str:
    """Cancel an owner's unfinished job: what a listener was given is paid for, else its credit returns.

    Returns cancelled, too_late or not_found.
    """
    row = await connection.fetchrow(query("cancel"), job, owner, actor)
    assert row is not None
    if row["code"] == "cancelled":
        JOBS.labels(row["kind"], "cancelled").inc()
    return str(row["code"])


async def break_off(connection: Connection, job: UUID, *, owner: UUID, actor: str) -> str:
    """End a job whose listener was cut off by a failure of ours: it is free, even where it has completed.

    Returns failed, refunded, too_late or not_found.
    """
    return str(await connection.fetchval(query("break_off"), job, owner, actor))


async def live_jobs(connection: Connection, engine: str) -> tuple[list[UUID], int]:
    """The owner of each unfinished job of an engine that somebody listens to, and its workers."""
    row = await connection.fetchrow(query("live_jobs"), engine)
    assert row is not None
    return row["owners"], row["workers"]


async def listen(connection: Connection, job: UUID) -> None:
    """Say that somebody listens to an unfinished job, for whichever worker claims it."""
    await connection.execute(query("listen"), job)


async def unlisten(connection: Connection, job: UUID) -> None:
    """Say that the last of those who listened to a job that was queued for later has left."""
    await connection.execute(query("unlisten"), job)


async def hear(connection: Connection, job: UUID, *, attempt: int, given_ms: int) -> str:
    """Record that a listener is about to be given audio of an attempt, `given_ms` in all.

    Returns heard; metered, where further audio is to be recorded as well; superseded, where another attempt
    has taken over; else the state the job ended in.
    """
    return str(await connection.fetchval(query("hear"), job, attempt, given_ms))


async def has_too_many_refunds(connection: Connection, owner: UUID, *, refunds_max: int) -> bool:
    """Whether more streams of an owner than that were cut off and refunded today, outside incidents."""
    return bool(await connection.fetchval(query("has_too_many_refunds"), owner, refunds_max))
