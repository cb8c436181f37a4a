"""Operators' view of jobs, without their text: list, show, retry, and cancel on the owner's behalf."""

from datetime import datetime
from typing import Any, cast, get_args
from uuid import UUID, uuid4

import msgspec
from msgspec import Struct
from msgspec.structs import replace
from sqlalchemy.ext.asyncio import AsyncSession

from app.domain.admin.credits import Leg, legs_of_ref
from app.domain.admin.operations import (
    AdminOperation,
    find_replay,
    identifier,
    record_operation,
    resolve_account,
)
from app.domain.admin.users import Amount
from app.domain.billing.credits import credits
from app.domain.billing.settlement import settled_in_words
from app.domain.errors import (
    Closed,
    DomainError,
    InsufficientCredits,
    Invalid,
    NotFailed,
    NotFound,
    TooLate,
    TooManyWaiting,
)
from app.domain.jobs.history import own_jobs
from app.domain.pagination import Page, select_fields, select_page
from db.postgres import jobs_api
from db.postgres.models import Job
from db.postgres.pool import raw
from db.postgres.queries import query
from db.types import NewJob, SpeechParams, State, Submitted

_STATES = get_args(State)
_RETRYABLE = ("failed", "expired")


class JobRow(Struct, frozen=True, kw_only=True):
    """A job; `price` null until it has ended."""

    job: UUID
    account: UUID
    kind: str
    engine: str
    voice: str
    state: State
    code: str | None
    characters: int
    attempt: int
    hold: Amount
    price: Amount | None
    duration_ms: int | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None


class JobShown(JobRow, frozen=True, kw_only=True):
    """A job with the legs of all its transfers."""

    entries: list[Leg]


class JobOperationResult(Struct, frozen=True, kw_only=True):
    """An operation's result: the job was cancelled, and `settlement` is a sentence on what it cost; or it is
    retried as the job `new_job`, for which `held` credits are held.
    """

    code: str
    account: UUID
    job: UUID
    engine: str
    new_job: UUID | None = None
    held: Amount = 0
    settlement: str = ""


_ROWS = select_fields(Job, JobRow, job="id", account="owner", voice="lane")


async def list_jobs(
    session: AsyncSession,
    *,
    account: str | None = None,
    state: str | None = None,
    limit: int = 50,
    cursor: str | None = None,
) -> Page[JobRow]:
    """Jobs, newest first; of one account or in one state where given."""
    if state is not None and state not in _STATES:
        raise Invalid(f"States are {', '.join(_STATES)}.", field="state", states=list(_STATES))
    wanted = _ROWS
    if account:
        wanted = wanted.where(Job.owner == await resolve_account(session, account))
    if state:
        wanted = wanted.where(Job.state == state)
    newest = (Job.created_at, Job.id)
    return await select_page(session, wanted, _row, *newest, mark="job", limit=limit, cursor=cursor)


async def show_job(session: AsyncSession, job: str) -> JobShown:
    """One job. Raises NotFound."""
    found = await _find(session, job)
    entries = await legs_of_ref(session, found.account, found.job)
    return JobShown(entries=entries, **msgspec.structs.asdict(found))


async def cancel_job(session: AsyncSession, act: AdminOperation, job: str) -> JobOperationResult:
    """Cancel a job on its owner's behalf, as the owner would. Raises NotFound, TooLate."""
    found = await _find(session, job)
    details = {"job": str(found.job)}
    if await find_replay(session, act, "cancel_job", found.account, details):
        return await _cancelled(session, found, "replayed")
    code = await jobs_api.cancel(await raw(session), found.job, owner=found.account, actor=act.actor)
    if code != "cancelled":
        raise TooLate("This job has already ended; it cannot be cancelled any more.")
    await record_operation(session, act, "cancel_job", found.account, details)
    return await _cancelled(session, found, code)


async def retry_job(
    session: AsyncSession, act: AdminOperation, job: str, *, queue_wait_s: int, jobs_waiting_max: int
) -> JobOperationResult:
    """Queue a failed or expired job again, as a new job that holds the price again.

    The caller wakes the workers after the commit. Raises NotFound, NotFailed, and what a submission raises.
    """
    found = await _find(session, job)
    details = {"job": str(found.job)}
    before = await find_replay(session, act, "retry_job", found.account, details)
    if before:
        return _acted(found, "replayed", new_job=UUID(before.details["new_job"]), held=found.hold)
    if found.state not in _RETRYABLE:
        raise NotFailed(f"This job is {found.state}; only failed and expired ones are put back.", field="job")
    new_job = await _new_job(session, found)
    (answer,) = await jobs_api.submit(
        await raw(session), [new_job], wait_s_max=queue_wait_s, open_max=jobs_waiting_max
    )
    if answer.code != "queued":
        raise _refusal(answer, new_job)
    await record_operation(session, act, "retry_job", found.account, {**details, "new_job": str(new_job.id)})
    return _acted(found, "queued", new_job=new_job.id, held=found.hold)


async def _cancelled(session: AsyncSession, found: JobRow, code: str) -> JobOperationResult:
    [ended] = await own_jobs(await raw(session), [found.job])
    return replace(_acted(found, code), settlement=settled_in_words(ended) if ended else "")


async def _find(session: AsyncSession, job: str) -> JobRow:
    row = (await session.execute(_ROWS.where(Job.id == identifier(job, "job")))).mappings().one_or_none()
    if row is None:
        raise NotFound("There is no such job.", field="job")
    return _row(**row)


async def _new_job(session: AsyncSession, found: JobRow) -> NewJob:
    row = await (await raw(session)).fetchrow(query("job_again"), found.job)
    assert row is not None
    params = msgspec.json.decode(row["params"])  # unchanged, of any kind
    return NewJob(
        id=uuid4(),
        owner=found.account,
        kind=found.kind,
        engine=found.engine,
        lane=row["lane"],
        params=cast("SpeechParams", params),
        hold=row["hold"],
        tariff=row["tariff"],
        characters=found.characters,
        cost_us=row["cost_us"],
    )


def _refusal(answer: Submitted, job: NewJob) -> DomainError:
    if answer.code == "closed":
        return Closed("This account is closed.")
    if answer.code == "too_many_waiting":
        return TooManyWaiting("The account has as many jobs waiting as it may have.", retry_after_s=5)
    required, remaining = credits(job.hold), credits(answer.remaining)
    message = f"Not enough credits: this job needs {required}, its account has {remaining}."
    return InsufficientCredits(message, required=required, remaining=remaining)


def _acted(found: JobRow, code: str, *, new_job: UUID | None = None, held: Amount = 0) -> JobOperationResult:
    return JobOperationResult(
        code=code, account=found.account, job=found.job, engine=found.engine, new_job=new_job, held=held
    )


def _row(*, hold: int, price: int | None, **row: Any) -> JobRow:
    return JobRow(hold=credits(hold), price=None if price is None else credits(price), **row)
