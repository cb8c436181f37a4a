"""The bytes an account keeps: a sum that follows its jobs, whatever happens to them at once."""

import asyncio
import uuid
from datetime import timedelta

import psycopg

from db.postgres import ledger
from db.postgres.pool import Pool, transaction
from db.postgres.queries import query
from tests.records import Submit, Wallet, at_once, new_job, submit, wallet

__all__ = ["submit", "wallet"]
_SUMS = """SELECT s.owner, s.bytes, (SELECT coalesce(sum(audio_bytes), 0) FROM cv.job j
  WHERE j.owner = s.owner AND j.object IS NOT NULL) AS kept FROM cv.stored s"""
_KEPT = timedelta(0)


async def finish(pool: Pool, jobs: list[uuid.UUID]) -> None:
    n = len(jobs)
    outcomes, objects, sizes = ["done"] * n, [f"jobs/{job}-1.wav" for job in jobs], [1000] * n
    none: list[None] = [None] * n
    rest = (objects, ["audio/wav"] * n, sizes, sizes, [b"x"] * n, "w1", 3, _KEPT)
    await pool.fetch(query("finish"), jobs, [1] * n, outcomes, none, none, *rest)


def claim(limit: int) -> tuple[object, ...]:
    """Arguments of the statement: any lane, live or not, whatever an account has."""
    return "espeak", None, True, False, limit, 100, 100, "w1", timedelta(hours=1)


async def test_the_sum_follows_what_ends_and_what_is_forgotten_at_once(
    pool: Pool, wallet: Wallet, submit: Submit
) -> None:
    owners = [await wallet() for _ in range(6)]
    rounds = [[job.id for job in await submit(*map(new_job, owners)) if job.id] for _ in range(4)]
    await pool.fetch(query("claim"), *claim(100))

    for n, jobs in enumerate(rounds):
        before = rounds[n - 1] if n else []
        await asyncio.gather(finish(pool, jobs[::-1]), pool.execute(query("forget_audio"), before))

    sums = await pool.fetch(_SUMS)
    assert {row["owner"] for row in sums} == set(owners)
    assert [(row["bytes"], row["kept"]) for row in sums] == [(1000, 1000)] * len(owners)
    async with transaction(pool) as connection:
        assert await ledger.audit(connection) == []


async def test_audio_is_forgotten_in_the_order_of_locks_in_which_jobs_end(
    pool: Pool, wallet: Wallet, submit: Submit, database: tuple[str, str]
) -> None:
    """Wallets first: else who ends jobs of the same owners could wait for us while we wait for them."""
    [job] = await submit(new_job(await wallet()))
    await pool.fetch(query("claim"), *claim(1))
    assert job.id is not None
    await finish(pool, [job.id])

    await at_once(database[0], [pool.execute(query("forget_audio"), [job.id])], waiting=1)

    assert await pool.fetchval("SELECT object IS NULL FROM cv.job WHERE id = $1", job.id)
    assert await pool.fetchval("SELECT bytes FROM cv.stored") == 0


async def test_room_set_aside_is_given_once_and_free_again_when_its_job_is_over(
    pool: Pool, wallet: Wallet, submit: Submit
) -> None:
    owner = await wallet()
    wanted = [new_job(owner) for _ in range(5)]

    async def expect(job: uuid.UUID) -> bool:
        return await pool.fetchval(query("expect_store"), job, owner, 40, 100, None) == "set_aside"

    at_once = await asyncio.gather(*(expect(job.id) for job in wanted))
    given = [job for job, is_given in zip(wanted, at_once, strict=True) if is_given]
    await submit(*given)
    await pool.execute(query("cancel"), given[0].id, owner, "test")

    assert len(given) == 2
    assert [await expect(uuid.uuid4()), await expect(uuid.uuid4())] == [True, False]


async def test_the_disks_room_is_for_all_that_was_set_aside_for_whomever(
    pool: Pool, wallet: Wallet, submit: Submit
) -> None:
    wanted = [new_job(await wallet()) for _ in range(5)]

    async def expect(job: uuid.UUID, owner: uuid.UUID) -> str:
        return str(await pool.fetchval(query("expect_store"), job, owner, 40, 1000, 100))

    codes = await asyncio.gather(*(expect(job.id, job.owner) for job in wanted))
    given = [job for job, code in zip(wanted, codes, strict=True) if code == "set_aside"]
    await submit(*given)
    await pool.execute(query("cancel"), given[0].id, given[0].owner, "test")

    assert sorted(codes) == ["disk_full"] * 3 + ["set_aside"] * 2
    other = await wallet()
    assert [await expect(uuid.uuid4(), other) for _ in range(2)] == ["set_aside", "disk_full"]


async def test_what_was_set_aside_for_a_request_that_came_to_nothing_is_let_go_of(
    pool: Pool, wallet: Wallet, submit: Submit, database: tuple[str, str]
) -> None:
    owner = await wallet()
    kept, refused = new_job(owner), new_job(owner)
    for job in (kept, refused):
        await pool.fetchval(query("expect_store"), job.id, owner, 40, 100, None)
    await submit(kept)

    for job in (kept, refused):
        await pool.execute(query("unexpect_store"), job.id)

    with psycopg.connect(database[0]) as opened:
        assert opened.execute("SELECT job FROM cv.expected_store").fetchall() == [(kept.id,)]
