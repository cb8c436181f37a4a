"""What operators do to wallets: refund, expire, plans and quotas, unlimited, closing. Each act once."""

import uuid

import asyncpg
import pytest

from db.postgres import jobs_worker, ledger
from db.postgres.jobs_worker import WorkerConnection
from db.postgres.pool import Pool, transaction
from db.types import MICRO, Finished
from tests.db.postgres.test_ledger import balance, findings, shift_clock
from tests.records import Submit, Wallet, new_job

BY = {"actor": "admin", "reason": "test"}
PRO = 10_000 * MICRO


async def spend(submit: Submit, worker: WorkerConnection, owner: uuid.UUID, price: int = MICRO) -> uuid.UUID:
    """A completed job of the owner's; its id."""
    await submit(new_job(owner, hold=price))
    [job] = jobs_worker.claim(worker, engine="espeak", lane=None, mixed=True, limit=1, worker="w", lease_s=10)
    end = Finished(id=job.id, attempt=job.attempt, outcome="done")
    assert jobs_worker.finish(worker, [end], worker="w", tries_max=3, keep_s=60) == {(job.id, 1): "completed"}
    return job.id


async def test_a_refund_gives_back_once(
    pool: Pool, wallet: Wallet, submit: Submit, worker: WorkerConnection
) -> None:
    owner = await wallet(monthly=MICRO)
    async with transaction(pool) as connection:
        await ledger.grant(connection, owner, ref=uuid.uuid4(), amount=4 * MICRO, **BY)
    job = await spend(submit, worker, owner, price=3 * MICRO)
    assert await balance(pool, owner) == (0, 2 * MICRO, 0, 3 * MICRO)
    async with transaction(pool) as connection:
        codes = [await ledger.refund(connection, job, **BY) for _ in range(2)]
    assert codes == ["refunded", "replayed"]
    assert await balance(pool, owner) == (MICRO, 4 * MICRO, 0, 0)
    assert await findings(pool) == []


async def test_a_free_credit_of_a_month_gone_by_is_refunded_as_a_paid_one(
    pool: Pool, wallet: Wallet, submit: Submit, worker: WorkerConnection, database: tuple[str, str]
) -> None:
    owner = await wallet()
    job = await spend(submit, worker, owner)
    await shift_clock(database[0], "35 days")
    async with transaction(pool) as connection:
        assert await ledger.refund(connection, job, **BY) == "refunded"
    assert await balance(pool, owner) == (60 * MICRO, MICRO, 0, 0)
    assert await findings(pool) == []


async def test_a_job_that_cost_nothing_is_not_refunded(pool: Pool, wallet: Wallet, submit: Submit) -> None:
    [queued] = await submit(new_job(await wallet()))
    assert queued.id is not None
    async with transaction(pool) as connection:
        assert await ledger.refund(connection, queued.id, **BY) == "not_charged"
        assert await ledger.refund(connection, uuid.uuid4(), **BY) == "no_job"


async def test_paid_credits_expire_down_to_none_at_most(pool: Pool, wallet: Wallet) -> None:
    owner, ref = await wallet(), uuid.uuid4()
    async with transaction(pool) as connection:
        await ledger.grant(connection, owner, ref=uuid.uuid4(), amount=5, **BY)
        codes = [await ledger.expire(connection, owner, ref=ref, amount=3, **BY) for _ in range(2)]
        codes.append(await ledger.expire(connection, owner, ref=uuid.uuid4(), amount=3, **BY))
    assert codes == ["expired", "replayed", "not_enough"]
    assert await balance(pool, owner) == (60 * MICRO, 2, 0, 0)
    assert await findings(pool) == []


async def test_a_higher_plan_gives_the_difference_now_and_only_once(
    pool: Pool, wallet: Wallet, submit: Submit
) -> None:
    owner = await wallet()
    await submit(new_job(owner))
    assert await terms(pool, owner, tier=2) == "changed"
    assert await balance(pool, owner) == (PRO - MICRO, 0, MICRO, 0)
    assert [await terms(pool, owner, tier=tier) for tier in (1, 2, 1, 2)] == [
        "next_month",
        "changed",
        "next_month",
        "changed",
    ]
    assert await balance(pool, owner) == (PRO - MICRO, 0, MICRO, 0)
    assert await findings(pool) == []


async def test_a_lower_plan_holds_from_next_month(
    pool: Pool, wallet: Wallet, database: tuple[str, str]
) -> None:
    owner = await wallet(tier=2)
    assert await terms(pool, owner, tier=1) == "next_month"
    assert (await balance(pool, owner))[0] == PRO
    await shift_clock(database[0], "35 days")
    assert (await balance(pool, owner))[0] == 60 * MICRO
    async with transaction(pool) as connection:
        now = await ledger.balance(connection, owner)
        await ledger.grant(connection, owner, ref=uuid.uuid4(), amount=1, **BY)  # writes the roll-over
        then = await ledger.balance(connection, owner)
    assert now is not None
    assert then is not None
    assert (now.plan, now.tier, now.free) == (then.plan, then.tier, then.free) == ("free", 1, 60 * MICRO)
    assert await findings(pool) == []


async def test_a_quota_override_follows_the_same_rule(pool: Pool, wallet: Wallet) -> None:
    owner = await wallet(kind="api_only", monthly=2 * MICRO)
    assert await terms(pool, owner, tier=1, monthly=5 * MICRO) == "changed"
    assert (await balance(pool, owner))[0] == 5 * MICRO
    assert await terms(pool, owner, tier=1, monthly=MICRO) == "next_month"
    assert (await balance(pool, owner))[0] == 5 * MICRO


async def test_a_change_to_an_unknown_plan_or_wallet_is_refused(pool: Pool, wallet: Wallet) -> None:
    assert await terms(pool, await wallet(), tier=99) == "no_plan"
    assert await terms(pool, uuid.uuid4(), tier=1) == "no_wallet"


async def test_a_closed_wallet_has_nothing_and_gets_nothing_back(
    pool: Pool, wallet: Wallet, submit: Submit, worker: WorkerConnection, database: tuple[str, str]
) -> None:
    owner = await wallet()
    async with transaction(pool) as connection:
        await ledger.grant(connection, owner, ref=uuid.uuid4(), amount=MICRO, **BY)
    job = await spend(submit, worker, owner)
    await submit(new_job(owner))
    async with transaction(pool) as connection:
        codes = [await ledger.close(connection, owner, ref=uuid.uuid4(), **BY) for _ in range(2)]
        codes.append(await ledger.grant(connection, owner, ref=uuid.uuid4(), amount=1, **BY))
        codes.append(await ledger.refund(connection, job, **BY))
    assert codes == ["closed", "replayed", "closed", "refunded"]
    [refused] = await submit(new_job(owner))
    assert refused.code == "closed"
    [open_job] = jobs_worker.claim(
        worker, engine="espeak", lane=None, mixed=True, limit=9, worker="w", lease_s=10
    )
    void = Finished(id=open_job.id, attempt=1, outcome="refuse")
    jobs_worker.finish(worker, [void], worker="w", tries_max=3, keep_s=60)
    await shift_clock(database[0], "35 days")
    assert await balance(pool, owner) == (0, 0, 0, 0)
    assert await findings(pool) == []


async def test_unlimited_can_be_switched_on_and_off(pool: Pool, wallet: Wallet, submit: Submit) -> None:
    owner = await wallet(kind="api_only", monthly=0)
    codes = [(await submit(new_job(owner)))[0].code]
    for unlimited in (True, False):
        async with transaction(pool) as connection:
            code = await ledger.set_unlimited(connection, owner, ref=uuid.uuid4(), unlimited=unlimited, **BY)
        assert code == "changed"
        codes.append((await submit(new_job(owner)))[0].code)
    assert codes == ["insufficient_credits", "queued", "insufficient_credits"]


async def test_every_act_is_on_record_and_stays_there(
    pool: Pool, wallet: Wallet, database: tuple[str, str]
) -> None:
    owner = await wallet()
    await terms(pool, owner, tier=2)
    async with transaction(pool) as connection:
        await ledger.grant(connection, owner, ref=uuid.uuid4(), amount=1, **BY)
        await ledger.close(connection, owner, ref=uuid.uuid4(), **BY)
    acts = await pool.fetch("SELECT act, actor, reason FROM cv.admin_act WHERE owner = $1 ORDER BY at", owner)
    assert [tuple(act) for act in acts] == [(act, "admin", "test") for act in ("terms", "grant", "close")]
    superuser = await asyncpg.connect(database[0])
    for statement in ("UPDATE cv.admin_act SET actor = 'nobody'", "DELETE FROM cv.admin_act"):
        with pytest.raises(asyncpg.InsufficientPrivilegeError, match="append-only"):
            await superuser.execute(statement)
    await superuser.close()


async def terms(pool: Pool, owner: uuid.UUID, *, tier: int, monthly: int | None = None) -> str:
    async with transaction(pool) as connection:
        return await ledger.set_terms(connection, owner, ref=uuid.uuid4(), tier=tier, monthly=monthly, **BY)
