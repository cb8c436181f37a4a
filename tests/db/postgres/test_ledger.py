"""What the ledger promises, tested on a real Postgres."""

import uuid

import asyncpg
import pytest

from db.postgres import jobs_api, jobs_worker, ledger
from db.postgres.jobs_worker import WorkerConnection
from db.postgres.pool import Pool, transaction
from db.types import MICRO, Finished
from tests.records import Submit, Wallet, at_once, new_job


async def balance(pool: Pool, owner: uuid.UUID) -> tuple[int, int, int, int]:
    async with transaction(pool) as connection:
        now = await ledger.balance(connection, owner)
    assert now is not None
    return now.free, now.paid, now.held, now.spent


async def findings(pool: Pool) -> list[str]:
    async with transaction(pool) as connection:
        return [finding.what for finding in await ledger.audit(connection)]


def claim_all(worker: WorkerConnection, limit: int = 100) -> list[tuple[uuid.UUID, int]]:
    claimed = jobs_worker.claim(
        worker, engine="espeak", lane=None, mixed=True, limit=limit, worker="w", lease_s=10
    )
    return [(job.id, job.attempt) for job in claimed]


def finish(worker: WorkerConnection, *ended: Finished) -> list[str]:
    results = jobs_worker.finish(worker, ended, worker="w", tries_max=3, keep_s=60)
    return [results[end.id, end.attempt] for end in ended]


async def test_a_new_wallet_has_this_months_free_credits(pool: Pool, wallet: Wallet) -> None:
    assert await balance(pool, await wallet()) == (60 * MICRO, 0, 0, 0)


async def test_a_completed_job_costs_its_price_once(
    pool: Pool, wallet: Wallet, submit: Submit, worker: WorkerConnection
) -> None:
    owner = await wallet()
    await submit(new_job(owner))
    assert await balance(pool, owner) == (59 * MICRO, 0, MICRO, 0)
    [(job, attempt)] = claim_all(worker)
    done = Finished(id=job, attempt=attempt, outcome="done")
    assert [finish(worker, done), finish(worker, done)] == [["completed"], ["fenced"]]
    assert await balance(pool, owner) == (59 * MICRO, 0, 0, MICRO)
    assert await findings(pool) == []


async def test_a_failed_job_returns_its_credit(
    pool: Pool, wallet: Wallet, submit: Submit, worker: WorkerConnection
) -> None:
    owner = await wallet()
    await submit(new_job(owner))
    [(job, attempt)] = claim_all(worker)
    assert finish(worker, Finished(id=job, attempt=attempt, outcome="refuse", code="no")) == ["failed"]
    assert await balance(pool, owner) == (60 * MICRO, 0, 0, 0)
    assert await findings(pool) == []


async def test_the_real_price_may_be_below_the_hold_never_above(
    pool: Pool, wallet: Wallet, submit: Submit, worker: WorkerConnection
) -> None:
    owner = await wallet()
    await submit(new_job(owner, hold=3 * MICRO), new_job(owner, hold=MICRO))
    (first, one), (second, two) = claim_all(worker)
    assert finish(worker, Finished(id=first, attempt=one, outcome="done", price=MICRO // 4)) == ["completed"]
    assert await balance(pool, owner) == (59 * MICRO - MICRO // 4, 0, MICRO, MICRO // 4)
    with pytest.raises(Exception, match="price"):
        finish(worker, Finished(id=second, attempt=two, outcome="done", price=2 * MICRO))
    assert await findings(pool) == []


async def two_free_and_five_paid(pool: Pool, wallet: Wallet) -> uuid.UUID:
    owner = await wallet(monthly=2 * MICRO)
    async with transaction(pool) as connection:
        await ledger.grant(
            connection, owner, ref=uuid.uuid4(), amount=5 * MICRO, actor="admin", reason="sale"
        )
    return owner


async def test_a_hold_takes_free_credits_before_paid_ones_and_gives_each_back(
    pool: Pool, wallet: Wallet, submit: Submit, worker: WorkerConnection
) -> None:
    owner = await two_free_and_five_paid(pool, wallet)
    [held] = await submit(new_job(owner, hold=3 * MICRO))
    assert (held.bucket, held.remaining) == ("paid", 4 * MICRO)
    assert await balance(pool, owner) == (0, 4 * MICRO, 3 * MICRO, 0)
    [(job, attempt)] = claim_all(worker)
    finish(worker, Finished(id=job, attempt=attempt, outcome="done", price=MICRO))
    assert await balance(pool, owner) == (MICRO, 5 * MICRO, 0, MICRO)
    assert await findings(pool) == []


async def test_a_hold_from_two_buckets_is_spent_from_each(
    pool: Pool, wallet: Wallet, submit: Submit, worker: WorkerConnection
) -> None:
    owner = await two_free_and_five_paid(pool, wallet)
    await submit(new_job(owner, hold=3 * MICRO))
    [(job, attempt)] = claim_all(worker)
    finish(worker, Finished(id=job, attempt=attempt, outcome="done"))
    assert await balance(pool, owner) == (0, 4 * MICRO, 0, 3 * MICRO)
    async with pool.acquire() as connection:
        spent = await connection.fetch(
            "SELECT bucket, amount FROM cv.transfer WHERE ref = $1 AND dst = 'spent' ORDER BY slot", job
        )
    assert [tuple(row) for row in spent] == [("free", 2 * MICRO), ("paid", MICRO)]
    assert await findings(pool) == []


async def test_an_unlimited_wallet_is_recorded_all_the_same(
    pool: Pool, wallet: Wallet, submit: Submit, worker: WorkerConnection
) -> None:
    owner = await wallet(kind="api_only", monthly=0, unlimited=True)
    [held] = await submit(new_job(owner))
    assert held.bucket == "issued"
    [(job, attempt)] = claim_all(worker)
    finish(worker, Finished(id=job, attempt=attempt, outcome="done"))
    assert await balance(pool, owner) == (0, 0, 0, MICRO)
    assert await findings(pool) == []


@pytest.mark.parametrize("company", [0, 1])
async def test_nobody_spends_what_is_not_there(
    pool: Pool, wallet: Wallet, submit: Submit, database: tuple[str, str], company: int
) -> None:
    owner, others = await wallet(monthly=10 * MICRO), [await wallet() for _ in range(company)]

    async def one() -> str:
        answer, *_ = await submit(new_job(owner), *map(new_job, others))
        return answer.code

    codes = await at_once(database[0], [one() for _ in range(40)], waiting=16)  # as many as have a connection
    assert (codes.count("queued"), codes.count("insufficient_credits")) == (10, 30)
    assert await balance(pool, owner) == (0, 0, 10 * MICRO, 0)
    assert await findings(pool) == []


async def test_a_grant_happens_once_a_reference(
    pool: Pool, wallet: Wallet, database: tuple[str, str]
) -> None:
    owner, ref = await wallet(), uuid.uuid4()

    async def give() -> str:
        async with transaction(pool) as connection:
            return await ledger.grant(connection, owner, ref=ref, amount=MICRO, actor="shop", reason="sale")

    codes = await at_once(database[0], [give() for _ in range(8)], waiting=8)
    assert sorted(codes) == ["granted"] + ["replayed"] * 7
    assert (await balance(pool, owner))[1] == MICRO


async def test_a_grant_needs_an_actor_and_a_reason(pool: Pool, wallet: Wallet) -> None:
    owner = await wallet()
    with pytest.raises(asyncpg.CheckViolationError):
        async with transaction(pool) as connection:
            await ledger.grant(connection, owner, ref=uuid.uuid4(), amount=1, actor="admin", reason=" ")


async def test_a_new_month_brings_new_free_credits_and_ends_the_old(
    pool: Pool, wallet: Wallet, submit: Submit, worker: WorkerConnection, database: tuple[str, str]
) -> None:
    owner = await wallet()
    await submit(*(new_job(owner) for _ in range(5)))
    await shift_clock(database[0], "35 days")
    assert await balance(pool, owner) == (60 * MICRO, 0, 5 * MICRO, 0)  # read without a write
    finish(
        worker,
        *(Finished(id=job, attempt=n, outcome="refuse", code="x") for job, n in claim_all(worker)),
    )
    assert await balance(pool, owner) == (60 * MICRO, 0, 0, 0)  # never 65: old credits expired
    await shift_clock(database[0], "0")
    await submit(new_job(owner))
    assert (await balance(pool, owner))[0] == 59 * MICRO  # the clock went back, the month did not
    assert await findings(pool) == []


async def shift_clock(owner_url: str, by: str) -> None:
    connection = await asyncpg.connect(owner_url)
    await connection.execute("SELECT cv.shift_clock($1::text::interval)", by)
    await connection.close()


async def test_the_application_cannot_shift_the_ledgers_clock(pool: Pool) -> None:
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await pool.execute("SELECT cv.shift_clock('1 day')")
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await pool.execute(
            "CREATE OR REPLACE FUNCTION cv.now() RETURNS timestamptz LANGUAGE sql AS 'SELECT now()'"
        )


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO cv.transfer SELECT * FROM cv.transfer",
        "UPDATE cv.wallet SET paid = paid + 1, issued = issued + 1",
        "UPDATE cv.job SET state = 'completed'",
        "INSERT INTO cv.plan VALUES (9, 'gift', 1)",
        "SELECT cv.store_wallet(cv.lock_wallet('00000000-0000-0000-0000-000000000000'))",
        "SELECT cv.settle(NULL, '00000000-0000-0000-0000-000000000000', 0, 'me')",
        "DELETE FROM cv.idempotency",
        "UPDATE cv.account SET admin = true",
        "UPDATE cv.account SET tier = 2",
        "SET ROLE cv_owner",
    ],
)
async def test_the_application_moves_credit_only_through_the_ledgers_functions(
    pool: Pool, statement: str
) -> None:
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await pool.execute(statement)


@pytest.mark.parametrize("role", ["origin", "replica"])
@pytest.mark.parametrize(
    "statement",
    ["UPDATE cv.transfer SET amount = 1", "DELETE FROM cv.transfer", "TRUNCATE cv.transfer CASCADE"],
)
async def test_not_even_the_superuser_changes_an_entry(
    wallet: Wallet, database: tuple[str, str], role: str, statement: str
) -> None:
    await wallet()
    connection = await asyncpg.connect(database[0])
    await connection.execute(f"SET session_replication_role = {role}")
    with pytest.raises(asyncpg.InsufficientPrivilegeError, match="append-only"):
        await connection.execute(statement)
    await connection.close()


async def test_the_superuser_cannot_unbalance_a_wallet(wallet: Wallet, database: tuple[str, str]) -> None:
    await wallet()
    connection = await asyncpg.connect(database[0])
    with pytest.raises(asyncpg.CheckViolationError, match="zero_sum"):
        await connection.execute("UPDATE cv.wallet SET paid = paid + 1")
    await connection.close()


@pytest.mark.parametrize("edit", ["amount = amount + 1", "reason = 'gift'", "at = at + interval '1 s'"])
async def test_an_entry_edited_behind_the_triggers_is_found(
    pool: Pool, wallet: Wallet, database: tuple[str, str], edit: str
) -> None:
    await wallet()
    connection = await asyncpg.connect(database[0])
    await connection.execute("ALTER TABLE cv.transfer DISABLE TRIGGER ALL")
    assert await findings(pool) == ["append-only trigger is not always on"] * 2
    await connection.execute(f"UPDATE cv.transfer SET {edit}")
    await connection.execute("ALTER TABLE cv.transfer ENABLE ALWAYS TRIGGER append_only_rows")
    await connection.execute("ALTER TABLE cv.transfer ENABLE ALWAYS TRIGGER append_only_table")
    assert "hash chain broken" in await findings(pool)
    await connection.close()


async def test_a_removed_last_entry_is_found(
    pool: Pool, wallet: Wallet, submit: Submit, database: tuple[str, str]
) -> None:
    await submit(new_job(await wallet()))
    connection = await asyncpg.connect(database[0])
    await connection.execute("ALTER TABLE cv.transfer DISABLE TRIGGER ALL")
    await connection.execute("DELETE FROM cv.transfer WHERE reason = 'hold'")
    await connection.close()
    assert {"projection differs from transfers", "job and hold differ", "hash chain broken"} <= set(
        await findings(pool)
    )


async def test_every_transfer_shows_two_legs_that_cancel(pool: Pool, wallet: Wallet, submit: Submit) -> None:
    await submit(new_job(await wallet()))
    legs, total = await pool.fetchrow("SELECT count(*), sum(amount) FROM cv.leg")
    assert (legs, total) == (4, 0)


async def test_a_refusal_in_a_new_month_leaves_the_wallet_whole(
    pool: Pool, wallet: Wallet, submit: Submit, worker: WorkerConnection, database: tuple[str, str]
) -> None:
    """The first access to a wallet rolls it over, which must be kept even if the operation is refused."""
    owner = await wallet()
    [sent] = await submit(new_job(owner))
    [(job, attempt)] = claim_all(worker)
    finish(worker, Finished(id=job, attempt=attempt, outcome="done"))
    await shift_clock(database[0], "35 days")
    assert sent.id is not None
    async with transaction(pool) as connection:
        assert await jobs_api.cancel(connection, sent.id, owner=owner, actor="owner") == "too_late"
    assert await findings(pool) == []
