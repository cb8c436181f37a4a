"""Jobs as the front door sees them: submit, charge, status, listen, cancel. Rules: `sql/jobs.sql`."""

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

import msgspec

from db.engine import Connection
from db.metrics import JOBS
from db.queries import query
from db.rows import Charged, JobStatus, NewCharge, NewJob, Progress, Submitted, TranscriptionJob


async def submit(
    connection: Connection,
    jobs: Sequence[NewJob],
    *,
    wait_s_max: int,
    open_max: int,
    mark: int | None = None,
) -> list[Submitted]:
    """Hold the price of each job and queue it, in one statement; an answer for each, in order.

    Idempotent by job id and by key. `open_max`: unfinished jobs an owner may have. `mark`: of the nudge that
    went ahead of a job alone. One that cannot be written
    is malformed among others; alone it raises, UniqueViolationError too where it is being written just now.
    """
    limits = (timedelta(seconds=wait_s_max), open_max)
    if len(jobs) == 1:
        rows = await connection.fetch(query("submit_one"), *_fields(jobs[0]), *limits, mark)
    else:
        columns = zip(*map(_fields, jobs), strict=True)
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
    """With the request's id. An earlier job's params, JSON already, may have one: the last one counts."""
    told = msgspec.json.encode(job.params)
    more = msgspec.json.encode({"request_id": job.request_id})
    return (told[:-1] + (b"," if told != b"{}" else b"") + more[1:]).decode()


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


async def transcription(connection: Connection, job: UUID, *, owner: UUID) -> TranscriptionJob | None:
    """An owner's own transcription."""
    row = await connection.fetchrow(query("transcription_job"), job, owner)
    return TranscriptionJob(**dict(row)) if row else None


async def cancel(connection: Connection, job: UUID, *, owner: UUID, actor: str, heard: bool = False) -> str:
    """Cancel an owner's unfinished job: paid for where any of its audio was heard, else its credit returns.

    Returns cancelled, too_late or not_found.
    """
    row = await connection.fetchrow(query("cancel"), job, owner, actor, heard)
    assert row is not None
    if row["code"] == "cancelled":
        JOBS.labels(row["kind"], "cancelled").inc()
    return str(row["code"])


async def break_off(connection: Connection, job: UUID, *, owner: UUID, actor: str) -> str:
    """End a job whose listener was cut off by our fault: it costs nothing, even where it has completed.

    Returns failed, refunded, too_late or not_found.
    """
    return str(await connection.fetchval(query("break_off"), job, owner, actor))


async def listen(connection: Connection, job: UUID) -> None:
    """Say that somebody listens to an unfinished job, for whichever worker claims it."""
    await connection.execute(query("listen"), job)


async def hear(connection: Connection, job: UUID) -> None:
    """Say that an audio byte of an unfinished job was given to a listener."""
    await connection.execute(query("hear"), job)
