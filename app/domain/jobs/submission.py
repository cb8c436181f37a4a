"""Submits the jobs of concurrent requests in batches: many holds in one durable commit."""

from collections.abc import Sequence
from typing import Protocol

from msgspec import Struct

from app.domain.coalescing import Coalescer
from app.domain.database import Database
from db.postgres import jobs_api
from db.postgres.pool import Connection
from db.types import NewJob, Submitted


class SubmissionLimits(Struct, frozen=True, kw_only=True):
    """The operator's limits on submissions."""

    queue_wait_s: int
    jobs_waiting_max: int
    requests_waiting_max: int  # for the database, before 503


class Wakes(Protocol):
    """Wakes an engine's workers for new jobs, as `WorkerWakeup` does."""

    def wake(self, engine: str) -> None: ...


class JobSubmitter:
    """Queues jobs, in batches, and wakes the workers."""

    def __init__(self, database: Database, limits: SubmissionLimits, wakes: Wakes) -> None:
        self._limits = limits
        self._wakes = wakes
        self._jobs = Coalescer(database, self._submit, waiting_max=limits.requests_waiting_max)

    async def submit(self, job: NewJob) -> Submitted:
        """Hold the job's price and queue it, durably. Raises Unavailable, and ConnectionLost.

        After a lost connection or a failed batch the job may have been queued already: it is sent again with
        the same id, which detects that, so it is never charged twice.
        """
        return await self._jobs.submit(job)

    async def _submit(self, connection: Connection, batch: Sequence[NewJob]) -> list[Submitted]:
        limits = self._limits
        answers = await jobs_api.submit(
            connection, batch, wait_s_max=limits.queue_wait_s, open_max=limits.jobs_waiting_max
        )
        queued = [job.engine for job, answer in zip(batch, answers, strict=True) if answer.code == "queued"]
        for engine in set(queued):
            self._wakes.wake(engine)
        return answers
