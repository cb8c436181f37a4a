"""The front door's ways into Postgres: asyncpg's pool for hot paths, a SQLAlchemy session for cold ones.

Only `transaction()` and `session()` commit; the functions of `db` take a connection and never do.
"""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, cast

import asyncpg

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

    Connection = asyncpg.Connection | asyncpg.pool.PoolConnectionProxy
    Pool = asyncpg.Pool
else:
    Connection = Pool = Any


async def open_pool(url: str, *, connections_max: int, statement_timeout_ms: int) -> Pool:
    """A pool whose connections are not reset between uses: nobody here leaves session state behind."""
    return await asyncpg.create_pool(
        url,
        min_size=2,
        max_size=connections_max,
        reset=_no_reset,
        server_settings={"statement_timeout": str(statement_timeout_ms), "application_name": "codevoice-api"},
    )


async def _no_reset(_connection: Connection) -> None:
    """asyncpg's own reset is one more round trip at each release."""


@asynccontextmanager
async def transaction(pool: Pool) -> AsyncGenerator[Connection]:
    """A connection in a transaction: committed at the end of the block, rolled back where it raises."""
    async with pool.acquire() as connection, connection.transaction():
        yield connection


def open_engine(url: str) -> "AsyncEngine":
    """The SQLAlchemy engine of cold paths."""
    from sqlalchemy import make_url
    from sqlalchemy.ext.asyncio import create_async_engine

    return create_async_engine(
        make_url(url).set(drivername="postgresql+asyncpg"), pool_size=4, max_overflow=4
    )


@asynccontextmanager
async def session(engine: "AsyncEngine") -> AsyncGenerator["AsyncSession"]:
    """A session in a transaction: committed at the end of the block, rolled back where it raises."""
    from sqlalchemy.ext.asyncio import AsyncSession

    async with AsyncSession(engine, expire_on_commit=False) as opened, opened.begin():
        yield opened


async def raw(opened: "AsyncSession") -> Connection:
    """The session's own connection, for the ledger's functions: same transaction, one commit."""
    asked = await opened.connection()
    await asked.exec_driver_sql("SELECT 1")  # SQLAlchemy begins the transaction with its own first statement
    connection = await asked.get_raw_connection()
    return cast("Connection", connection.driver_connection)
