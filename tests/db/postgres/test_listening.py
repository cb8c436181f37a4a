"""Live jobs: which have a listener, and what they cost when they do not complete."""

import uuid
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, time, timedelta
from typing import Any

import pytest

from db.postgres import jobs_api, jobs_worker, ledger
from db.postgres.jobs_worker import WorkerConnection
from db.postgres.pool import Pool
from db.postgres.queries import query
from db.types import MICRO, Claimed, Finished, NewJob
from tests.db.postgres.test_ledger import shift_clock
from tests.records import Submit, Wallet, new_job

Priced = Callable[..., Awaitable[NewJob]]
Balances = Callable[[uuid.UUID], Awaitable[tuple[int, int, int]]]


@pytest.fixture
def balances(pool: Pool) -> Balances:
    """(free, held, spent) of an owner, in credits; asserts that the ledger is clean."""

    async def of(owner: uuid.UUID) -> tuple[int, int, int]:
        async with pool.acquire() as connection:
            found = await ledger.balance(connection, owner)
            assert await ledger.audit(connection) == []
        assert found is not None
        return found.free // MICRO, found.held // MICRO, found.spent // MICRO

    return of


def claim(worker: WorkerConnection) -> list[Any]:
    return jobs_worker.claim(worker, engine="espeak", lane=None, mixed=True, limit=9, worker="w1", lease_s=60)


async def test_a_claim_reports_which_jobs_are_live(
    pool: Pool, wallet: Wallet, submit: Submit, worker: WorkerConnection
) -> None:
    owner = await wallet()
    quiet, listened, later = (new_job(owner, live=live) for live in (False, True, False))
    await submit(quiet, listened, later)
    async with pool.acquire() as connection:
        await jobs_api.listen(connection, later.id)

    assert {job.id: job.live for job in claim(worker)} == {quiet.id: False, listened.id: True, later.id: True}


PRICES = {  # of 1,000 characters, or 60 s at most, of which 10 s were given: what is due, in micro-credits
    "request": MICRO,
    "audio_second": 100_000,
    "1000_characters": 250_000,
}


@pytest.fixture
async def priced(pool: Pool, database: tuple[str, str]) -> Priced:
    """A speech job paid by this unit: a million micro-credits held; 40 s of audio are expected."""

    async def job(owner: uuid.UUID, unit: str, **options: Any) -> NewJob:
        amount = {"request": MICRO, "audio_second": 10_000, "1000_characters": MICRO}[unit]
        async with pool.acquire() as connection:
            (_, version) = await connection.fetchrow(
                query("set_price"), uuid.uuid4(), "speech", "espeak", unit, amount, None, "test", "price"
            )
        return new_job(owner, hold=MICRO, tariff=version, characters=1000, expected_ms=40_000, **options)

    return job


Ends = Callable[[Pool, WorkerConnection, Claimed, uuid.UUID], Awaitable[str]]


async def cancelled(pool: Pool, _worker: WorkerConnection, job: Claimed, owner: uuid.UUID) -> str:
    async with pool.acquire() as connection:
        return await jobs_api.cancel(connection, job.id, owner=owner, actor="test")


async def refused(_pool: Pool, worker: WorkerConnection, job: Claimed, _owner: uuid.UUID) -> str:
    return finish(worker, job, "refuse", "unspeakable_text")


async def failed_by_us(_pool: Pool, worker: WorkerConnection, job: Claimed, _owner: uuid.UUID) -> str:
    return finish(worker, job, "retry", "engine_failed", tries_max=1)


async def broken_off(pool: Pool, _worker: WorkerConnection, job: Claimed, owner: uuid.UUID) -> str:
    async with pool.acquire() as connection:
        return await jobs_api.break_off(connection, job.id, owner=owner, actor="api")


def finish(worker: WorkerConnection, job: Claimed, outcome: Any, code: str, *, tries_max: int = 3) -> str:
    end = Finished(id=job.id, attempt=job.attempt, outcome=outcome, code=code)
    (result,) = jobs_worker.finish(worker, [end], worker="w1", tries_max=tries_max, keep_s=60).values()
    return result


@pytest.mark.parametrize("unit", PRICES)
@pytest.mark.parametrize("is_listened_to", [True, False])
@pytest.mark.parametrize(
    ("end", "is_ours"), [(cancelled, False), (refused, False), (failed_by_us, True), (broken_off, True)]
)
async def test_what_was_given_is_paid_however_a_job_ends_unless_we_failed(
    pool: Pool, wallet: Wallet, submit: Submit, worker: WorkerConnection, priced: Priced,
    end: Ends, is_ours: bool, is_listened_to: bool, unit: str,
) -> None:  # fmt: skip
    owner = await wallet()
    await submit(await priced(owner, unit, live=True))
    (job,) = claim(worker)
    async with pool.acquire() as connection:
        if is_listened_to:
            for ms in (1, 10_000):
                answer = await jobs_api.record_delivery(connection, job.id, attempt=job.attempt, given_ms=ms)
                assert answer == ("heard" if unit == "request" else "metered")
        assert await end(pool, worker, job, owner) in ("cancelled", "failed")
        due = PRICES[unit] if is_listened_to and not is_ours else 0
        [status] = await jobs_api.statuses(connection, [job.id])
        [seen] = await jobs_api.progress(connection, [job.id])
        assert status is not None
        assert seen is not None
        assert (status.charged, seen.charged) == (due > 0, due > 0)
        assert (await jobs_api.cancel(connection, job.id, owner=owner, actor="test")) == "too_late"
        found = await ledger.balance(connection, owner)
        assert found is not None
        assert (found.free, found.held, found.spent) == (60 * MICRO - due, 0, due)
        assert await ledger.audit(connection) == []


async def test_what_a_lost_attempt_gave_counts_for_nothing(
    pool: Pool, wallet: Wallet, submit: Submit, balances: Balances, worker: WorkerConnection
) -> None:
    owner = await wallet()
    await submit(new_job(owner))
    (first,) = claim(worker)
    async with pool.acquire() as connection:
        assert await jobs_api.record_delivery(connection, first.id, attempt=1, given_ms=5) == "heard"
        assert finish(worker, first, "hand_back", "engine_interrupted") == "queued"
        assert await jobs_api.record_delivery(connection, first.id, attempt=1, given_ms=9) == "superseded"
        (again,) = claim(worker)
        assert await jobs_api.record_delivery(connection, first.id, attempt=1, given_ms=9) == "superseded"
        assert await jobs_api.cancel(connection, again.id, owner=owner, actor="test") == "cancelled"
        assert await jobs_api.record_delivery(connection, first.id, attempt=2, given_ms=9) == "cancelled"

    assert await balances(owner) == (60, 0, 0)


async def test_a_completed_job_is_charged_whoever_listened(
    pool: Pool, wallet: Wallet, submit: Submit, balances: Balances, worker: WorkerConnection
) -> None:
    owner = await wallet()
    await submit(new_job(owner))
    (job,) = claim(worker)
    assert finish(worker, job, "done", "") == "completed"
    async with pool.acquire() as connection:
        assert await jobs_api.record_delivery(connection, job.id, attempt=1, given_ms=9) == "completed"

    assert await balances(owner) == (59, 0, 1)


@pytest.mark.parametrize("completed", [False, True])
async def test_what_we_broke_off_is_given_back_once(
    pool: Pool, wallet: Wallet, submit: Submit, balances: Balances, worker: WorkerConnection, completed: bool
) -> None:
    owner = await wallet()
    await submit(new_job(owner))
    (job,) = claim(worker)
    async with pool.acquire() as connection:
        await jobs_api.record_delivery(connection, job.id, attempt=1, given_ms=1)
        if completed:
            finish(worker, job, "done", "")
        answers = [await jobs_api.break_off(connection, job.id, owner=owner, actor="api") for _ in range(2)]
        stranger = await jobs_api.break_off(connection, job.id, owner=await wallet(), actor="api")
        counted = await connection.fetchval("SELECT count(*) FROM cv.broken_stream WHERE owner = $1", owner)

    assert answers == ["refunded" if completed else "failed", "too_late"]
    assert (stranger, counted) == ("not_found", 1)
    assert await balances(owner) == (60, 0, 0)


async def test_a_completed_jobs_broken_stream_is_not_refunded_while_its_audio_is_there(
    pool: Pool, wallet: Wallet, submit: Submit, balances: Balances, worker: WorkerConnection
) -> None:
    owner = await wallet()
    await submit(new_job(owner))
    (job,) = claim(worker)
    end = Finished(id=job.id, attempt=1, outcome="done", object=f"jobs/{job.id}-1.wav")
    jobs_worker.finish(worker, [end], worker="w1", tries_max=3, keep_s=60)
    async with pool.acquire() as connection:
        assert await jobs_api.break_off(connection, job.id, owner=owner, actor="api") == "too_late"

    assert await balances(owner) == (59, 0, 1)


async def test_streams_cut_off_by_a_failed_attempt_are_counted(
    pool: Pool, wallet: Wallet, submit: Submit, worker: WorkerConnection
) -> None:
    owner = await wallet()
    await submit(new_job(owner), new_job(owner), new_job(owner))
    ends = [("retry", 3), ("retry", 1), ("hand_back", 3)]  # the last at a planned stop
    for job, (outcome, tries_max) in zip(claim(worker), ends, strict=True):
        async with pool.acquire() as connection:
            assert await jobs_api.record_delivery(connection, job.id, attempt=1, given_ms=5) == "heard"
        finish(worker, job, outcome, "engine_failed", tries_max=tries_max)
    async with pool.acquire() as connection:
        assert await connection.fetchval("SELECT count(*) FROM cv.broken_stream") == 2


async def test_streams_broken_by_a_stopping_api_do_not_count_as_refunds(
    pool: Pool, wallet: Wallet, submit: Submit
) -> None:
    owner = await wallet()
    [sent] = await submit(new_job(owner))
    async with pool.acquire() as connection:
        assert sent.id is not None
        await jobs_api.break_off(connection, sent.id, owner=owner, actor="api_stopping")
        assert not await jobs_api.has_too_many_refunds(connection, owner, refunds_max=0)


async def test_a_stream_refused_late_is_not_refunded(
    pool: Pool, wallet: Wallet, submit: Submit, worker: WorkerConnection
) -> None:
    owner = await wallet()
    await submit(new_job(owner))
    (job,) = claim(worker)
    async with pool.acquire() as connection:
        await jobs_api.record_delivery(connection, job.id, attempt=1, given_ms=1)
        finish(worker, job, "refuse", "audio_too_long")
        [status] = await jobs_api.statuses(connection, [job.id])
        assert status is not None
        assert (status.state, status.code, status.charged) == ("failed", "audio_too_long", True)


async def test_refunds_of_a_day_are_counted_against_an_account_outside_incidents(
    pool: Pool, wallet: Wallet, submit: Submit, worker: WorkerConnection, database: tuple[str, str]
) -> None:
    owner, others = await wallet(), [await wallet() for _ in range(2)]

    async def sign_up(days_ago: int) -> None:
        async with pool.acquire() as connection:
            await connection.executemany(
                "INSERT INTO cv.account (id, kind, created_at)"
                " VALUES ($1, 'registered', now() - $2 * interval '1 day')",
                [(each, days_ago) for each in (owner, *others)],
            )

    async def break_off_one(of: uuid.UUID) -> None:
        [sent] = await submit(new_job(of))
        async with pool.acquire() as connection:
            assert sent.id is not None
            await jobs_api.break_off(connection, sent.id, owner=of, actor="api")

    async def is_refused(of: uuid.UUID, most: int = 2) -> bool:
        async with pool.acquire() as connection:
            return await jobs_api.has_too_many_refunds(connection, of, refunds_max=most)

    to_noon = datetime.combine(datetime.now(UTC) + timedelta(days=1), time(12), UTC) - datetime.now(UTC)

    async def shift(more: timedelta) -> None:
        await shift_clock(database[0], f"{(to_noon + more).total_seconds()} seconds")

    await shift(timedelta())  # an hour on is the same day, at whatever time this runs
    for _ in range(2):
        await break_off_one(owner)
    assert not await is_refused(owner)
    await break_off_one(owner)
    assert await is_refused(owner)
    assert not await is_refused(others[0])
    for other in others:  # three accounts that anybody may have opened today
        await break_off_one(other)
    assert await is_refused(owner)
    await sign_up(days_ago=2)  # three that were there before: this is our failure
    assert not await is_refused(owner)
    await shift(timedelta(hours=1))
    for _ in range(3):
        await break_off_one(owner)
    assert await is_refused(owner)
    await shift(timedelta(days=1))
    assert not await is_refused(owner)


async def test_a_lost_worker_is_an_incident(
    pool: Pool, wallet: Wallet, submit: Submit, worker: WorkerConnection
) -> None:
    owner = await wallet()
    await submit(new_job(owner))
    jobs_worker.claim(worker, engine="espeak", lane=None, mixed=True, limit=9, worker="w1", lease_s=0)
    assert [result for _, _, result, _ in jobs_worker.sweep(worker, tries_max=3, limit=9)] == ["queued"]
    async with pool.acquire() as connection:
        [job] = await connection.fetch("SELECT id FROM cv.job")
        await jobs_api.break_off(connection, job["id"], owner=owner, actor="api")
        assert not await jobs_api.has_too_many_refunds(connection, owner, refunds_max=0)
        assert await connection.fetchval("SELECT worker FROM cv.lost_worker") == "w1"


@pytest.mark.parametrize(("live", "places"), [(False, 0), (True, 1)])
async def test_a_queued_job_whose_listeners_left_takes_no_place_unless_it_was_submitted_live(
    pool: Pool, wallet: Wallet, submit: Submit, live: bool, places: int
) -> None:
    owner = await wallet()
    [job] = await submit(new_job(owner, live=live))
    assert job.id is not None

    async with pool.acquire() as connection:
        await jobs_api.listen(connection, job.id)
        assert (await jobs_api.live_jobs(connection, "espeak"))[0] == [owner]
        await jobs_api.unlisten(connection, job.id)
        assert len((await jobs_api.live_jobs(connection, "espeak"))[0]) == places
