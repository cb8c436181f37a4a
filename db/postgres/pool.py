"""The API server's connections to Postgres: asyncpg's pool for hot paths, SQLAlchemy sessions for cold ones.

Only `transaction()` and `session()` commit; the functions of `db` take a connection and never do.
"""

import socket
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, cast

import asyncpg
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine

if TYPE_CHECKING:
    Connection = asyncpg.Connection | asyncpg.pool.PoolConnectionProxy
    Pool = asyncpg.Pool
else:
    Connection = Pool = Any


_CONNECT_S = 5.0
_LATE_S = 2.0  # beyond the statement timeout: then the server or the network does not respond
# A connection whose peer has vanished silently is closed after 11 s.
_KEEP_ALIVE = {
    socket.TCP_KEEPIDLE: 5,
    socket.TCP_KEEPINTVL: 2,
    socket.TCP_KEEPCNT: 3,
    socket.TCP_USER_TIMEOUT: 10_000,
}


async def open_pool(url: str, *, connections_max: int, statement_timeout_ms: int) -> Pool:
    """A pool whose connections are not reset between uses, since this code leaves no session state."""
    return await asyncpg.create_pool(
        url,
        min_size=min(2, connections_max),
        max_size=connections_max,
        reset=_no_reset,
        init=_keep_alive,
        **_bounds(statement_timeout_ms),
    )


async def connect(url: str, *, statement_timeout_ms: int) -> Connection:
    """One connection outside the pool, opened within five seconds."""
    connection = await asyncpg.connect(url, **_bounds(statement_timeout_ms))
    await _keep_alive(connection)
    return connection


def _bounds(statement_timeout_ms: int | None) -> dict[str, Any]:
    """Timeouts: the server ends a statement that takes too long; the client, one the server cannot end."""
    settings = {"application_name": "codevoice-api"}
    bounds: dict[str, Any] = {"timeout": _CONNECT_S, "server_settings": settings}
    if statement_timeout_ms is not None:
        settings["statement_timeout"] = str(statement_timeout_ms)
        bounds["command_timeout"] = statement_timeout_ms / 1000 + _LATE_S
    return bounds


async def _no_reset(_connection: Connection) -> None:
    """Do nothing: asyncpg's own reset is one more round trip at each release."""


async def _keep_alive(connection: Connection) -> None:
    """Have the kernel detect a vanished peer; asyncpg has no option for that."""
    transport: Any = connection._transport  # pyright: ignore[reportPrivateUsage,reportAttributeAccessIssue]
    opened = transport.get_extra_info("socket")
    if opened is not None and opened.family in (socket.AF_INET, socket.AF_INET6):
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for option, value in _KEEP_ALIVE.items():
            opened.setsockopt(socket.IPPROTO_TCP, option, value)


@asynccontextmanager
async def transaction(pool: Pool) -> AsyncGenerator[Connection]:
    """A connection in a transaction: committed at the end of the block, rolled back on an exception."""
    async with pool.acquire() as connection, connection.transaction():
        yield connection


def open_engine(url: str, *, statement_timeout_ms: int | None = None, wait_s: float = 5.0) -> AsyncEngine:
    """The SQLAlchemy engine for cold paths. `wait_s`: for a free connection.

    asyncpg reads the URL itself: several hosts, `sslmode` and others mean the same here as in its pool.
    """

    async def connect(*_args: Any, **_settings: Any) -> Connection:
        return await asyncpg.connect(url, **_bounds(statement_timeout_ms))

    return create_async_engine(
        "postgresql+asyncpg://",
        async_creator=connect,
        pool_size=4,
        max_overflow=4,
        pool_timeout=wait_s,
        hide_parameters=True,  # addresses and digests do not belong in messages
    )


def open_session(engine: AsyncEngine, *, snapshot: bool = False) -> AsyncSession:
    """A session that has not begun. With `snapshot` it only reads: each transaction, all tables at once."""
    if snapshot:
        engine = engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
    return AsyncSession(engine, expire_on_commit=False)


@asynccontextmanager
async def session(engine: AsyncEngine, *, snapshot: bool = False) -> AsyncGenerator[AsyncSession]:
    """A session in a transaction: committed at the end of the block, rolled back on an exception."""
    async with open_session(engine, snapshot=snapshot) as opened, opened.begin():
        yield opened


async def raw(opened: AsyncSession) -> Connection:
    """The session's own asyncpg connection, for ledger functions in the same transaction."""
    proxy = await opened.connection()
    await proxy.exec_driver_sql("SELECT 1")  # SQLAlchemy begins the transaction with its own first statement
    connection = await proxy.get_raw_connection()
    return cast("Connection", connection.driver_connection)
