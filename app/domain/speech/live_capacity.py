"""Whether an engine can speak one more live stream in real time: refused in time, nobody's audio stutters.

While several accounts want an engine's live places, each has at most half of them, at least one.
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
_FULL_FRESH_S = 0.1  # whoever asks while there is no place shall not ask the database each time
_WANTED_S = 30.0  # after an account has asked, it counts as one that wants a place
_RETRY_S = 2


class _Seen(Struct):
    """What the record said of one engine, and what this process has added since."""

    at: float = -_FRESH_S
    most: int = 0
    # By account.
    jobs: Counter[UUID] = field(default_factory=Counter[UUID])
    since: Counter[UUID] = field(default_factory=Counter[UUID])  # submitted after it
    under_way: Counter[UUID] = field(default_factory=Counter[UUID])  # let through, not yet submitted
    asked: dict[UUID, float] = field(default_factory=dict[UUID, float])  # the latest last


class LiveCapacity:
    """Counts live jobs by engine. Another process's newest may be missed for half a second."""

    def __init__(self, record: Database) -> None:
        self._record = record
        self._seen: dict[str, _Seen] = {}
        self._looking: dict[str, asyncio.Task[None]] = {}

    @asynccontextmanager
    async def place(self, engine: Capabilities, owner: UUID) -> AsyncGenerator[None]:
        """A place for one more live job of an account, submitted within. Raises Unavailable where there is
        none, or it has its share.
        """
        if not engine.live_max:
            yield
            return
        seen = self._seen.setdefault(engine.engine, _Seen())
        _note_wish(seen, owner)
        await self._check(engine, seen, owner)
        seen.under_way[owner] += 1
        try:
            yield
            seen.since[owner] += 1
        finally:
            seen.under_way[owner] -= 1

    async def _check(self, engine: Capabilities, seen: _Seen, owner: UUID) -> None:
        if time.monotonic() - seen.at >= (_FULL_FRESH_S if _refusal(seen, owner) else _FRESH_S):
            await self._looked(engine, seen)
        if refusal := _refusal(seen, owner):
            message = f"{refusal} Please try again in a moment; POST /v1/tts is open now."
            raise Unavailable(message, retry_after_s=_RETRY_S)

    async def _looked(self, engine: Capabilities, seen: _Seen) -> None:
        """By one look, however many wait for it. Raises Unavailable."""
        name = engine.engine
        if (looking := self._looking.get(name)) is None:
            looking = self._looking[name] = asyncio.create_task(self._look(engine, seen))
            looking.add_done_callback(lambda done: self._over(name, done))
        await asyncio.shield(looking)

    def _over(self, name: str, done: "asyncio.Task[None]") -> None:
        del self._looking[name]
        if not done.cancelled():
            done.exception()  # whoever waited has heard of it; perhaps nobody does any more

    async def _look(self, engine: Capabilities, seen: _Seen) -> None:
        before = seen.since.copy()
        async with self._record.connection() as connection:
            owners, workers = await jobs.live_jobs(connection, engine.engine)
        seen.jobs, seen.most = Counter(owners), engine.live_max * max(1, workers)
        seen.since -= before
        seen.under_way = +seen.under_way
        seen.at = time.monotonic()


def _note_wish(seen: _Seen, owner: UUID) -> None:
    now = time.monotonic()
    seen.asked.pop(owner, None)
    seen.asked[owner] = now
    while now - seen.asked[first := next(iter(seen.asked))] > _WANTED_S:
        del seen.asked[first]


def _refusal(seen: _Seen, owner: UUID) -> str:
    """Why there is no place for one more of the account's; empty where there is one."""
    taken = seen.jobs + seen.since + seen.under_way
    if taken.total() >= seen.most:
        return "This voice already has as many live streams as it can speak without stuttering."
    if taken[owner] >= max(1, seen.most // 2) and (taken.keys() | seen.asked.keys()) - {owner}:
        return "Your account has half of the live streams that this voice can speak, and others want some."
    return ""
