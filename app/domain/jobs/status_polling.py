"""Jobs that are followed: one look at a job, however many follow it."""

import asyncio
from collections.abc import Generator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from uuid import UUID

from msgspec import Struct

from app.domain.coalescing import Coalescer
from app.domain.database import Database
from app.domain.errors import NotFound, Unavailable
from app.domain.jobs.notifications import JobNotifications
from db.postgres.pool import Connection
from db.postgres.queries import query
from db.types import State

_LOOK_S_MIN, _LOOK_S_MAX = 0.5, 4.0  # between looks, twice as long each time nothing has changed
_LOOKS_WAITING_MAX = 10_000


class FollowedJob(Struct, frozen=True, kw_only=True):
    """A job as its owner sees it; `micro`: what it cost, or holds."""

    id: UUID
    kind: str
    engine: str
    voice: str | None  # as asked for
    voice_used: str | None
    voice_reason: str | None  # why another one speaks (voice_names.py)
    language: str | None
    format: str | None
    state: State
    code: str | None
    characters: int
    duration_ms: int | None
    audio_bytes: int | None
    micro: int
    spent: int  # micro-credits charged and not refunded; 0 until it is over
    refunded: int
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    has_audio: bool
    has_transcript: bool

    @property
    def is_over(self) -> bool:
        return self.finished_at is not None


class Follower:
    """One who follows a job. `woken` is set when the job has changed; others may set it, too."""

    def __init__(self, job: FollowedJob) -> None:
        self.job = job
        self.error: Exception | None = None  # why nobody looks any more
        self.woken = asyncio.Event()

    async def wait(self, seconds: float) -> bool:
        """Wait to be woken, so long at most; whether that came. Raises why nobody looks any more."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self.woken.wait()
        was_woken = self.woken.is_set()
        self.woken.clear()
        if self.error is not None:
            raise self.error
        return was_woken


class _Followed:
    """One job, all who follow it, and the task that looks."""

    def __init__(self, job: FollowedJob) -> None:
        self.job = job
        self.error: Exception | None = None
        self.followers: set[Follower] = set()
        self.task: asyncio.Task[None] | None = None

    def tell(self) -> None:
        for follower in self.followers:
            follower.job, follower.error = self.job, self.error
            follower.woken.set()


class StatusPolling:
    """Looks at followed jobs when they are heard of; and now and then, since a signal may be lost."""

    def __init__(self, record: Database, signals: JobNotifications) -> None:
        self._signals = signals
        self._looks = Coalescer(record, _jobs, waiting_max=_LOOKS_WAITING_MAX)
        self._followed: dict[UUID, _Followed] = {}

    @contextmanager
    def following(self, job: FollowedJob) -> Generator[Follower]:
        """Whoever is in the block follows the job, from what it knows of it on."""
        followed = self._followed.get(job.id)
        if followed is None or followed.error is not None:
            followed = self._followed[job.id] = _Followed(job)
            followed.task = asyncio.create_task(self._look(followed))
        follower = Follower(job)
        followed.followers.add(follower)
        if followed.job.is_over:
            followed.tell()
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

    async def _look(self, followed: _Followed) -> None:
        try:
            pause_s = _LOOK_S_MIN
            with self._signals.waiting(followed.job.id) as heard:
                while not followed.job.is_over:
                    await self._signals.pause(heard, pause_s)
                    heard.clear()
                    pause_s = min(_LOOK_S_MAX, 2 * pause_s)
                    if await self._has_changed(followed):
                        pause_s = _LOOK_S_MIN
                        followed.tell()
        except Exception as error:  # for those who follow, each of whom raises it
            followed.error = error
            followed.tell()

    async def _has_changed(self, followed: _Followed) -> bool:
        try:
            found = await self._looks.submit(followed.job.id)
        except Unavailable:  # at the next look, then
            return False
        if found is None:
            raise NotFound("There is no such job.")
        before, followed.job = followed.job, found
        return found != before


async def _jobs(connection: Connection, wanted: Sequence[UUID]) -> list[FollowedJob | None]:
    rows = await connection.fetch(query("followed_jobs"), wanted)
    found = {row["id"]: FollowedJob(**dict(row)) for row in rows}
    return [found.get(job) for job in wanted]
