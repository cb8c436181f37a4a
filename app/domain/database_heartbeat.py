"""Whether Postgres answers: asked twice a second over a connection of its own, however busy the others are.

A server that is frozen, or whose host has vanished, refuses nothing: every statement waits for it, and so
would every request. One that refuses says so itself.
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
    """`is_silent` is set when nothing was answered for `silent_s`, and cleared by the next answer.

    `fell_silent` is called each time it is set.
    """

    def __init__(
        self,
        connect: Callable[[], Awaitable[Connection]],
        fell_silent: Callable[[], Awaitable[None]],
        *,
        silent_s: float,
    ) -> None:
        self.is_silent = False
        self._connect = connect
        self._fell_silent = fell_silent
        self._silent_s = silent_s
        self._connection: Connection | None = None
        self._beating: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin; to be called in the event loop."""
        self._beating = asyncio.create_task(
            supervised.task("database_heartbeat", self.beat, every_s=_EVERY_S)
        )

    async def close(self) -> None:
        """End."""
        if self._beating is not None:
            self._beating.cancel()
            await asyncio.wait({self._beating})
        self._drop()

    async def beat(self) -> None:
        """Ask once, and note whether an answer came in time."""
        asking = asyncio.create_task(self._ask())
        try:
            for _ in range(2):  # in two halves: a stall of our own loop is not the server's fault
                await asyncio.wait({asking}, timeout=self._silent_s / 2)
            if not asking.done():
                await self._note_silence()
                return
        finally:
            asking.cancel()
            await asyncio.wait({asking})
        self._note(asking)

    async def _ask(self) -> None:
        if self._connection is None or self._connection.is_closed():
            self._connection = await self._connect()
        await self._connection.fetchval("SELECT true")

    def _note(self, asked: "asyncio.Task[None]") -> None:
        error = asked.exception()
        if error is None:
            if self.is_silent:
                structlog.get_logger().info("database_answers")
            self.is_silent = False
        elif isinstance(
            error, (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError)
        ):
            self._drop()  # refused: whoever needs it is told so as quickly
        else:
            self._drop()
            raise error

    async def _note_silence(self) -> None:
        self._drop()
        if not self.is_silent:
            self.is_silent = True
            structlog.get_logger().warning("database_silent", seconds=self._silent_s)
        await self._fell_silent()

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(asyncpg.InterfaceError):
                connection.terminate()
