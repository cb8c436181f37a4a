"""Limits an engine's live streams to as many as it can speak in real time, so that no audio stutters.

While several accounts want an engine's live streams, each may have at most half of them, at least one.
"""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from uuid import UUID

from msgspec import Struct, field

from app.domain.database import Database
from app.domain.errors import Unavailable
from db.postgres import jobs_api as jobs
from db.types import Capabilities

_FRESH_S = 0.5
_FULL_FRESH_S = 0.1  # while none is free: requests must not query the database each
_WANTED_S = 30.0  # after its request, an account counts as one that wants a stream
_RETRY_S = 2


class _Seen(Struct):
    """The database's count for one engine, and what this process has added since."""

    at: float = -_FRESH_S
    most: int = 0
    # By account.
    jobs: Counter[UUID] = field(default_factory=Counter[UUID])
    since: Counter[UUID] = field(default_factory=Counter[UUID])  # submitted after the count
    under_way: Counter[UUID] = field(default_factory=Counter[UUID])  # admitted, not yet submitted
    requested: dict[UUID, float] = field(default_factory=dict[UUID, float])  # at, the latest last


class LiveCapacity:
    """Counts live jobs by engine. Other processes' jobs of the last half second may be missed."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._seen: dict[str, _Seen] = {}
        self._counting: dict[str, asyncio.Task[None]] = {}

    @asynccontextmanager
    async def admit(self, engine: Capabilities, owner: UUID) -> AsyncGenerator[None]:
        """Admit one more live job of an account, submitted inside the block. Raises Unavailable if the engine
        is at its limit, or the account at its share.
        """
        if not engine.live_max:
            yield
            return
        seen = self._seen.setdefault(engine.engine, _Seen())
        _note_request(seen, owner)
        await self._check(engine, seen, owner)
        seen.under_way[owner] += 1
        try:
            yield
            seen.since[owner] += 1
        finally:
            seen.under_way[owner] -= 1

    async def _check(self, engine: Capabilities, seen: _Seen, owner: UUID) -> None:
        if time.monotonic() - seen.at >= (_FULL_FRESH_S if _refusal(seen, owner) else _FRESH_S):
            await self._counted(engine, seen)
        if refusal := _refusal(seen, owner):
            message = f"{refusal} Please try again in a moment; POST /v1/tts is open now."
            raise Unavailable(message, retry_after_s=_RETRY_S)

    async def _counted(self, engine: Capabilities, seen: _Seen) -> None:
        """Wait for one count that all concurrent callers share. Raises Unavailable."""
        name = engine.engine
        if (counting := self._counting.get(name)) is None:
            counting = self._counting[name] = asyncio.create_task(self._count(engine, seen))
            counting.add_done_callback(lambda done: self._over(name, done))
        await asyncio.shield(counting)

    def _over(self, name: str, done: "asyncio.Task[None]") -> None:
        del self._counting[name]
        if not done.cancelled():
            done.exception()  # retrieved, since perhaps no caller waits any more

    async def _count(self, engine: Capabilities, seen: _Seen) -> None:
        before = seen.since.copy()
        async with self._database.connection() as connection:
            owners, workers = await jobs.live_jobs(connection, engine.engine)
        seen.jobs, seen.most = Counter(owners), engine.live_max * max(1, workers)
        seen.since -= before
        seen.under_way = +seen.under_way
        seen.at = time.monotonic()


def _note_request(seen: _Seen, owner: UUID) -> None:
    now = time.monotonic()
    seen.requested.pop(owner, None)
    seen.requested[owner] = now
    while now - seen.requested[first := next(iter(seen.requested))] > _WANTED_S:
        del seen.requested[first]


def _refusal(seen: _Seen, owner: UUID) -> str:
    """Why the account gets no further live stream; empty if it does."""
    taken = seen.jobs + seen.since + seen.under_way
    if taken.total() >= seen.most:
        return "This voice already has as many live streams as it can speak without stuttering."
    if taken[owner] >= max(1, seen.most // 2) and (taken.keys() | seen.requested.keys()) - {owner}:
        return "Your account has half of the live streams that this voice can speak, and others want some."
    return ""
