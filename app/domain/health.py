"""What a front door needs to be of use, and which of it is out of reach."""

import asyncio
from collections.abc import Awaitable, Callable

import redis

from app.domain.database import Database
from app.domain.errors import Unavailable
from app.domain.jobs.notifications import JobNotifications
from app.domain.storage_quotas import StorageQuotas
from app.domain.store_health import StoreHealth
from db.postgres.queries import query

_CHECK_S = 2.0


class Health:
    """Asks each part; none may take longer than two seconds. No request uses the connections of `record`."""

    def __init__(
        self, record: Database, store: StoreHealth, storage: StorageQuotas, signals: JobNotifications
    ) -> None:
        self._record = record
        self._store = store
        self._storage = storage
        self._signals = signals
        self._looking: asyncio.Task[list[str]] | None = None

    async def missing(self) -> list[str]:
        """The parts out of reach or, the disk, full: postgres, redis, objects, disk, workers.

        Who asks during a look shares it.
        """
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._look())
        return await asyncio.shield(self._looking)

    async def _look(self) -> list[str]:
        checks: dict[str, Callable[[], Awaitable[bool]]] = {
            "postgres": self._has_postgres,
            "redis": self._has_redis,
            "objects": self._has_objects,
            "disk": self._has_disk,
            "workers": self._has_workers,
        }
        found = await asyncio.gather(*(_in_time(check) for check in checks.values()))
        return [name for name, is_there in zip(checks, found, strict=True) if not is_there]

    async def _has_postgres(self) -> bool:
        async with self._record.connection() as connection:
            return bool(await connection.fetchval("SELECT true"))

    async def _has_redis(self) -> bool:
        return bool(await self._signals.redis.ping())

    async def _has_objects(self) -> bool:
        return await self._store.is_there()

    async def _has_disk(self) -> bool:
        return not await self._storage.is_disk_full()

    async def _has_workers(self) -> bool:
        async with self._record.connection() as connection:
            return any(row["present"] for row in await connection.fetch(query("engines")))


async def _in_time(check: Callable[[], Awaitable[bool]]) -> bool:
    try:
        async with asyncio.timeout(_CHECK_S):
            return await check()
    except (Unavailable, redis.RedisError, OSError):
        return False
