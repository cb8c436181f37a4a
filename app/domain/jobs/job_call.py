"""A request that waits for a job of its own: submitted completely, cancelled if the request ends early."""

import asyncio
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager, suppress
from typing import TypeVar
from uuid import UUID

from app.domain.errors import DomainError, Unavailable
from app.domain.jobs.notifications import JobNotifications

_RETRY_S = 1
_DATABASE_TRIES = 3
S = TypeVar("S")
J = TypeVar("J")


class JobCall:
    """Submits one job and waits for its end.

    Without an Idempotency-Key the job belongs to this request alone: a disconnect (the task is cancelled) or
    an error cancels the job. With a key it continues, since the client may send the request again.
    """

    def __init__(
        self, signals: JobNotifications, cancel: Callable[[UUID], Awaitable[None]], *, is_keyed: bool
    ) -> None:
        self.is_keyed = is_keyed
        self._signals = signals
        self._cancel = cancel
        self._job: UUID | None = None  # none yet, or not of this request

    async def submit(self, submission: Awaitable[S], new_job: Callable[[S], UUID | None]) -> S:
        """Await the submission. `new_job`: the job that it created, None for a replay.

        If the client disconnects meanwhile, the job is submitted first and then cancelled.
        """
        submitting = asyncio.ensure_future(submission)
        try:
            submitted = await asyncio.shield(submitting)
        except asyncio.CancelledError:
            self._signals.run_in_background(self._abandon_submitted(submitting, new_job))
            raise
        self._job = new_job(submitted)
        return submitted

    async def wait(self, poll: Callable[[], Awaitable[J | None]], *, within_s: float) -> J | None:
        """What `poll` returns when the job has ended; None after `within_s`."""
        assert self._job is not None
        with self.cancelling():
            return await self._signals.until(self._job, poll, within_s=within_s)

    @contextmanager
    def cancelling(self) -> Generator[None]:
        """Cancel the job if the block is not completed."""
        try:
            yield
        except BaseException:
            self.abandon()
            raise

    def abandon(self) -> None:
        """Cancel the job in the background, unless it has a key."""
        if self._job is not None and not self.is_keyed:
            self._signals.run_in_background(self.cancel())

    async def cancel(self) -> None:
        """Cancel the job."""
        job = self._job
        assert job is not None
        await retried(lambda: self._cancel(job))

    async def _abandon_submitted(
        self, submitting: "asyncio.Future[S]", new_job: Callable[[S], UUID | None]
    ) -> None:
        with suppress(DomainError):
            self._job = new_job(await submitting)
            if self._job is not None and not self.is_keyed:
                await self.cancel()


async def retried(act: Callable[[], Awaitable[None]]) -> None:
    """Call `act`, and retry while the database is out of reach. Raises Unavailable after the last try."""
    for tries_left in reversed(range(_DATABASE_TRIES)):
        try:
            return await act()
        except Unavailable:
            if not tries_left:
                raise
            await asyncio.sleep(_RETRY_S)
    return None
