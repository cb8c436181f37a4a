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


async def test_the_sum_follows_concurrent_completions_and_removals(
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


async def test_audio_is_removed_in_the_lock_order_in_which_jobs_end(
    pool: Pool, wallet: Wallet, submit: Submit, database: tuple[str, str]
) -> None:
    """Wallets first: otherwise a finish of the same owners' jobs could deadlock with the removal."""
    [job] = await submit(new_job(await wallet()))
    await pool.fetch(query("claim"), *claim(1))
    assert job.id is not None
    await finish(pool, [job.id])

    await at_once(database[0], [pool.execute(query("forget_audio"), [job.id])], waiting=1)

    assert await pool.fetchval("SELECT object IS NULL FROM cv.job WHERE id = $1", job.id)
    assert await pool.fetchval("SELECT bytes FROM cv.stored") == 0


async def test_reserved_space_is_granted_once_and_released_when_its_job_ends(
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


async def test_the_disks_space_is_shared_by_the_reservations_of_all_accounts(
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


async def test_space_reserved_for_a_failed_request_is_released(
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
