"""What a front door needs to be of use, and which of it is out of reach."""

import asyncio
import time
from collections.abc import Awaitable, Callable

import redis

from app.domain.errors import Unavailable
from app.domain.record import Record
from db import nudge
from db.objects import Objects, StoreError
from db.queries import query

_CHECK_S = 2.0
_OBJECTS_S = 1.0  # an object store may cost money a question


class Health:
    """Asks each part; none may take longer than two seconds."""

    def __init__(self, record: Record, store: Objects, *, redis_url: str) -> None:
        self._record = record
        self._store = store
        self._redis = nudge.connect(redis_url)
        self._objects_until = 0.0

    async def missing(self) -> list[str]:
        """The parts out of reach: postgres, redis, objects, workers."""
        checks: dict[str, Callable[[], Awaitable[bool]]] = {
            "postgres": self._has_postgres,
            "redis": self._has_redis,
            "objects": self._has_objects,
            "workers": self._has_workers,
        }
        found = await asyncio.gather(*(_in_time(check) for check in checks.values()))
        return [name for name, is_there in zip(checks, found, strict=True) if not is_there]

    async def _has_postgres(self) -> bool:
        async with self._record.connection() as connection:
            return bool(await connection.fetchval("SELECT true"))

    async def _has_redis(self) -> bool:
        return bool(await asyncio.to_thread(self._redis.ping))

    async def _has_objects(self) -> bool:
        if time.monotonic() >= self._objects_until:
            await self._store.check()
            self._objects_until = time.monotonic() + _OBJECTS_S
        return True

    async def _has_workers(self) -> bool:
        async with self._record.connection() as connection:
            return any(row["present"] for row in await connection.fetch(query("engines")))


async def _in_time(check: Callable[[], Awaitable[bool]]) -> bool:
    try:
        async with asyncio.timeout(_CHECK_S):
            return await check()
    except (Unavailable, StoreError, redis.RedisError, OSError):
        return False
