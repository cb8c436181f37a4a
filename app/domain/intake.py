"""Takes in the jobs of concurrent requests, many to a transaction: one commit's wait serves them all."""

import asyncio
from collections import deque
from collections.abc import Coroutine, Sequence

from msgspec import Struct

from app.domain.errors import ConnectionLost, Unavailable
from app.domain.record import Record
from db import jobs
from db.rows import NewJob, Submitted

_BATCH_MAX = 128
_DRAINERS_MAX = (
    2  # one transaction is written down while the next is made; more wait for each other's wallets
)

_Waiting = tuple[NewJob, "asyncio.Future[Submitted]"]


class IntakeLimits(Struct, frozen=True, kw_only=True):
    """The operator's choices for what comes in."""

    queue_wait_s: int
    jobs_waiting_max: int
    requests_waiting_max: int  # for the database, before 503


class Intake:
    """Submits at once while the database is idle; what comes while it is busy goes together next.

    No timer: nobody waits for company.
    """

    def __init__(self, record: Record, limits: IntakeLimits) -> None:
        self._record = record
        self._limits = limits
        self._waiting: deque[_Waiting] = deque()
        self._unanswered = 0
        self._drainers = 0
        self._tasks: set[asyncio.Task[None]] = set()

    async def submit(self, job: NewJob) -> Submitted:
        """Hold the job's price and queue it, durably. Raises Unavailable, and ConnectionLost.

        A caller who is cancelled before the job is sent has submitted nothing; later, the job is queued.
        """
        if self._unanswered >= self._limits.requests_waiting_max:
            raise Unavailable("Too many requests are waiting for the database.")
        answer: asyncio.Future[Submitted] = asyncio.get_running_loop().create_future()
        self._waiting.append((job, answer))
        if self._drainers < _DRAINERS_MAX:
            self._drainers += 1
            self._start(self._drain())
        self._unanswered += 1
        try:
            return await answer
        finally:
            self._unanswered -= 1

    def _start(self, work: Coroutine[None, None, None]) -> None:
        """Beside the requests: none of them, leaving, takes the others' commit along."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _drain(self) -> None:
        try:
            while batch := self._next_batch():
                await self._submit_batch(batch)
        finally:
            self._drainers -= 1

    def _next_batch(self) -> Sequence[_Waiting]:
        batch: list[_Waiting] = []
        while self._waiting and len(batch) < _BATCH_MAX:
            job, answer = self._waiting.popleft()
            if not answer.done():
                batch.append((job, answer))
        return batch

    async def _submit_batch(self, batch: Sequence[_Waiting]) -> None:
        try:
            answers = await self._submit([job for job, _ in batch])
        except Exception as error:
            is_unsent = isinstance(error, Unavailable) and not isinstance(error, ConnectionLost)
            for job, answer in batch:
                if is_unsent:
                    _fail(answer, error)
                else:
                    self._start(self._submit_alone(job, answer))
            return
        for (_, answer), found in zip(batch, answers, strict=True):
            _settle(answer, found)

    async def _submit_alone(self, job: NewJob, answer: "asyncio.Future[Submitted]") -> None:
        """Again, since its batch failed: with another's bad row, or with the connection. It may have been
        queued: the same id says so, and is never charged twice.
        """
        try:
            (found,) = await self._submit([job])
        except Exception as error:
            _fail(answer, error)
        else:
            _settle(answer, found)

    async def _submit(self, batch: Sequence[NewJob]) -> list[Submitted]:
        limits = self._limits
        async with self._record.connection() as connection:
            return await jobs.submit(
                connection, batch, wait_s_max=limits.queue_wait_s, open_max=limits.jobs_waiting_max
            )


def _settle(answer: "asyncio.Future[Submitted]", found: Submitted) -> None:
    if not answer.done():  # its caller may have left
        answer.set_result(found)


def _fail(answer: "asyncio.Future[Submitted]", error: Exception) -> None:
    if not answer.done():
        answer.set_exception(error)
