"""Detects an unresponsive Postgres by a query every half second over a dedicated connection.

A server that is frozen, or whose host has vanished, refuses no connection: every statement would wait, and
so would every request. A server that refuses connections is noticed without the heartbeat.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

import asyncpg
import structlog

from db import supervised
from db.postgres.pool import Connection

_EVERY_S = 0.5


class Heartbeat:
    """`is_silent` is set when there was no response for `silent_s`, and cleared by the next response.

    `fell_silent` is called each time it is set.
    """

    def __init__(
        self,
        connect: Callable[[], Awaitable[Connection]],
        fell_silent: Callable[[], Awaitable[None]],
        *,
        silent_s: float,
    ) -> None:
        self.is_unresponsive = False
        self._connect = connect
        self._fell_silent = fell_silent
        self._silent_s = silent_s
        self._connection: Connection | None = None
        self._beating: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Start the heartbeat. Call it from the event loop."""
        self._beating = asyncio.create_task(
            supervised.task("database_heartbeat", self.beat, every_s=_EVERY_S)
        )

    async def close(self) -> None:
        """Stop the heartbeat and close its connection."""
        if self._beating is not None:
            self._beating.cancel()
            await asyncio.wait({self._beating})
        self._drop()

    async def beat(self) -> None:
        """Send one query, and record whether the response came in time."""
        query = asyncio.create_task(self._query())
        try:
            for _ in range(2):  # in two halves: a stall of our own event loop is not the server's
                await asyncio.wait({query}, timeout=self._silent_s / 2)
            if not query.done():
                await self._record_silence()
                return
        finally:
            query.cancel()
            await asyncio.wait({query})
        self._record(query)

    async def _query(self) -> None:
        if self._connection is None or self._connection.is_closed():
            self._connection = await self._connect()
        await self._connection.fetchval("SELECT true")

    def _record(self, query: "asyncio.Task[None]") -> None:
        error = query.exception()
        if error is None:
            if self.is_unresponsive:
                structlog.get_logger().info("database_answers")
            self.is_unresponsive = False
        elif isinstance(
            error, (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError)
        ):
            self._drop()  # refused: requests fail as quickly by themselves
        else:
            self._drop()
            raise error

    async def _record_silence(self) -> None:
        self._drop()
        if not self.is_unresponsive:
            self.is_unresponsive = True
            structlog.get_logger().warning("database_silent", seconds=self._silent_s)
        await self._fell_silent()

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(asyncpg.InterfaceError):
                connection.terminate()
