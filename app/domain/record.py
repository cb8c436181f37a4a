"""The record as the front door reaches it: a pool that waits for Postgres, and refuses kindly without it."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from importlib import import_module
from typing import TYPE_CHECKING, Any

import asyncpg
import structlog

from app.domain.errors import ConnectionLost, Unavailable
from db.engine import Connection, Pool, open_engine, open_pool, session

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

LOST = (
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    asyncpg.OperatorInterventionError,  # shutting down, starting up, statement timed out
    asyncpg.InsufficientResourcesError,
    OSError,  # TimeoutError is one
)
_PAUSE_S_MAX = 1.0
_CLOSE_S = 1.0


class Record:
    """Connections for requests. Every loss is an `Unavailable`; Postgres back, so are we."""

    def __init__(
        self, url: str, *, connections_max: int, statement_timeout_ms: int, wait_s: float, waiting_max: int
    ) -> None:
        self._url = url
        self._connections_max = connections_max
        self._statement_timeout_ms = statement_timeout_ms
        self._wait_s = wait_s
        self._waiting_max = waiting_max
        self._waiting = 0
        self._pool: Pool | None = None
        self._opening: asyncio.Task[None] | None = None
        self._engine: AsyncEngine | None = None

    async def open(self, *, within_s: float) -> None:
        """Open the pool; where Postgres is away, go on trying in the background after `within_s`."""
        self._opening = asyncio.create_task(self._keep_trying())
        await asyncio.wait({self._opening}, timeout=within_s)

    async def close(self) -> None:
        """Close everything; connections still at work are cut after a second."""
        if self._opening is not None:
            self._opening.cancel()
        if self._engine is not None:
            await self._engine.dispose()
        if self._pool is not None:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._pool.close(), _CLOSE_S)
            self._pool.terminate()

    @asynccontextmanager
    async def connection(self) -> AsyncGenerator[Connection]:
        """A connection in autocommit. Raises Unavailable; ConnectionLost where a statement was under way."""
        pool = self._pool
        if pool is None:
            raise Unavailable("The database is out of reach. Please try again in a moment.")
        connection = await self._acquire(pool)
        try:
            yield connection
        except LOST as error:
            raise _lost(error) from error
        finally:
            await pool.release(connection)

    @asynccontextmanager
    async def session(self) -> AsyncGenerator["AsyncSession"]:
        """A SQLAlchemy session in a transaction, for cold paths; committed at the end of the block."""
        engine = await self._cold_engine()
        try:
            async with session(engine) as opened:
                yield opened
        except Exception as error:
            if cause := _loss_within(error):
                raise _lost(cause) from error
            raise

    async def _keep_trying(self) -> None:
        pause_s = 0.05
        while self._pool is None:
            try:
                async with asyncio.timeout(self._wait_s):
                    self._pool = await open_pool(
                        self._url,
                        connections_max=self._connections_max,
                        statement_timeout_ms=self._statement_timeout_ms,
                    )
            except (*LOST, asyncpg.PostgresError) as error:
                structlog.get_logger().warning("database_away", reason=type(error).__name__)
                await asyncio.sleep(pause_s)
                pause_s = min(_PAUSE_S_MAX, pause_s * 2)

    async def _acquire(self, pool: Pool) -> Connection:
        if self._waiting >= self._waiting_max:
            raise Unavailable("Too many requests are waiting for the database.")
        self._waiting += 1
        try:
            async with asyncio.timeout(self._wait_s):
                return await pool.acquire()
        except LOST as error:
            raise Unavailable("The database is out of reach. Please try again in a moment.") from error
        finally:
            self._waiting -= 1

    async def _cold_engine(self) -> "AsyncEngine":
        if self._engine is None:
            # It takes a second to import, during which the loop must go on.
            await asyncio.to_thread(import_module, "db.repos")
            self._engine = self._engine or _engine(self._url)
        return self._engine


def _engine(url: str) -> "AsyncEngine":
    """An engine whose pool replaces connections that Postgres has closed; the driver knows without asking."""
    from sqlalchemy import event
    from sqlalchemy.exc import DisconnectionError

    def refuse_closed(connection: Any, *_: object) -> None:
        if connection.driver_connection.is_closed():
            raise DisconnectionError

    engine = open_engine(url)
    event.listen(engine.sync_engine, "checkout", refuse_closed)
    return engine


def _lost(error: BaseException) -> Unavailable:
    structlog.get_logger().warning("database_lost", reason=type(error).__name__)
    return ConnectionLost("The database went away. Please try again in a moment.")


def _loss_within(error: BaseException | None) -> BaseException | None:
    """The driver's error behind what SQLAlchemy and its repositories made of it."""
    seen = 0
    while error is not None and seen < 10:
        if isinstance(error, LOST):
            return error
        error, seen = error.__cause__ or error.__context__, seen + 1
    return None
