"""The API server's access to Postgres: a pool that reconnects, and raises Unavailable while it cannot."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Any

import asyncpg
import structlog
from msgspec import Struct
from sqlalchemy import event
from sqlalchemy.exc import DisconnectionError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

from app.domain.database_heartbeat import Heartbeat
from app.domain.errors import ConnectionLost, Contended, DomainError, Unavailable
from db.postgres.pool import Connection, Pool, connect, open_engine, open_pool, session
from db.settings import PositiveInt, Seconds

LOST = (
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    asyncpg.OperatorInterventionError,  # shutting down, starting up, statement timed out
    asyncpg.InsufficientResourcesError,  # disk full, too many connections
    asyncpg.PostgresSystemError,  # its disk fails
    asyncpg.ReadOnlySQLTransactionError,  # no longer the primary server
    OSError,  # TimeoutError is one
)
CONTENDED = (asyncpg.TransactionRollbackError, asyncpg.LockNotAvailableError)  # deadlock, serialization
_PAUSE_S_MAX = 1.0
_RELEASE_S = 0.5  # for a cancelled statement to end; then its connection is closed
_CLOSE_S = 1.0


class DatabaseLimits(Struct, frozen=True, kw_only=True):
    """How long requests wait for Postgres."""

    database_wait_s: Seconds = 5.0  # for a free connection
    database_waiting_max: PositiveInt = 2000  # requests waiting for one, before 503
    database_silent_s: Seconds = 3.0  # without any response, before requests that need it get 503 at once


class Database:
    """Connections for requests. Connection failures are raised as `Unavailable`; reconnects by itself.

    Once Postgres has not responded for `database_silent_s`, all waiting and new callers get Unavailable at
    once, until it responds again.
    """

    def __init__(
        self, url: str, limits: DatabaseLimits, *, connections_max: int, statement_timeout_ms: int
    ) -> None:
        self._url = url
        self._connections_max = connections_max
        self._statement_timeout_ms = statement_timeout_ms
        self._wait_s = limits.database_wait_s
        self._waiting_max = limits.database_waiting_max
        self._acquiring: set[asyncio.Timeout] = set()
        self._used: set[Connection] = set()  # in use by requests
        self._heartbeat = Heartbeat(
            partial(connect, url, statement_timeout_ms=statement_timeout_ms),
            self._cut,
            silent_s=limits.database_silent_s,
        )
        self._pool: Pool | None = None
        self._opening: asyncio.Task[None] | None = None
        self._engine = self._new_engine()

    async def open(self, *, within_s: float) -> None:
        """Open the pool. If Postgres cannot be reached within `within_s`, retry in the background."""
        self._heartbeat.start()
        self._opening = asyncio.create_task(self._keep_trying())
        await asyncio.wait({self._opening}, timeout=within_s)

    async def close(self) -> None:
        """Close all connections; those still in use are terminated after a second."""
        await self._heartbeat.close()
        if self._opening is not None:
            self._opening.cancel()
        await self._engine.dispose()
        if self._pool is not None:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._pool.close(), _CLOSE_S)
            self._pool.terminate()

    @asynccontextmanager
    async def connection(self) -> AsyncGenerator[Connection]:
        """A connection in autocommit mode. Raises Unavailable; ConnectionLost if a statement was running;
        Contended if Postgres rolled one back because of a deadlock, a lock or a serialization failure.
        """
        pool = self._pool
        if pool is None:
            raise _away()
        async with self._bounded_wait():
            connection = await pool.acquire()
        self._used.add(connection)
        try:
            yield connection
        except CONTENDED as error:
            raise _contended(error) from error
        except LOST as error:
            if isinstance(error, asyncpg.ReadOnlySQLTransactionError):
                connection.terminate()  # a new one may lead to the new primary server
            raise _lost(error) from error
        finally:
            self._used.discard(connection)
            with suppress(*LOST):  # the connection is closed then
                await pool.release(connection, timeout=_RELEASE_S)

    @asynccontextmanager
    async def session(self, *, snapshot: bool = False) -> AsyncGenerator[AsyncSession]:
        """A SQLAlchemy session in a transaction, for cold paths; committed at the end of the block.

        With `snapshot` it only reads, and reads one snapshot of all tables.
        """
        try:
            async with session(self._engine, snapshot=snapshot) as opened:
                async with self._bounded_wait():
                    await opened.connection()
                yield opened
        except DomainError:
            raise
        except Exception as error:
            if cause := _within(error, CONTENDED):
                raise _contended(cause) from error
            if cause := _within(error, LOST):
                raise _lost(cause) from error
            raise

    async def _cut(self) -> None:
        """Fail everything that waits for Postgres, since it does not respond."""
        for timeout in self._acquiring:
            with suppress(RuntimeError):  # it has just expired
                timeout.reschedule(asyncio.get_running_loop().time())
        for connection in list(self._used):
            connection.terminate()
        if self._pool is not None:
            await self._pool.expire_connections()

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

    @asynccontextmanager
    async def _bounded_wait(self) -> AsyncGenerator[None]:
        """Bound the wait for a connection inside the block. Raises Unavailable if none is free in time."""
        if self._heartbeat.is_unresponsive:
            raise _away()
        if len(self._acquiring) >= self._waiting_max:
            raise Unavailable("Too many requests are waiting for the database.")
        timeout = asyncio.timeout(self._wait_s)
        self._acquiring.add(timeout)
        try:
            async with timeout:
                yield
        except (*LOST, asyncpg.PostgresError) as error:
            raise _away() from error
        finally:
            self._acquiring.discard(timeout)

    def _new_engine(self) -> AsyncEngine:
        """An engine whose pool replaces connections that Postgres has closed, without a ping at checkout."""

        def check_out(connection: Any, *_: object) -> None:
            if connection.driver_connection.is_closed():
                raise DisconnectionError
            self._used.add(connection.driver_connection)

        def check_in(connection: Any, *_: object) -> None:
            if connection is not None:  # None: it was found closed
                self._used.discard(connection.driver_connection)

        engine = open_engine(self._url, statement_timeout_ms=self._statement_timeout_ms, wait_s=self._wait_s)
        event.listen(engine.sync_engine, "checkout", check_out)
        for name in ("checkin", "invalidate", "close"):
            event.listen(engine.sync_engine, name, check_in)
        return engine


def _away() -> Unavailable:
    return Unavailable("The database is out of reach. Please try again in a moment.")


def _lost(error: BaseException) -> Unavailable:
    structlog.get_logger().warning("database_lost", reason=type(error).__name__)
    return ConnectionLost("The database went away. Please try again in a moment.")


def _contended(error: BaseException) -> Unavailable:
    structlog.get_logger().warning("database_contended", reason=type(error).__name__)
    return Contended("Another request changed the same just now. Please send this one again.")


def _within(error: BaseException | None, kinds: tuple[type[Exception], ...]) -> BaseException | None:
    """The driver's error of one of these kinds among the causes of an error; None if there is none."""
    seen = 0
    while error is not None and seen < 10:
        if isinstance(error, kinds):
            return error
        error, seen = error.__cause__ or error.__context__, seen + 1
    return None
