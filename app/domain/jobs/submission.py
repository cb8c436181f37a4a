"""Submits the jobs of concurrent requests in batches: many holds in one durable commit."""

from collections.abc import Sequence
from typing import Protocol

from msgspec import Struct

from app.domain.billing.credits import refusal
from app.domain.coalescing import Coalescer
from app.domain.database import Database
from app.domain.errors import DomainError, TooManyWaiting
from app.domain.identity.principals import Principal
from db.postgres import jobs_api
from db.postgres.pool import Connection
from db.settings import PositiveInt
from db.types import NewJob, Submitted

_WAITING_RETRY_S = 5


class SubmissionLimits(Struct, frozen=True, kw_only=True):
    """The operator's limits on submissions."""

    jobs_waiting_max: PositiveInt = 1000  # unfinished jobs an account may have
    queue_wait_s: PositiveInt = 3600  # a job still queued after it expires
    submits_waiting_max: PositiveInt = 2000  # requests in one process whose job is unwritten, before 503


class Wakes(Protocol):
    """Wakes an engine's workers for new jobs, as `WorkerWakeup` does."""

    def wake(self, engine: str) -> None: ...


class JobSubmitter:
    """Queues jobs, in batches, and wakes the workers."""

    def __init__(self, database: Database, limits: SubmissionLimits, wakes: Wakes) -> None:
        self._limits = limits
        self._wakes = wakes
        self._jobs = Coalescer(database, self._submit, waiting_max=limits.submits_waiting_max)

    async def submit(self, job: NewJob) -> Submitted:
        """Hold the job's price and queue it, durably. Raises Unavailable, and ConnectionLost.

        After a lost connection or a failed batch the job may have been queued already: it is sent again with
        the same id, which detects that, so it is never charged twice.
        """
        return await self._jobs.submit(job)

    def refusal(self, who: Principal, job: NewJob, answer: Submitted) -> DomainError:
        """The error for a job that was not queued."""
        if answer.code == "too_many_waiting":
            most = self._limits.jobs_waiting_max
            message = f"You have {most} jobs waiting, as many as an account may have. Wait for some to end."
            return TooManyWaiting(message, retry_after_s=_WAITING_RETRY_S, limit=most)
        return refusal(answer.code, kind=who.user_type, price=job.hold, remaining=answer.remaining)

    async def _submit(self, connection: Connection, batch: Sequence[NewJob]) -> list[Submitted]:
        limits = self._limits
        answers = await jobs_api.submit(
            connection, batch, wait_s_max=limits.queue_wait_s, open_max=limits.jobs_waiting_max
        )
        queued = [job.engine for job, answer in zip(batch, answers, strict=True) if answer.code == "queued"]
        for engine in set(queued):
            self._wakes.wake(engine)
        return answers
