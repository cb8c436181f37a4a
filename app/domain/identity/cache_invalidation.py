"""Background tasks of authentication: invalidate cached principals that changed, record the use of keys."""

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

_POLL_S = 0.4  # between polls: with the poll itself, half a second
_NOTE_S = 5.0
_STATEMENT_S_MAX = 1.0


class CacheInvalidation:
    """Two loops. Without the database, cached principals expire by themselves, and uses of keys are lost."""

    def __init__(self, database: Database, principal_cache: PrincipalCache[Any], uses: KeyUsageLog) -> None:
        self._database = database
        self._principal_cache = principal_cache
        self._uses = uses
        self._oldest: str | None = None  # transaction still running at the last poll
        self._loops: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Start both loops. Call it from the event loop."""
        self._loops = [
            asyncio.create_task(
                supervised.task("watch_changes", _logging_errors(self.poll), every_s=_POLL_S)
            ),
            asyncio.create_task(
                supervised.task("watch_key_uses", _logging_errors(self.note), every_s=_NOTE_S)
            ),
        ]

    async def close(self) -> None:
        """Stop both loops."""
        for loop in self._loops:
            loop.cancel()
        await asyncio.gather(*self._loops, return_exceptions=True)

    async def poll(self) -> None:
        """Invalidate the accounts that changed since the last successful poll, of any age."""
        at = time.monotonic()
        async with self._database.connection() as connection:
            (row,) = await connection.fetch(
                query("changed_principals"), self._oldest, timeout=_STATEMENT_S_MAX
            )
        before, self._oldest = self._oldest, row["oldest"]
        # Transaction ids never decrease, unless the database was replaced: then any account may have changed.
        is_continued = before is not None and int(before) <= int(row["oldest"])
        self._principal_cache.invalidate(set[Any](row["accounts"]) if is_continued else None, at=at)

    async def note(self) -> None:
        """Record the keys used since the last call."""
        if used := self._uses.take():
            async with self._database.connection() as connection:
                await connection.execute(query("note_used_keys"), used, timeout=_STATEMENT_S_MAX)


def _logging_errors(act: Callable[[], Awaitable[None]]) -> Callable[[], Awaitable[None]]:
    """`act`, with errors logged that a database out of reach causes."""

    async def run() -> None:
        try:
            await act()
        except (Unavailable, asyncpg.PostgresError) as error:
            structlog.get_logger().warning("watch_interrupted", reason=type(error).__name__)

    return run
