"""The price book: versions that stay, and what a job costs by the one it was quoted from."""

import uuid

import asyncpg
import pytest

from db.postgres.jobs_worker import WorkerConnection
from db.postgres.pool import Pool
from db.postgres.queries import query
from db.types import MICRO, Finished, Price
from tests.db.postgres.test_jobs import claim, finish
from tests.db.postgres.test_ledger import balance, findings, shift_clock
from tests.records import Submit, Wallet, new_job


async def set_price(
    pool: Pool,
    unit: str,
    amount: int,
    *,
    kind: str = "speech",
    engine: str = "*",
    ref: uuid.UUID | None = None,
) -> tuple[str, int]:
    row = await pool.fetchrow(
        query("set_price"), ref or uuid.uuid4(), "speech", "*", unit, amount, None, "admin", "test"
    )
    return row["code"], row["version"]


async def prices(pool: Pool) -> list[Price]:
    return [Price(**dict(row)) for row in await pool.fetch(query("prices"))]


async def test_a_request_costs_a_credit_by_default(pool: Pool) -> None:
    [default] = await prices(pool)
    assert (default.kind, default.engine, default.unit, default.amount) == ("*", "*", "request", MICRO)


async def test_audio_paid_by_the_second_costs_its_length_and_the_rest_comes_back(
    pool: Pool, wallet: Wallet, submit: Submit, worker: WorkerConnection
) -> None:
    owner = await wallet()
    _, version = await set_price(pool, "audio_second", MICRO // 10)
    await submit(new_job(owner, hold=3 * MICRO, tariff=version))
    [job] = claim(worker)
    assert finish(worker, Finished(id=job, attempt=1, outcome="done", duration_ms=12_345)) == ["completed"]
    assert await balance(pool, owner) == (60 * MICRO - 1_234_500, 0, 0, 1_234_500)
    assert await findings(pool) == []


@pytest.mark.parametrize("duration_ms", [40_000, None])
async def test_audio_longer_than_was_held_for_or_of_unknown_length_costs_the_hold(
    pool: Pool, wallet: Wallet, submit: Submit, worker: WorkerConnection, duration_ms: int | None
) -> None:
    owner = await wallet()
    _, version = await set_price(pool, "audio_second", MICRO // 10)
    await submit(new_job(owner, hold=3 * MICRO, tariff=version))
    [job] = claim(worker)
    finish(worker, Finished(id=job, attempt=1, outcome="done", duration_ms=duration_ms))
    assert await balance(pool, owner) == (57 * MICRO, 0, 0, 3 * MICRO)


async def test_a_job_is_paid_as_it_was_quoted_whatever_the_price_becomes(
    pool: Pool, wallet: Wallet, submit: Submit, worker: WorkerConnection
) -> None:
    owner = await wallet()
    _, old = await set_price(pool, "audio_second", MICRO)
    await submit(new_job(owner, hold=3 * MICRO, tariff=old))
    await set_price(pool, "audio_second", 2 * MICRO)
    [job] = claim(worker)
    finish(worker, Finished(id=job, attempt=1, outcome="done", duration_ms=1000))
    assert (await balance(pool, owner))[3] == MICRO


async def test_a_price_is_set_once_per_reference_and_recorded(pool: Pool) -> None:
    ref = uuid.uuid4()
    first = await set_price(pool, "request", 5, ref=ref)
    assert (first[0], await set_price(pool, "request", 7, ref=ref)) == ("set", ("replayed", first[1]))
    act = await pool.fetchrow("SELECT act, actor, owner, details::text FROM cv.admin_act WHERE ref = $1", ref)
    assert (act["act"], act["actor"], act["owner"]) == ("price", "admin", None)
    assert '"amount": 5' in act["details"]


async def test_a_future_price_applies_from_its_time(pool: Pool, database: tuple[str, str]) -> None:
    statement = "SELECT code FROM cv.set_price($1, '*', '*', 'request', 2, now() + $2::interval, 'a', 'r')"
    codes = [
        await pool.fetchval(statement.replace("$2", f"'{wait}'"), uuid.uuid4())
        for wait in ("1 day", "-1 day")
    ]
    assert codes == ["set", "past"]
    assert [price.amount for price in await prices(pool)] == [MICRO]
    await shift_clock(database[0], "2 days")
    assert [price.amount for price in await prices(pool)] == [2]


@pytest.mark.parametrize(
    "statement", ["UPDATE cv.price SET amount = 0", "DELETE FROM cv.price", "TRUNCATE cv.price"]
)
async def test_no_price_is_ever_changed(database: tuple[str, str], statement: str) -> None:
    superuser = await asyncpg.connect(database[0])
    with pytest.raises(asyncpg.InsufficientPrivilegeError, match="append-only"):
        await superuser.execute(statement)
    await superuser.close()
