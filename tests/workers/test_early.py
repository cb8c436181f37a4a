"""A worker with nothing to do hears of a job before its commit, and begins before its own."""

import asyncio
import threading
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import asyncpg
import pytest
from msgspec.structs import replace

from db import jobs, work
from db.engine import Pool, transaction
from db.rows import Claimed
from tests.records import Submit, Wallet, new_job
from tests.workers.conftest import Room
from tests.workers.test_runner import order, spent, until

AtCommit = Callable[[str], AbstractAsyncContextManager[asyncpg.Connection]]
MARK = 2**47 + 5
MARKS = """SELECT count(*) FROM pg_locks l JOIN pg_database d ON d.oid = l.database
WHERE l.locktype = 'advisory' AND d.datname = current_database()"""


@pytest.fixture
def at_commit(database: tuple[str, str]) -> AtCommit:
    """Has the commits of claims do so; gives the owner's connection."""

    @asynccontextmanager
    async def done(statement: str) -> AsyncGenerator[asyncpg.Connection]:
        owner = await asyncpg.connect(database[0])
        await owner.execute(f"""
            CREATE FUNCTION public.at_commit() RETURNS trigger LANGUAGE plpgsql AS $$
              BEGIN {statement}; RETURN NULL; END $$;
            CREATE CONSTRAINT TRIGGER at_commit AFTER UPDATE ON cv.job DEFERRABLE INITIALLY DEFERRED
              FOR EACH ROW WHEN (old.state = 'queued' AND new.state = 'processing')
              EXECUTE FUNCTION public.at_commit()""")
        try:
            yield owner
        finally:
            await owner.close()

    return done


async def test_the_engine_begins_before_the_claims_commit_and_is_heard_after_it(
    room: Room, pool: Pool, wallet: Wallet, submit: Submit, at_commit: AtCommit
) -> None:
    owner, began = await wallet(), threading.Event()
    [sent] = await submit(order(owner, "say 5"))
    room.engine.before_begin = began.set
    async with at_commit("PERFORM set_config('lock_timeout', '0', true), pg_advisory_xact_lock(1)") as holder:
        await holder.execute("SELECT pg_advisory_lock(1)")
        claiming = asyncio.create_task(asyncio.to_thread(room.runner.drain))
        assert await asyncio.to_thread(began.wait, 20)
        assert await pool.fetchval("SELECT state FROM cv.job") == "queued"
        assert (room.engine.begun.empty(), claiming.done()) == (True, False)
    await claiming
    await until(pool, sent.id, "completed")
    assert room.engine.begun.get(timeout=20) == "say 5"
    assert await spent(pool, owner) == (1, 0)


async def test_what_began_before_a_commit_that_failed_is_closed_and_done_again(
    room: Room, pool: Pool, wallet: Wallet, submit: Submit, at_commit: AtCommit
) -> None:
    owner = await wallet()
    [sent] = await submit(order(owner, "say 5"))
    async with at_commit("RAISE 'no'") as admin:
        room.runner.drain()
        assert [speech.closed.is_set() for speech in room.engine.speeches] == [True]
        assert (room.engine.begun.empty(), room.runner.rows.held()) == (True, [])
        assert (await until(pool, sent.id, "queued")).attempt == 0
        await admin.execute("DROP TRIGGER at_commit ON cv.job")
    room.runner.drain()
    assert (await until(pool, sent.id, "completed")).attempt == 1
    assert await spent(pool, owner) == (1, 0)


async def test_several_jobs_begin_early_in_their_order(
    room: Room, pool: Pool, wallet: Wallet, submit: Submit
) -> None:
    owner = await wallet()
    said = ["say 5", "refuse", "say\n\u2028 7"]
    sent = [(await submit(order(owner, text)))[0] for text in said]
    room.runner.drain()
    ends = [(await until(pool, answer.id, "completed", "failed")).state for answer in sent]
    assert ends == ["completed", "failed", "completed"]
    assert (room.engine.batches, room.engine.asked) == ([3], said)


async def test_an_engine_that_cannot_begin_is_tried_again(
    room: Room, pool: Pool, wallet: Wallet, submit: Submit
) -> None:
    owner = await wallet()
    [sent] = await submit(order(owner, "say 5"))

    def fail() -> None:
        room.engine.before_begin = lambda: None
        raise RuntimeError

    room.engine.before_begin = fail
    room.start()
    assert (await until(pool, sent.id, "completed")).attempt == 2
    assert await spent(pool, owner) == (1, 0)


async def test_a_worker_nudged_ahead_of_a_commit_waits_for_it(
    room: Room, pool: Pool, wallet: Wallet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(work, "_COMMIT_MS", 20_000)
    job = order(await wallet(), "say 5")
    async with transaction(pool) as connection:
        await jobs.submit(connection, [job], wait_s_max=60, open_max=10, mark=MARK)
        claiming = asyncio.create_task(asyncio.to_thread(room.runner.drain, MARK))
        async with asyncio.timeout(20):
            while not await pool.fetchval(f"{MARKS} AND NOT granted"):
                await asyncio.sleep(0.01)
        assert room.engine.asked == []
    await claiming
    assert (await until(pool, job.id, "completed")).attempt == 1


async def test_a_commit_that_does_not_come_is_not_waited_for_long(
    room: Room, pool: Pool, wallet: Wallet, submit: Submit
) -> None:
    owner = await wallet()
    late = order(owner, "say 5")
    async with transaction(pool) as connection:
        await jobs.submit(connection, [late], wait_s_max=60, open_max=10, mark=MARK)
        await asyncio.to_thread(room.runner.drain, MARK)
        assert room.engine.asked == []
        [other] = await submit(order(await wallet(), "say 7"))
        await asyncio.to_thread(room.runner.drain, MARK)  # others are claimed all the same
        await until(pool, other.id, "completed")
    await asyncio.to_thread(room.runner.drain, MARK)  # of a commit that is over, nothing is waited for
    await until(pool, late.id, "completed")


async def test_a_claim_says_early_and_late_what_a_plain_one_says(
    wallet: Wallet, submit: Submit, database: tuple[str, str]
) -> None:
    worker = work.worker_connection(database[0], application_name="owner")
    orders = [order(await wallet(), text) for text in ("say 5", "say 7")]
    for each in orders:
        await submit(each)

    def claimed(**how: Any) -> list[Claimed]:
        found = work.claim(
            worker, engine="espeak", lane=None, mixed=True, limit=9, worker="w", lease_s=60, **how
        )
        worker.execute("UPDATE cv.job SET state = 'queued', attempt = 0")
        return [replace(job, waited_s=0.0) for job in found]

    heard: list[list[Claimed]] = []
    plain = claimed()
    assert [job.id for job in plain] == [each.id for each in orders]
    assert (claimed(after=MARK), claimed(early=heard.append)) == (plain, plain)
    assert [[replace(job, waited_s=0.0) for job in jobs] for jobs in heard] == [plain]
    worker.close()


async def test_a_submission_that_fails_leaves_its_mark_to_nobody(pool: Pool, wallet: Wallet) -> None:
    async with pool.acquire() as connection:
        poor = new_job(await wallet(monthly=0))
        [refused] = await jobs.submit(connection, [poor], wait_s_max=60, open_max=10, mark=MARK)
        assert refused.code == "insufficient_credits"
        assert await connection.fetchval(MARKS) == 0
