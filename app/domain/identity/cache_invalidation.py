"""Beside the requests: hears which accounts and keys changed, and writes down which keys were used."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

import asyncpg
import structlog

from app.domain.database import Database
from app.domain.errors import Unavailable
from app.domain.identity.principal_cache import KeyUsageLog, PrincipalCache
from db import supervised
from db.postgres.queries import query

_HEAR_S = 0.4  # between looks: with the look itself, half a second
_NOTE_S = 5.0
_STATEMENT_S_MAX = 1.0


class CacheInvalidation:
    """Two loops. Without the database the callers' memory runs out by itself, and the uses are lost."""

    def __init__(self, record: Database, remembered: PrincipalCache[Any], uses: KeyUsageLog) -> None:
        self._record = record
        self._remembered = remembered
        self._uses = uses
        self._oldest: str | None = None  # transaction not over at the last look
        self._loops: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin; to be called in the event loop."""
        self._loops = [
            asyncio.create_task(supervised.task("watch_changes", _tried(self.hear), every_s=_HEAR_S)),
            asyncio.create_task(supervised.task("watch_key_uses", _tried(self.note), every_s=_NOTE_S)),
        ]

    async def close(self) -> None:
        """End both loops."""
        for loop in self._loops:
            loop.cancel()
        await asyncio.gather(*self._loops, return_exceptions=True)

    async def hear(self) -> None:
        """Forget whoever changed since the last look that succeeded, however long ago that was."""
        at = time.monotonic()
        async with self._record.connection() as connection:
            (row,) = await connection.fetch(
                query("changed_principals"), self._oldest, timeout=_STATEMENT_S_MAX
            )
        before, self._oldest = self._oldest, row["oldest"]
        # Transactions never go back, unless this is another database than it was: then nothing is certain.
        is_continued = before is not None and int(before) <= int(row["oldest"])
        self._remembered.invalidate(set[Any](row["accounts"]) if is_continued else None, at=at)

    async def note(self) -> None:
        """Write down the keys used since the last time."""
        if used := self._uses.take():
            async with self._record.connection() as connection:
                await connection.execute(query("note_used_keys"), used, timeout=_STATEMENT_S_MAX)


def _tried(act: Callable[[], Awaitable[None]]) -> Callable[[], Awaitable[None]]:
    """`act`, which may fail where the database is away."""

    async def tried() -> None:
        try:
            await act()
        except (Unavailable, asyncpg.PostgresError) as error:
            structlog.get_logger().warning("watch_interrupted", reason=type(error).__name__)

    return tried
