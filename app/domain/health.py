"""Checks the API server's dependencies and reports which are out of reach."""

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
    """Checks each dependency, within two seconds. Requests do not use the connections of `database`."""

    def __init__(
        self, database: Database, store: StoreHealth, storage: StorageQuotas, signals: JobNotifications
    ) -> None:
        self._database = database
        self._store = store
        self._storage = storage
        self._signals = signals
        self._checking: asyncio.Task[list[str]] | None = None

    async def missing(self) -> list[str]:
        """The names of those out of reach, or full (disk): postgres, redis, objects, disk, workers.

        Concurrent callers share one check.
        """
        if self._checking is None or self._checking.done():
            self._checking = asyncio.create_task(self._check_all())
        return await asyncio.shield(self._checking)

    async def _check_all(self) -> list[str]:
        checks: dict[str, Callable[[], Awaitable[bool]]] = {
            "postgres": self._has_postgres,
            "redis": self._has_redis,
            "objects": self._has_objects,
            "disk": self._has_disk,
            "workers": self._has_workers,
        }
        found = await asyncio.gather(*(_passes(check) for check in checks.values()))
        return [name for name, is_there in zip(checks, found, strict=True) if not is_there]

    async def _has_postgres(self) -> bool:
        async with self._database.connection() as connection:
            return bool(await connection.fetchval("SELECT true"))

    async def _has_redis(self) -> bool:
        return bool(await self._signals.redis.ping())

    async def _has_objects(self) -> bool:
        return await self._store.is_there()

    async def _has_disk(self) -> bool:
        return not await self._storage.is_disk_full()

    async def _has_workers(self) -> bool:
        async with self._database.connection() as connection:
            return any(row["present"] for row in await connection.fetch(query("engines")))


async def _passes(check: Callable[[], Awaitable[bool]]) -> bool:
    try:
        async with asyncio.timeout(_CHECK_S):
            return await check()
    except (Unavailable, redis.RedisError, OSError):
        return False
