"""A month that ends under load."""

import asyncio
import time
import uuid

from db.postgres import jobs_api, jobs_worker, ledger
from db.postgres.jobs_worker import WorkerConnection
from db.postgres.pool import Pool, transaction
from db.types import MICRO, Finished
from tests.db.postgres.test_ledger import balance, findings, shift_clock
from tests.records import Submit, Wallet, new_job

CLIENTS, ROUNDS = 8, 12
PAID = 200 * MICRO


async def test_a_month_that_ends_under_load_leaves_sixty(
    pool: Pool, wallet: Wallet, submit: Submit, worker: WorkerConnection, database: tuple[str, str]
) -> None:
    """Five holds stay open across it; others come and go, cancelled or failed, before and after."""
    owner = await wallet()
    async with transaction(pool) as connection:  # so that no hold is refused because of another
        await ledger.grant(connection, owner, ref=uuid.uuid4(), amount=PAID, actor="shop", reason="sale")
    open_ones = [new_job(owner, engine="later") for _ in range(5)]
    await submit(*open_ones)
    clients = [asyncio.create_task(come_and_go(pool, submit, owner)) for _ in range(CLIENTS)]
    failing = asyncio.create_task(asyncio.to_thread(fail_all, worker, "broken", CLIENTS * ROUNDS))
    await shift_clock(database[0], "35 days")
    await asyncio.gather(*clients, failing)

    still_held = await balance(pool, owner)
    await asyncio.to_thread(fail_all, worker, "later", 5)

    assert still_held == (60 * MICRO, PAID, 5 * MICRO, 0)
    assert await balance(pool, owner) == (60 * MICRO, PAID, 0, 0)
    assert await findings(pool) == []


async def come_and_go(pool: Pool, submit: Submit, owner: uuid.UUID) -> None:
    for _ in range(ROUNDS):
        mine, workers = new_job(owner, engine="nobody's"), new_job(owner, engine="broken")
        codes = [answer.code for answer in await submit(mine, workers)]
        assert codes == ["queued", "queued"]
        async with transaction(pool) as connection:
            assert await jobs_api.cancel(connection, mine.id, owner=owner, actor="owner") == "cancelled"


def fail_all(worker: WorkerConnection, engine: str, count: int) -> None:
    """Fails `count` jobs of an engine, as they come."""
    failed, deadline = 0, time.monotonic() + 60
    while failed < count and time.monotonic() < deadline:
        taken = jobs_worker.claim(
            worker, engine=engine, lane=None, mixed=True, limit=9, worker="w", lease_s=60
        )
        ended = [Finished(id=job.id, attempt=job.attempt, outcome="refuse") for job in taken]
        results = jobs_worker.finish(worker, ended, worker="w", tries_max=3, keep_s=60)
        failed += list(results.values()).count("failed")
    assert failed == count
