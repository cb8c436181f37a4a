"""An account's own jobs: listed, looked at, followed to their end."""

from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import datetime
from typing import Any
from uuid import UUID

from msgspec import Struct

from app.domain.errors import Invalid, NotFound, Unavailable
from app.domain.principals import Principal
from app.domain.record import Record
from app.domain.signals import Signals
from app.domain.speech import read_job_id
from db.queries import query
from db.rows import State

PAGE_MAX = 100
_PAGE = 20
_STATES = ("queued", "processing", "completed", "failed", "cancelled", "expired")
_LOOK_S = 0.5


class OwnJob(Struct, frozen=True, kw_only=True):
    """A job as its owner sees it; `micro`: what it cost, or holds."""

    id: UUID
    kind: str
    voice: str | None
    language: str | None
    format: str | None
    state: State
    code: str | None
    characters: int
    duration_ms: int | None
    audio_bytes: int | None
    micro: int
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    has_audio: bool

    @property
    def is_over(self) -> bool:
        return self.finished_at is not None


class JobPage(Struct, frozen=True):
    """Jobs, the latest first. `next_cursor` None: these were the last."""

    jobs: list[OwnJob]
    next_cursor: UUID | None


class OwnJobs:
    """Reads them, by the index of an owner's jobs."""

    def __init__(self, record: Record, signals: Signals) -> None:
        self._record = record
        self._signals = signals

    async def page(
        self, who: Principal, *, state: str | None, limit: int | None, cursor: str | None
    ) -> JobPage:
        """One page, of one state where given. Raises Invalid."""
        if state is not None and state not in _STATES:
            raise Invalid(f"A status is one of {', '.join(_STATES)}.", field="status", limit=list(_STATES))
        wanted = _PAGE if limit is None else limit
        if not 1 <= wanted <= PAGE_MAX:
            raise Invalid(f"The limit must be from 1 to {PAGE_MAX}.", field="limit", limit=[1, PAGE_MAX])
        after = read_job_id(cursor) if cursor else None
        if cursor and after is None:
            raise Invalid("This cursor is not of this list.", field="cursor")
        async with self._record.connection() as connection:
            rows = await connection.fetch(query("jobs_of_account"), who.account, state, after, wanted + 1)
        found = [_job(row) for row in rows[:wanted]]
        return JobPage(found, found[-1].id if len(rows) > wanted else None)

    async def one(self, who: Principal, job_id: str) -> OwnJob:
        """One job. Raises NotFound for anybody else's."""
        identifier = read_job_id(job_id)
        async with self._record.connection() as connection:
            row = await connection.fetchrow(query("job_of_account"), who.account, identifier)
        if row is None:
            raise NotFound("There is no such job.")
        return _job(row)

    async def follow(self, who: Principal, job: OwnJob) -> AsyncIterator[OwnJob | None]:
        """The job now and whenever it has changed, until it is over; None: time has passed, nothing else."""
        with self._signals.waiting(job.id) as heard:
            yield job
            while not job.is_over:
                await self._signals.pause(heard, _LOOK_S)
                heard.clear()
                before = job
                with suppress(Unavailable):
                    job = await self.one(who, str(job.id))
                yield job if job != before else None


def _job(row: Any) -> OwnJob:
    return OwnJob(**dict(row))
