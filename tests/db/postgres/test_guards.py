"""Each test here kills a mutant of the SQL that the tests in test_jobs and test_ledger let live."""

import asyncio
import re
import uuid
from collections.abc import AsyncGenerator

import asyncpg
import pytest

from db.postgres import jobs_api, jobs_worker, ledger
from db.postgres.jobs_worker import WorkerConnection, worker_connection
from db.postgres.pool import Pool, transaction
from db.postgres.queries import query
from db.types import MICRO, Finished
from tests.db.postgres.test_jobs import claim, clean, finish, status
from tests.db.postgres.test_ledger import balance, findings, shift_clock
from tests.records import Submit, Wallet, new_job


@pytest.fixture
async def owner_of_all(database: tuple[str, str]) -> AsyncGenerator[asyncpg.Connection]:
    connection = await asyncpg.connect(database[0])
    yield connection
    await connection.close()


async def waits_for_a_lock(admin: asyncpg.Connection, application: str) -> None:
    """Returns once that client waits for a row lock."""
    async with asyncio.timeout(10):
        while not await admin.fetchval(
            "SELECT count(*) FROM pg_stat_activity WHERE application_name = $1 AND wait_event_type = 'Lock'"
            " AND datname = current_database()",
            application,
        ):
            await asyncio.sleep(0.01)


async def test_a_workers_own_earlier_attempt_is_fenced_too(
    pool: Pool, wallet: Wallet, submit: Submit, worker: WorkerConnection
) -> None:
    [sent] = await submit(new_job(await wallet()))
    assert sent.id is not None
    claim(worker, lease_s=-1)
    jobs_worker.sweep(worker, tries_max=3, limit=10)
    assert claim(worker) == [sent.id]
    assert jobs_worker.renew(worker, [(sent.id, 1)], worker="w", lease_s=10) == set()
    assert finish(worker, Finished(id=sent.id, attempt=1, outcome="done")) == ["fenced"]
    assert (await status(pool, sent.id)).state == "processing"


async def test_a_job_can_be_renewed_and_finished_only_by_its_worker(
    wallet: Wallet, submit: Submit, worker: WorkerConnection
) -> None:
    [sent] = await submit(new_job(await wallet()))
    assert sent.id is not None
    claim(worker, by="one")
    assert jobs_worker.renew(worker, [(sent.id, 1)], worker="two", lease_s=10) == set()
    assert finish(worker, Finished(id=sent.id, attempt=1, outcome="done"), by="two") == ["fenced"]


async def test_no_transfer_of_a_hold_is_written_twice(
    wallet: Wallet, submit: Submit, owner_of_all: asyncpg.Connection
) -> None:
    await submit(new_job(await wallet()))
    with pytest.raises(asyncpg.UniqueViolationError):
        await owner_of_all.execute(
            "INSERT INTO cv.transfer SELECT owner, seq + 100, ref, slot, src, dst, amount, bucket, period,"
            " actor, reason, at, hash FROM cv.transfer WHERE reason = 'hold'"
        )


async def test_finish_locks_wallets_by_owner_and_jobs_after_them(
    wallet: Wallet, submit: Submit, owner_of_all: asyncpg.Connection, worker: WorkerConnection
) -> None:
    first, second = sorted([await wallet(), await wallet()])
    await submit(new_job(second), new_job(first))
    done = [Finished(id=job, attempt=1, outcome="done") for job in claim(worker)]
    async with owner_of_all.transaction():
        await owner_of_all.execute("SELECT FROM cv.wallet WHERE owner = $1 FOR UPDATE", first)
        ending = asyncio.create_task(asyncio.to_thread(finish, worker, *done))
        await waits_for_a_lock(owner_of_all, "test-worker")
        free = "SELECT count(*) FROM (SELECT FROM {} FOR UPDATE SKIP LOCKED) q"
        assert await owner_of_all.fetchval(free.format("cv.wallet")) == 2
        assert await owner_of_all.fetchval(free.format("cv.job")) == 2
    assert await ending == ["completed"] * 2


async def test_submit_locks_wallets_by_owner(
    pool: Pool, wallet: Wallet, submit: Submit, owner_of_all: asyncpg.Connection
) -> None:
    first, second = sorted([await wallet(), await wallet()])
    async with owner_of_all.transaction():
        await owner_of_all.execute("SELECT FROM cv.wallet WHERE owner = $1 FOR UPDATE", first)
        sending = asyncio.create_task(submit(new_job(second), new_job(first)))
        await waits_for_a_lock(owner_of_all, "codevoice-api")
        query = "SELECT count(*) FROM (SELECT FROM cv.wallet FOR UPDATE SKIP LOCKED) q"
        assert await owner_of_all.fetchval(query) == 2
    assert [answer.code for answer in await sending] == ["queued"] * 2


async def test_a_key_is_free_again_after_a_day(
    wallet: Wallet, submit: Submit, owner_of_all: asyncpg.Connection
) -> None:
    owner = await wallet()
    [first] = await submit(new_job(owner, key="k", fingerprint=b"a"))
    await owner_of_all.execute("UPDATE cv.idempotency SET at = at - interval '25 hours'")
    [again] = await submit(new_job(owner, key="k", fingerprint=b"a"))
    assert (again.code, again.id == first.id) == ("queued", False)


@pytest.mark.parametrize("end", ["cancelled", "expired"])
async def test_the_key_of_a_job_that_came_to_nothing_is_free_again(
    pool: Pool, wallet: Wallet, submit: Submit, worker: WorkerConnection, end: str
) -> None:
    owner = await wallet()
    [first] = await submit(new_job(owner, key="k", fingerprint=b"a"), wait_s_max=0)
    assert first.id is not None
    if end == "expired":
        jobs_worker.sweep(worker, tries_max=3, limit=10)
    else:
        async with transaction(pool) as connection:
            await jobs_api.cancel(connection, first.id, owner=owner, actor="owner")
    assert (await status(pool, first.id)).state == end
    [again] = await submit(new_job(owner, key="k", fingerprint=b"b"))
    assert again.code == "queued"


async def test_the_same_month_of_another_year_brings_credits_again(
    pool: Pool, wallet: Wallet, submit: Submit, database: tuple[str, str]
) -> None:
    owner = await wallet()
    await submit(new_job(owner))
    await shift_clock(database[0], "1 year")
    [answer] = await submit(new_job(owner))
    assert (answer.code, (await balance(pool, owner))[0]) == ("queued", 59 * MICRO)
    assert await findings(pool) == []


async def test_a_paid_credit_given_back_in_the_next_month_is_still_there(
    pool: Pool, wallet: Wallet, submit: Submit, worker: WorkerConnection, database: tuple[str, str]
) -> None:
    owner = await wallet(monthly=0)
    async with transaction(pool) as connection:
        await ledger.grant(connection, owner, ref=uuid.uuid4(), amount=MICRO, actor="shop", reason="sale")
    await submit(new_job(owner))
    await shift_clock(database[0], "35 days")
    [job] = claim(worker)
    finish(worker, Finished(id=job, attempt=1, outcome="refuse"))
    assert await balance(pool, owner) == (0, MICRO, 0, 0)


async def test_a_lease_renewed_while_the_sweep_waits_is_kept(
    wallet: Wallet,
    submit: Submit,
    owner_of_all: asyncpg.Connection,
    database: tuple[str, str],
    worker: WorkerConnection,
) -> None:
    [sent] = await submit(new_job(await wallet()))
    assert sent.id is not None
    claim(worker, lease_s=-1)
    sweeper = worker_connection(database[1], application_name="sweeper")
    async with owner_of_all.transaction():
        await owner_of_all.execute("SELECT cv.renew(ARRAY[$1::uuid], '{1}', 'w', interval '10 s')", sent.id)
        swept = asyncio.create_task(asyncio.to_thread(jobs_worker.sweep, sweeper, tries_max=3, limit=10))
        await waits_for_a_lock(owner_of_all, "sweeper")
    assert await swept == []
    sweeper.close()


async def test_a_job_being_cancelled_is_left_alone_by_the_sweep(
    pool: Pool, wallet: Wallet, submit: Submit, owner_of_all: asyncpg.Connection, database: tuple[str, str]
) -> None:
    owner = await wallet()
    [sent] = await submit(new_job(owner), wait_s_max=0)
    sweeper = worker_connection(database[1], application_name="sweeper")
    async with owner_of_all.transaction():
        await owner_of_all.execute("SELECT cv.cancel($1, $2, 'owner')", sent.id, owner)
        assert await asyncio.to_thread(jobs_worker.sweep, sweeper, tries_max=3, limit=10) == []
    assert jobs_worker.sweep(sweeper, tries_max=3, limit=10) == []
    sweeper.close()
    assert await clean(pool)


async def test_a_retried_job_rests_before_it_is_claimed_again(
    wallet: Wallet, submit: Submit, worker: WorkerConnection
) -> None:
    await submit(new_job(await wallet()))
    [job] = claim(worker)
    finish(worker, Finished(id=job, attempt=1, outcome="retry"))
    assert claim(worker) == []
    assert claim(worker, mixed=False) == []
    assert claim(worker, mixed=False, lane="ryan") == []


async def test_an_engine_claims_only_its_own_jobs(
    wallet: Wallet, submit: Submit, worker: WorkerConnection
) -> None:
    await submit(new_job(await wallet(), engine="another"))
    assert claim(worker) == []
    assert claim(worker, mixed=False) == []


@pytest.mark.parametrize("given", [{"mixed": True}, {"mixed": False}, {"mixed": False, "lane": "ryan"}])
async def test_a_claim_never_waits_for_anothers(
    wallet: Wallet,
    submit: Submit,
    owner_of_all: asyncpg.Connection,
    worker: WorkerConnection,
    given: dict[str, object],
) -> None:
    owner = await wallet()
    first, second = await submit(new_job(owner), new_job(owner))
    worker.execute("SET lock_timeout = '1s'")
    async with owner_of_all.transaction():
        await owner_of_all.execute("SELECT FROM cv.job WHERE id = $1 FOR UPDATE", first.id)
        assert claim(worker, **given) == [second.id]


async def test_a_closed_wallet_neither_spends_nor_receives(
    pool: Pool, wallet: Wallet, submit: Submit, owner_of_all: asyncpg.Connection
) -> None:
    owner = await wallet()
    await owner_of_all.execute("UPDATE cv.wallet SET closed = true")
    [answer] = await submit(new_job(owner))
    async with transaction(pool) as connection:
        given = await ledger.grant(connection, owner, ref=uuid.uuid4(), amount=1, actor="shop", reason="sale")
    assert (answer.code, given) == ("closed", "closed")


async def test_an_entry_rewritten_with_a_fitting_hash_breaks_the_next_link(
    pool: Pool, wallet: Wallet, submit: Submit, owner_of_all: asyncpg.Connection
) -> None:
    await submit(new_job(await wallet()))
    await owner_of_all.execute("ALTER TABLE cv.transfer DISABLE TRIGGER ALL")
    await owner_of_all.execute("UPDATE cv.transfer SET reason = 'gift' WHERE seq = 1")
    await owner_of_all.execute("UPDATE cv.transfer t SET hash = cv.chain_hash('\\x00', t) WHERE seq = 1")
    assert "hash chain broken" in await findings(pool)


async def test_audio_still_kept_is_not_forgotten(
    pool: Pool, wallet: Wallet, submit: Submit, worker: WorkerConnection
) -> None:
    await submit(new_job(await wallet()))
    [job] = claim(worker)
    finish(worker, Finished(id=job, attempt=1, outcome="done", object="jobs/x/1.wav"))
    assert jobs_worker.expired_audio(worker, limit=10) == []
    jobs_worker.forget_audio(worker, [job])
    assert (await status(pool, job)).object == "jobs/x/1.wav"


async def test_functions_that_run_as_the_owner_fix_their_search_path(
    owner_of_all: asyncpg.Connection,
) -> None:
    """A caller's temporary table or function must never stand in for ours."""
    paths = await owner_of_all.fetch(
        "SELECT DISTINCT proconfig FROM pg_proc WHERE pronamespace = 'cv'::regnamespace AND prosecdef"
    )
    assert all("search_path=pg_catalog, pg_temp" in row["proconfig"] for row in paths)


@pytest.mark.parametrize("name", ["submit_batch", "claim", "finish", "sweep", "charge"])
def test_what_a_function_did_is_told_by_it_alone(name: str) -> None:
    """A table beside it is read as it was before: a job claimed since then was lost to its worker."""
    (called,) = re.findall(r"(?:FROM|JOIN) (cv\.\w+)", query(name))
    assert re.sub(r"_v\d+$", "", called) == f"cv.{name}"


async def test_another_owners_job_id_is_refused(pool: Pool, wallet: Wallet, submit: Submit) -> None:
    [sent] = await submit(new_job(await wallet()))
    [refused] = await submit(new_job(await wallet(), id=sent.id))
    assert (refused.code, refused.id) == ("malformed", None)
    assert await clean(pool)


async def test_a_job_that_ended_without_settling_its_credit_is_found(
    pool: Pool, wallet: Wallet, submit: Submit, owner_of_all: asyncpg.Connection
) -> None:
    await submit(new_job(await wallet()))
    await owner_of_all.execute("UPDATE cv.job SET state = 'cancelled', price = 0")
    assert set(await findings(pool)) == {"job state and credit differ", "open jobs differ"}


async def test_a_job_whose_state_and_lease_disagree_is_found(
    pool: Pool, wallet: Wallet, submit: Submit, owner_of_all: asyncpg.Connection
) -> None:
    await submit(new_job(await wallet()))
    await owner_of_all.execute("UPDATE cv.job SET state = 'processing'")
    assert await findings(pool) == ["job state, lease and price differ"]


async def test_a_wallet_stays_and_one_removed_behind_the_guards_is_found(
    pool: Pool, wallet: Wallet, submit: Submit, owner_of_all: asyncpg.Connection
) -> None:
    await submit(new_job(await wallet()))
    with pytest.raises(asyncpg.InsufficientPrivilegeError, match="append-only"):
        await owner_of_all.execute("DELETE FROM cv.wallet")
    await owner_of_all.execute("ALTER TABLE cv.wallet DISABLE TRIGGER ALL")
    await owner_of_all.execute("DELETE FROM cv.wallet")
    assert "no wallet" in await findings(pool)


async def test_no_more_is_charged_than_was_held(
    wallet: Wallet, submit: Submit, owner_of_all: asyncpg.Connection
) -> None:
    owner = await wallet()
    [sent] = await submit(new_job(owner))
    with pytest.raises(asyncpg.CheckViolationError, match="above the hold"):
        await owner_of_all.execute(
            "SELECT cv.settle(cv.lock_wallet($1), $2, $3, 'x')", owner, sent.id, 2 * MICRO
        )
