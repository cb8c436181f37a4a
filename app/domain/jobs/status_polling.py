"""Polls the status of followed jobs, once for all followers of a job."""

import asyncio
from collections.abc import Generator
from contextlib import contextmanager, suppress
from uuid import UUID

from app.domain.coalescing import Coalescer
from app.domain.database import Database
from app.domain.errors import NotFound, Unavailable
from app.domain.jobs.history import OwnJob, own_jobs
from app.domain.jobs.notifications import JobNotifications

_POLL_S_MIN, _POLL_S_MAX = 0.5, 4.0  # between polls; doubled each time nothing has changed
_POLLS_WAITING_MAX = 10_000


class Follower:
    """One follower of a job. `woken` is set when the job has changed; other code may set it, too."""

    def __init__(self, job: OwnJob) -> None:
        self.job = job
        self.error: Exception | None = None  # why polling has stopped
        self.woken = asyncio.Event()

    async def wait(self, seconds: float) -> bool:
        """Wait for `woken`, `seconds` at most; whether it was set. Raises the error that stopped polling."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self.woken.wait()
        was_woken = self.woken.is_set()
        self.woken.clear()
        if self.error is not None:
            raise self.error
        return was_woken


class _Followed:
    """One job, its followers, and the task that polls it."""

    def __init__(self, job: OwnJob) -> None:
        self.job = job
        self.error: Exception | None = None
        self.followers: set[Follower] = set()
        self.task: asyncio.Task[None] | None = None

    def notify(self) -> None:
        for follower in self.followers:
            follower.job, follower.error = self.job, self.error
            follower.woken.set()


class StatusPolling:
    """Polls followed jobs at each notification, and at intervals, since a notification may be lost."""

    def __init__(self, database: Database, signals: JobNotifications) -> None:
        self._signals = signals
        self._polls = Coalescer(database, own_jobs, waiting_max=_POLLS_WAITING_MAX)
        self._followed: dict[UUID, _Followed] = {}

    @contextmanager
    def following(self, job: OwnJob) -> Generator[Follower]:
        """While in the block, follow the job from the given state on."""
        followed = self._followed.get(job.id)
        if followed is None or followed.error is not None:
            followed = self._followed[job.id] = _Followed(job)
            followed.task = asyncio.create_task(self._poll(followed))
        follower = Follower(job)
        followed.followers.add(follower)
        if followed.job.is_over:
            followed.notify()
        try:
            yield follower
        finally:
            followed.followers.discard(follower)
            if not followed.followers:
                self._leave(followed)

    def _leave(self, followed: _Followed) -> None:
        if followed.task is not None:
            followed.task.cancel()
        if self._followed.get(followed.job.id) is followed:
            del self._followed[followed.job.id]

    async def _poll(self, followed: _Followed) -> None:
        try:
            pause_s = _POLL_S_MIN
            with self._signals.waiting(followed.job.id) as notified:
                while not followed.job.is_over:
                    await self._signals.pause(notified, pause_s)
                    notified.clear()
                    pause_s = min(_POLL_S_MAX, 2 * pause_s)
                    if await self._has_changed(followed):
                        pause_s = _POLL_S_MIN
                        followed.notify()
        except Exception as error:  # each follower raises it
            followed.error = error
            followed.notify()

    async def _has_changed(self, followed: _Followed) -> bool:
        try:
            found = await self._polls.submit(followed.job.id)
        except Unavailable:  # until the next poll
            return False
        if found is None:
            raise NotFound("There is no such job.")
        before, followed.job = followed.job, found
        return found != before
