"""Worker faults that once occurred: lapsed leases, unreadable rows, orphaned audio, full logs."""

import asyncio
import sys
import threading
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from db.logging import configure
from db.postgres import jobs_api, jobs_worker
from db.postgres.jobs_worker import WorkerConnection
from db.postgres.pool import Pool, transaction
from db.storage.objects import open_store
from tests.records import Submit, Wallet
from tests.workers.conftest import LocalWorker
from tests.workers.jobs.test_runner import order, spent, until
from workers.jobs.connection import WorkerLink
from workers.settings import WorkerSettings


async def test_a_job_reclaimed_after_a_lapsed_lease_is_held_by_its_new_attempt(
    local_worker: LocalWorker,
    pool: Pool,
    wallet: Wallet,
    submit: Submit,
    worker: WorkerConnection,
    database: tuple[str, str],
) -> None:
    [sent] = await submit(order(await wallet(), "hang"))
    assert sent.id is not None
    local_worker.runner.claims.claim_available()
    await asyncio.to_thread(local_worker.engine.begun.get, timeout=20)
    assert jobs_worker.renew(
        worker, local_worker.runner.rows.held(), worker=local_worker.name, lease_s=-1
    ) == {(sent.id, 1)}
    jobs_worker.sweep(worker, tries_max=3, limit=10)
    local_worker.runner.rows.lose(
        [(sent.id, 1)]
    )  # what the next beat does: the row's thread claims the job again
    await asyncio.to_thread(local_worker.engine.begun.get, timeout=20)
    async with asyncio.timeout(20):
        while local_worker.runner.rows.held() != [
            (sent.id, 2)
        ]:  # the first attempt's finish is fenced meanwhile
            await asyncio.sleep(0.01)


async def test_a_job_claimed_while_the_worker_begins_to_stop_is_handed_back(
    local_worker: LocalWorker,
    pool: Pool,
    wallet: Wallet,
    submit: Submit,
    database: tuple[str, str],
    redis_url: str,
    folder: Path,
) -> None:
    class Stopping(WorkerLink):
        """Between the commit that ends and claims, and the beginning of what it claimed."""

        def run(self, function: Any, *args: Any, **named: Any) -> Any:
            done = super().run(function, *args, **named)
            if function is jobs_worker.finish_and_claim and done[1]:
                stopping.runner.stop_claiming()
                stopping_began.set()
            return done

    stopping_began, settings = threading.Event(), WorkerSettings(engine="espeak", lease_s=30)
    stopping = LocalWorker(database[1], redis_url, open_store(folder.as_uri()), settings, Stopping)
    owner = await wallet()
    await submit(*(order(owner, "steps 1 5") for _ in range(stopping.engine.slots)))
    stopping.runner.claims.claim_available()
    [last] = await submit(order(owner, "say 5"))
    stopping.engine.steps.put("go")  # one alone: its end claims
    assert await asyncio.to_thread(stopping_began.wait, 20)
    for _ in range(stopping.engine.slots - 1):
        stopping.engine.steps.put("go")
    async with asyncio.timeout(20):
        while stopping.runner.rows.held():
            await asyncio.sleep(0.01)
    found = await pool.fetchrow("SELECT state, attempt, tries FROM cv.job WHERE id = $1", last.id)
    assert tuple(found) == ("queued", 1, 0)
    assert "say 5" not in stopping.engine.requested
    stopping.close()
    local_worker.runner.claims.claim_available()
    assert (await until(pool, last.id, "completed")).attempt == 2
    assert await spent(pool, owner) == (stopping.engine.slots + 1, 0)


async def test_a_row_nobody_can_read_fails_alone(
    local_worker: LocalWorker, pool: Pool, wallet: Wallet, submit: Submit, database: tuple[str, str]
) -> None:
    owner = await wallet()
    bad, good = await submit(order(owner, "say 5"), order(owner, "say 5"))
    admin = await asyncpg.connect(database[0])
    await admin.execute("UPDATE cv.job SET params = '{}' WHERE id = $1", bad.id)
    await admin.close()
    local_worker.start()
    await until(pool, good.id, "completed")
    assert (await until(pool, bad.id, "failed")).code is not None
    [again] = await submit(order(owner, "say 5"))
    await until(pool, again.id, "completed")


async def test_audio_of_a_cancelled_job_is_not_kept(
    local_worker: LocalWorker, pool: Pool, wallet: Wallet, submit: Submit, folder: Path
) -> None:
    owner = await wallet()
    [sent] = await submit(order(owner, "say 5"))
    assert sent.id is not None
    put, putting, go_on = local_worker.store.put, threading.Event(), threading.Event()

    def slow(*given: object) -> None:
        putting.set()
        assert go_on.wait(20)
        put(*given)  # type: ignore[arg-type]

    local_worker.store.put = slow  # type: ignore[method-assign]
    local_worker.runner.claims.claim_available()
    await asyncio.to_thread(putting.wait, 20)
    async with transaction(pool) as connection:
        await jobs_api.cancel(connection, sent.id, owner=owner, actor="owner")
    go_on.set()
    async with asyncio.timeout(20):
        while local_worker.runner.rows.held():
            await asyncio.sleep(0.01)
    assert [path for path in folder.rglob("*") if path.is_file()] == []


async def test_an_unwritable_log_stops_no_job(
    local_worker: LocalWorker, pool: Pool, wallet: Wallet, submit: Submit, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As with log and store on one full disk."""

    class Full:
        def write(self, *_: str) -> None:
            raise OSError(28, "No space left on device")

        flush = write

    owner = await wallet()
    configure()
    monkeypatch.setattr(sys, "stderr", Full())
    sent = await submit(*(order(owner, text) for text in ("say 5", "break", "say 5")))
    local_worker.start()
    ends = [(await until(pool, answer.id, "completed", "failed")).state for answer in sent]
    monkeypatch.undo()
    assert ends == ["completed", "failed", "completed"]


async def test_a_locked_wallet_delays_no_other_owners_job(
    local_worker: LocalWorker, pool: Pool, wallet: Wallet, submit: Submit, database: tuple[str, str]
) -> None:
    locked, free = await wallet(), await wallet()
    await submit(order(locked, "say 5"), wait_s_max=0)  # past its deadline: the sweep wants this wallet
    holder = await asyncpg.connect(database[0])
    async with holder.transaction():
        await holder.execute("SELECT FROM cv.wallet WHERE owner = $1 FOR UPDATE", locked)
        [hanging] = await submit(order(free, "hang"))
        local_worker.start()
        await asyncio.to_thread(local_worker.engine.begun.get, timeout=20)
        [later] = await submit(order(free, "say 5"))
        await until(pool, later.id, "completed")
        assert hanging.id is not None
        async with asyncio.timeout(20):
            while local_worker.runner.rows.held() != [
                (hanging.id, 1)
            ]:  # let go of a little after its end is seen
                await asyncio.sleep(0.01)
    await holder.close()


async def test_slots_are_filled_while_a_finish_waits_for_its_wallet(
    local_worker: LocalWorker, wallet: Wallet, submit: Submit, database: tuple[str, str]
) -> None:
    locked, free = await wallet(), await wallet()
    await submit(order(locked, "say 5"), *(order(free, "hang") for _ in range(3)))
    holder = await asyncpg.connect(database[0])
    async with holder.transaction():
        await holder.execute("SELECT FROM cv.wallet WHERE owner = $1 FOR UPDATE", locked)
        local_worker.start()
        begun = [await asyncio.to_thread(local_worker.engine.begun.get, timeout=20) for _ in range(4)]
        await submit(*(order(free, "steps 1 5") for _ in range(2)))
        begun += [await asyncio.to_thread(local_worker.engine.begun.get, timeout=20)]
        local_worker.engine.steps.put("go")
        begun += [await asyncio.to_thread(local_worker.engine.begun.get, timeout=20)]
    await holder.close()
    assert sorted(begun) == ["hang"] * 3 + ["say 5"] + ["steps 1 5"] * 2


async def test_a_full_worker_leaves_the_wake_up_to_an_idle_one(
    local_worker: LocalWorker, wallet: Wallet, submit: Submit
) -> None:
    owner = await wallet()
    assert local_worker.runner.claims.can_claim()
    await submit(*(order(owner, "hang") for _ in range(4)))
    local_worker.runner.claims.claim_available()
    assert not local_worker.runner.claims.can_claim()
