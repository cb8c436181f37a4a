"""Fixtures for wallets and jobs, made through the database's own functions."""

import asyncio
import uuid
from collections.abc import Awaitable, Callable, Coroutine, Generator
from typing import Any, TypeVar

import asyncpg
import pytest

from db.postgres import jobs_api, ledger
from db.postgres.jobs_worker import WorkerConnection, worker_connection
from db.postgres.pool import Pool, transaction
from db.types import MICRO, NewJob, SpeechParams, Submitted

Wallet = Callable[..., Awaitable[uuid.UUID]]
Submit = Callable[..., Awaitable[list[Submitted]]]
T = TypeVar("T")

_WAITING = """SELECT count(*) FROM pg_stat_activity
WHERE datname = current_database() AND wait_event_type = 'Lock'"""


@pytest.fixture
def wallet(pool: Pool) -> Wallet:
    """Opens a wallet; its owner."""

    async def open_one(**options: Any) -> uuid.UUID:
        owner = uuid.uuid4()
        async with transaction(pool) as connection:
            await ledger.open_wallet(connection, owner, **({"kind": "registered", "tier": 1} | options))
        return owner

    return open_one


def new_job(owner: uuid.UUID, **options: Any) -> NewJob:
    given: dict[str, Any] = {
        "id": uuid.uuid4(),
        "owner": owner,
        "kind": "speech",
        "engine": "espeak",
        "lane": "ryan",
        "params": SpeechParams(text="hello", voice="ryan", language="en-US"),
        "hold": MICRO,
        "characters": 5,
        "cost_us": 1000,
    }
    return NewJob(**(given | options))


@pytest.fixture
def submit(pool: Pool) -> Submit:
    """Submits jobs in one statement."""

    async def send(*wanted: NewJob, wait_s_max: int = 3600, open_max: int = 1000) -> list[Submitted]:
        async with transaction(pool) as connection:
            return await jobs_api.submit(connection, wanted, wait_s_max=wait_s_max, open_max=open_max)

    return send


@pytest.fixture
def worker(database: tuple[str, str]) -> Generator[WorkerConnection]:
    connection = worker_connection(database[1], application_name="test-worker")
    yield connection
    connection.close()


async def at_once(url: str, calls: list[Coroutine[Any, Any, T]], *, waiting: int) -> list[T]:
    """Results of calls begun while all wallets are locked; the lock is released once `waiting` calls wait."""
    holder = await asyncpg.connect(url)
    try:
        async with holder.transaction():
            await holder.execute("SELECT FROM cv.wallet FOR NO KEY UPDATE")
            begun = [asyncio.ensure_future(call) for call in calls]
            async with asyncio.timeout(60):
                while await holder.fetchval(_WAITING) < waiting:
                    await asyncio.sleep(0.01)
                    await holder.execute("SELECT pg_stat_clear_snapshot()")
        return await asyncio.gather(*begun)
    finally:
        await holder.close()
