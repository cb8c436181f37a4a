"""Job notifications with many subscribers in one process."""

import asyncio
from uuid import uuid4

from app.domain.jobs.notifications import JobNotifications
from db.redis.live_audio import LiveAttempt, Reader

LISTENERS = 150


async def test_many_may_listen_at_once(redis_url: str) -> None:
    signals = JobNotifications(redis_url)
    try:
        readers = [Reader(signals.redis, LiveAttempt(uuid4(), 1)) for _ in range(LISTENERS)]
        found = await asyncio.gather(*(reader.next(wait_ms=300, entries_max=1) for reader in readers))
    finally:
        await signals.close()
    assert list(map(list, found)) == [[]] * LISTENERS
