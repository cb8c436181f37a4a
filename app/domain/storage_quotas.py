"""Storage limits, checked before a job is accepted: free disk space, and each account's quota by its plan."""

import asyncio
import time
from collections.abc import AsyncGenerator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from typing import Any
from uuid import UUID

from msgspec import Struct

from app.domain.database import Database
from app.domain.errors import StorageQuotaExceeded, StoreFull, Unavailable
from app.domain.identity.principals import Principal
from db.postgres.queries import query
from db.settings import PositiveInt
from db.storage.disk import StoreDisk
from db.storage.disk_floor import Disk
from db.storage.objects import StoreError

LARGE_BYTES = 8 << 20  # of one job: from this size on, space is reserved before it is accepted
_MANY = 1000  # jobs of 1/1000 of the free space are large, too: an account may have about so many waiting
_UNBOUNDED = (1 << 63) - 1
_FREE_TIER = 1
_DISK_FRESH_S = 1.0
_DISK_WAIT_S = 1.0  # for a check, before the last result is used
_SUM_FRESH_S, _FULL_FRESH_S = 10.0, 1.0  # of a sum below half of the quota, and of one above
_REMEMBERED_MAX = 10_000
_RETRY_S = 60


class StorageLimits(Struct, frozen=True, kw_only=True):
    """The operator's limits: bytes an account may keep."""

    free_stored_bytes_max: PositiveInt = 1 << 30  # on the free plan
    stored_bytes_max: PositiveInt = 50 << 30  # on any other


class Stored(Struct, frozen=True):
    """The bytes an account keeps, and its limit."""

    stored_bytes: int
    limit_bytes: int


class StorageQuotas:
    """Admits jobs for whose audio there is space. Small jobs are checked against a sum some seconds old."""

    def __init__(self, database: Database, disk: StoreDisk, limits: StorageLimits) -> None:
        self._database = database
        self._disk = disk
        self._limits = limits
        self._disk_seen: Disk | None = None
        self._seen_until = 0.0
        self._checking: asyncio.Task[None] | None = None
        self._awaited_until = 0.0  # for the check under way
        # A thread of its own, so that a disk that hangs blocks nothing else.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="disk")
        self._sums: dict[UUID, tuple[float, int]] = {}  # by account: the time it expires, and bytes

    @asynccontextmanager
    async def reserve(
        self, who: Principal, job: UUID, expected_bytes: int, *, key: str | None
    ) -> AsyncGenerator[None]:
        """Reserve space for the audio of the job that is submitted inside the block.

        Nothing is reserved for a replay (an Idempotency-Key seen before). The reservation of a job that is
        not queued is released at once. Raises StoreFull and StorageQuotaExceeded.
        """
        await self.check_disk()
        if not self._is_large(expected_bytes):
            await self._check_sum(who, expected_bytes, key)
            yield
        elif key and await self._has_key(who, key):
            yield
        else:
            await self._reserve(who, job, expected_bytes)
            try:
                yield
            except Exception:
                await self._release(job)
                raise
            await self._release(job)

    def _is_large(self, expected_bytes: int) -> bool:
        large_bytes = (
            LARGE_BYTES if self._disk_seen is None else min(LARGE_BYTES, self._disk_seen.room_bytes // _MANY)
        )
        return expected_bytes >= large_bytes

    async def stored(self, who: Principal) -> Stored:
        """What the account keeps now, and its limit."""
        return Stored(await self._stored_bytes(who.account), self._limit_bytes(who))

    async def check_disk(self) -> None:
        """Raise StoreFull if the free space on the store's disk is below the configured reserve."""
        if await self.is_disk_full():
            raise _store_full("nothing new is taken until there is room")

    async def is_disk_full(self) -> bool:
        """Whether the free space is below the reserve; by the last check if a new one takes over a second.

        False if the disk cannot be checked, which is reported elsewhere.
        """
        now = time.monotonic()
        if self._checking is None and now >= self._seen_until:
            self._checking = asyncio.create_task(self._check())
            self._awaited_until = now + _DISK_WAIT_S
        if self._checking is not None and now < self._awaited_until:
            await asyncio.wait({self._checking}, timeout=self._awaited_until - now)
        return self._disk_seen is not None and self._disk_seen.is_full

    async def _check(self) -> None:
        try:
            self._disk_seen = await asyncio.get_running_loop().run_in_executor(
                self._thread, self._disk.measure
            )
        except StoreError:
            self._disk_seen = None
        finally:
            self._checking = None
            self._seen_until = time.monotonic() + _DISK_FRESH_S

    def _limit_bytes(self, who: Principal) -> int:
        if who.user_type == "system":
            return _UNBOUNDED
        is_free = who.user_type == "registered" and who.tier == _FREE_TIER
        return self._limits.free_stored_bytes_max if is_free else self._limits.stored_bytes_max

    async def _check_sum(self, who: Principal, expected_bytes: int, key: str | None) -> None:
        most = self._limit_bytes(who)
        if most == _UNBOUNDED or await self._sum(who.account, most) < most:
            return
        if not (key and await self._has_key(who, key)):
            raise _refusal(await self.stored(who), expected_bytes)

    async def _sum(self, account: UUID, most: int) -> int:
        now = time.monotonic()
        until, known = self._sums.get(account, (0.0, 0))
        if now < until:
            return known
        found = await self._stored_bytes(account)
        while len(self._sums) >= _REMEMBERED_MAX:
            del self._sums[next(iter(self._sums))]
        self._sums[account] = now + (_SUM_FRESH_S if found < most // 2 else _FULL_FRESH_S), found
        return found

    async def _stored_bytes(self, account: UUID) -> int:
        async with self._database.connection() as connection:
            found: Any = await connection.fetchval(query("stored_bytes"), account)
        return int(found)

    async def _reserve(self, who: Principal, job: UUID, expected_bytes: int) -> None:
        room_bytes = None if self._disk_seen is None else self._disk_seen.room_bytes
        values = (job, who.account, expected_bytes, self._limit_bytes(who), room_bytes)
        async with self._database.connection() as connection:
            code = await connection.fetchval(query("expect_store"), *values)
        if code == "account_full":
            raise _refusal(await self.stored(who), expected_bytes)
        if code == "disk_full":
            raise _store_full(f"there is no room for the {_megabytes(expected_bytes)} this job would make")

    async def _release(self, job: UUID) -> None:
        """Release the reservation, unless the job is queued."""
        with suppress(Unavailable):  # then the reservation expires after a minute
            async with self._database.connection() as connection:
                await connection.execute(query("unexpect_store"), job)

    async def _has_key(self, who: Principal, key: str) -> bool:
        async with self._database.connection() as connection:
            return bool(await connection.fetchval(query("has_key"), who.account, key))


def _store_full(why: str) -> StoreFull:
    return StoreFull(f"The store is full: {why}. Please try again later.", retry_after_s=_RETRY_S)


def _refusal(stored: Stored, expected_bytes: int) -> StorageQuotaExceeded:
    message = (
        f"Your account keeps {_megabytes(stored.stored_bytes)} of {_megabytes(stored.limit_bytes)}, jobs that"
        f" wait are counted as well, and this one would add about {_megabytes(expected_bytes)}."
        " Audio is deleted when it has been kept for its time; a compressed format takes less room."
    )
    return StorageQuotaExceeded(message, limit=stored.limit_bytes, stored=stored.stored_bytes)


def _megabytes(size: int) -> str:
    return f"{size / 1e6:,.0f} MB"
