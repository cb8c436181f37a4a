"""Finishing jobs and renewing leases lock rows in one order, so neither waits for the other (A3)."""

import asyncio
from collections.abc import Sequence
from uuid import UUID

import asyncpg

from db.postgres import jobs_worker
from db.postgres.jobs_worker import WorkerConnection, worker_connection
from db.postgres.pool import Pool
from db.types import Finished
from tests.db.postgres.test_jobs import claim, finish
from tests.records import Submit, Wallet, new_job

_LOCK = "SELECT FROM cv.job WHERE id = $1 FOR NO KEY UPDATE"
_IS_FREE = (
    "SELECT count(*) = 1 FROM (SELECT FROM cv.job WHERE id = $1 FOR NO KEY UPDATE SKIP LOCKED) AS found"
)
_IN_ORDER = "SELECT id FROM cv.job ORDER BY owner, id"
_WAITING = """SELECT count(*) FROM pg_stat_activity
  WHERE datname = current_database() AND wait_event_type = 'Lock'"""


async def test_jobs_are_ended_in_the_order_in_which_their_leases_are_renewed(
    pool: Pool, wallet: Wallet, submit: Submit, worker: WorkerConnection, database: tuple[str, str]
) -> None:
    await submit(*[new_job(await wallet()) for _ in range(3)])
    held = claim(worker)
    first, *_, last = [row["id"] for row in await pool.fetch(_IN_ORDER)]
    holder, observer = await asyncpg.connect(database[0]), await asyncpg.connect(database[0])

    for act in (_renew, _finish):
        other = await asyncio.to_thread(worker_connection, database[1], application_name="test-other")
        async with holder.transaction():
            await holder.execute(_LOCK, first)
            acting = asyncio.create_task(asyncio.to_thread(act, other, [last, *held]))
            await _one_waits(holder)
            is_free = await observer.fetchval(_IS_FREE, last)
        await acting
        other.close()
        assert is_free, f"{act.__name__} locks the last job first"
    await holder.close()
    await observer.close()


async def _one_waits(holder: "asyncpg.Connection[asyncpg.Record]") -> None:
    async with asyncio.timeout(60):
        while not await holder.fetchval(_WAITING):
            await holder.execute("SELECT pg_stat_clear_snapshot()")
            await asyncio.sleep(0.01)


def _renew(other: WorkerConnection, jobs: Sequence[UUID]) -> None:
    jobs_worker.renew(other, [(job, 1) for job in dict.fromkeys(jobs)], worker="w", lease_s=10)


def _finish(other: WorkerConnection, jobs: Sequence[UUID]) -> None:
    finish(other, *[Finished(id=job, attempt=1, outcome="done") for job in dict.fromkeys(jobs)])


async def test_a_renewal_distinguishes_attempts_at_the_same_job(
    wallet: Wallet, submit: Submit, worker: WorkerConnection
) -> None:
    [sent] = await submit(new_job(await wallet()))
    assert sent.id is not None
    claim(worker, lease_s=-1)
    jobs_worker.sweep(worker, tries_max=3, limit=10)
    claim(worker)  # again, by the same worker, while it still holds its first attempt

    renewed = jobs_worker.renew(worker, [(sent.id, 2), (sent.id, 1)], worker="w", lease_s=10)

    assert renewed == {(sent.id, 2)}
