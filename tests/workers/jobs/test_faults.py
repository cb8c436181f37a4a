"""What once went wrong in the machine room: lapses, unreadable rows, orphaned audio, full logs."""

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
from tests.workers.conftest import Room
from tests.workers.jobs.test_runner import order, spent, until
from workers.jobs.connection import WorkerLink
from workers.settings import WorkerSettings


async def test_a_job_taken_back_after_a_lapse_is_held_by_its_new_attempt(
    room: Room,
    pool: Pool,
    wallet: Wallet,
    submit: Submit,
    worker: WorkerConnection,
    database: tuple[str, str],
) -> None:
    [sent] = await submit(order(await wallet(), "hang"))
    assert sent.id is not None
    room.runner.claim_available()
    await asyncio.to_thread(room.engine.begun.get, timeout=20)
    assert jobs_worker.renew(worker, room.runner.rows.held(), worker=room.name, lease_s=-1) == {(sent.id, 1)}
    jobs_worker.sweep(worker, tries_max=3, limit=10)
    room.runner.rows.lose([(sent.id, 1)])  # what the next beat does: the row's thread claims the job again
    await asyncio.to_thread(room.engine.begun.get, timeout=20)
    async with asyncio.timeout(20):
        while room.runner.rows.held() != [(sent.id, 2)]:  # the first attempt's finish is fenced meanwhile
            await asyncio.sleep(0.01)


async def test_what_an_end_claims_while_the_worker_is_told_to_stop_is_handed_back(
    room: Room,
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
                told.set()
            return done

    told, settings = threading.Event(), WorkerSettings(engine="espeak", lease_s=30)
    stopping = Room(database[1], redis_url, open_store(folder.as_uri()), settings, Stopping)
    owner = await wallet()
    await submit(*(order(owner, "steps 1 5") for _ in range(stopping.engine.slots)))
    stopping.runner.claim_available()
    [last] = await submit(order(owner, "say 5"))
    stopping.engine.steps.put("go")  # one alone: its end claims
    assert await asyncio.to_thread(told.wait, 20)
    for _ in range(stopping.engine.slots - 1):
        stopping.engine.steps.put("go")
    async with asyncio.timeout(20):
        while stopping.runner.rows.held():
            await asyncio.sleep(0.01)
    found = await pool.fetchrow("SELECT state, attempt, tries FROM cv.job WHERE id = $1", last.id)
    assert tuple(found) == ("queued", 1, 0)
    assert "say 5" not in stopping.engine.asked
    stopping.close()
    room.runner.claim_available()
    assert (await until(pool, last.id, "completed")).attempt == 2
    assert await spent(pool, owner) == (stopping.engine.slots + 1, 0)


async def test_a_row_nobody_can_read_fails_alone(
    room: Room, pool: Pool, wallet: Wallet, submit: Submit, database: tuple[str, str]
) -> None:
    owner = await wallet()
    bad, good = await submit(order(owner, "say 5"), order(owner, "say 5"))
    admin = await asyncpg.connect(database[0])
    await admin.execute("UPDATE cv.job SET params = '{}' WHERE id = $1", bad.id)
    await admin.close()
    room.start()
    await until(pool, good.id, "completed")
    assert (await until(pool, bad.id, "failed")).code is not None
    [again] = await submit(order(owner, "say 5"))
    await until(pool, again.id, "completed")


async def test_audio_of_a_cancelled_job_is_not_kept(
    room: Room, pool: Pool, wallet: Wallet, submit: Submit, folder: Path
) -> None:
    owner = await wallet()
    [sent] = await submit(order(owner, "say 5"))
    assert sent.id is not None
    put, putting, go_on = room.store.put, threading.Event(), threading.Event()

    def slow(*given: object) -> None:
        putting.set()
        assert go_on.wait(20)
        put(*given)  # type: ignore[arg-type]

    room.store.put = slow  # type: ignore[method-assign]
    room.runner.claim_available()
    await asyncio.to_thread(putting.wait, 20)
    async with transaction(pool) as connection:
        await jobs_api.cancel(connection, sent.id, owner=owner, actor="owner")
    go_on.set()
    async with asyncio.timeout(20):
        while room.runner.rows.held():
            await asyncio.sleep(0.01)
    assert [path for path in folder.rglob("*") if path.is_file()] == []


async def test_a_log_that_cannot_be_written_stops_no_job(
    room: Room, pool: Pool, wallet: Wallet, submit: Submit, monkeypatch: pytest.MonkeyPatch
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
    room.start()
    ends = [(await until(pool, answer.id, "completed", "failed")).state for answer in sent]
    monkeypatch.undo()
    assert ends == ["completed", "failed", "completed"]


async def test_a_locked_wallet_holds_up_no_other_owners_job(
    room: Room, pool: Pool, wallet: Wallet, submit: Submit, database: tuple[str, str]
) -> None:
    locked, free = await wallet(), await wallet()
    await submit(order(locked, "say 5"), wait_s_max=0)  # past its deadline: the sweep wants this wallet
    holder = await asyncpg.connect(database[0])
    async with holder.transaction():
        await holder.execute("SELECT FROM cv.wallet WHERE owner = $1 FOR UPDATE", locked)
        [hanging] = await submit(order(free, "hang"))
        room.start()
        await asyncio.to_thread(room.engine.begun.get, timeout=20)
        [later] = await submit(order(free, "say 5"))
        await until(pool, later.id, "completed")
        assert hanging.id is not None
        async with asyncio.timeout(20):
            while room.runner.rows.held() != [(hanging.id, 1)]:  # let go of a little after its end is seen
                await asyncio.sleep(0.01)
    await holder.close()


async def test_slots_are_filled_while_an_end_waits_for_its_wallet(
    room: Room, wallet: Wallet, submit: Submit, database: tuple[str, str]
) -> None:
    locked, free = await wallet(), await wallet()
    await submit(order(locked, "say 5"), *(order(free, "hang") for _ in range(3)))
    holder = await asyncpg.connect(database[0])
    async with holder.transaction():
        await holder.execute("SELECT FROM cv.wallet WHERE owner = $1 FOR UPDATE", locked)
        room.start()
        begun = [await asyncio.to_thread(room.engine.begun.get, timeout=20) for _ in range(4)]
        await submit(*(order(free, "steps 1 5") for _ in range(2)))
        begun += [await asyncio.to_thread(room.engine.begun.get, timeout=20)]
        room.engine.steps.put("go")
        begun += [await asyncio.to_thread(room.engine.begun.get, timeout=20)]
    await holder.close()
    assert sorted(begun) == ["hang"] * 3 + ["say 5"] + ["steps 1 5"] * 2


async def test_a_full_worker_leaves_the_nudge_to_an_idle_one(
    room: Room, wallet: Wallet, submit: Submit
) -> None:
    owner = await wallet()
    assert room.runner.has_room()
    await submit(*(order(owner, "hang") for _ in range(4)))
    room.runner.claim_available()
    assert not room.runner.has_room()
