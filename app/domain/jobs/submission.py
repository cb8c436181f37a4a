"""Takes in the jobs of concurrent requests: many holds, one durable commit."""

from collections.abc import Sequence
from typing import Protocol

from msgspec import Struct

from app.domain.coalescing import Coalescer
from app.domain.database import Database
from db.postgres import jobs_api
from db.postgres.pool import Connection
from db.types import NewJob, Submitted


class SubmissionLimits(Struct, frozen=True, kw_only=True):
    """The operator's choices for what comes in."""

    queue_wait_s: int
    jobs_waiting_max: int
    requests_waiting_max: int  # for the database, before 503


class Wakes(Protocol):
    """Tells workers of new work, as `Nudger` does."""

    def wake(self, engine: str) -> None: ...


class JobSubmitter:
    """Jobs on their way into the record."""

    def __init__(self, record: Database, limits: SubmissionLimits, nudges: Wakes) -> None:
        self._limits = limits
        self._nudges = nudges
        self._jobs = Coalescer(record, self._submit, waiting_max=limits.requests_waiting_max)

    async def submit(self, job: NewJob) -> Submitted:
        """Hold the job's price and queue it, durably. Raises Unavailable, and ConnectionLost.

        Where a connection or a batch was lost it may have been queued: it goes again with the same id, which
        says so, and is never charged twice.
        """
        return await self._jobs.submit(job)

    async def _submit(self, connection: Connection, batch: Sequence[NewJob]) -> list[Submitted]:
        limits = self._limits
        answers = await jobs_api.submit(
            connection, batch, wait_s_max=limits.queue_wait_s, open_max=limits.jobs_waiting_max
        )
        queued = [job.engine for job, answer in zip(batch, answers, strict=True) if answer.code == "queued"]
        for engine in set(queued):
            self._nudges.wake(engine)
        return answers
