"""Wallets and jobs, made through the record's own functions."""

import uuid
from collections.abc import Awaitable, Callable, Generator
from typing import Any

import pytest

from db import jobs, ledger
from db.engine import Pool, transaction
from db.rows import MICRO, NewJob, SpeechParams, Submitted
from db.work import WorkerConnection, worker_connection

Wallet = Callable[..., Awaitable[uuid.UUID]]
Submit = Callable[..., Awaitable[list[Submitted]]]


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
            return await jobs.submit(connection, wanted, wait_s_max=wait_s_max, open_max=open_max)

    return send


@pytest.fixture
def worker(database: tuple[str, str]) -> Generator[WorkerConnection]:
    connection = worker_connection(database[1], application_name="test-worker")
    yield connection
    connection.close()
