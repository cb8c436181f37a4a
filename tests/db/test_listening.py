"""Who listens to a job, and what a job broken off then costs."""

import uuid
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from db import jobs, ledger, work
from db.engine import Pool
from db.rows import MICRO
from db.work import WorkerConnection
from tests.records import Submit, Wallet, new_job

Balances = Callable[[uuid.UUID], Awaitable[tuple[int, int, int]]]


@pytest.fixture
def balances(pool: Pool) -> Balances:
    """(free, held, spent) of an owner, in credits; and the record is clean."""

    async def of(owner: uuid.UUID) -> tuple[int, int, int]:
        async with pool.acquire() as connection:
            found = await ledger.balance(connection, owner)
            assert await ledger.audit(connection) == []
        assert found is not None
        return found.free // MICRO, found.held // MICRO, found.spent // MICRO

    return of


def claim(worker: WorkerConnection) -> list[Any]:
    return work.claim(worker, engine="espeak", lane=None, mixed=True, limit=9, worker="w1", lease_s=60)


async def test_a_worker_hears_who_is_listened_to(
    pool: Pool, wallet: Wallet, submit: Submit, worker: WorkerConnection
) -> None:
    owner = await wallet()
    quiet, loud, later = (new_job(owner, live=live) for live in (False, True, False))
    await submit(quiet, loud, later)
    async with pool.acquire() as connection:
        await jobs.listen(connection, later.id)

    assert {job.id: job.live for job in claim(worker)} == {quiet.id: False, loud.id: True, later.id: True}


@pytest.mark.parametrize(("before", "now", "spent"), [(False, False, 0), (True, False, 1), (False, True, 1)])
async def test_a_job_broken_off_costs_what_was_heard(
    pool: Pool, wallet: Wallet, submit: Submit, balances: Balances, before: bool, now: bool, spent: int
) -> None:
    owner = await wallet()
    job = new_job(owner)
    await submit(job)
    async with pool.acquire() as connection:
        if before:
            await jobs.hear(connection, job.id)
        assert await jobs.cancel(connection, job.id, owner=owner, actor="test", heard=now) == "cancelled"
        assert await jobs.cancel(connection, job.id, owner=owner, actor="test", heard=True) == "too_late"

    assert await balances(owner) == (60 - spent, 0, spent)


async def test_a_job_heard_in_part_that_expires_is_paid_for(
    pool: Pool, wallet: Wallet, submit: Submit, balances: Balances, worker: WorkerConnection
) -> None:
    owner = await wallet()
    heard, silent = new_job(owner), new_job(owner)
    await submit(heard, silent, wait_s_max=0)
    async with pool.acquire() as connection:
        await jobs.hear(connection, heard.id)

    ended = {job: result for job, _, result, *_ in work.sweep(worker, tries_max=3, limit=9)}

    assert ended == {heard.id: "expired", silent.id: "expired"}
    assert await balances(owner) == (59, 0, 1)


async def test_a_job_heard_in_part_that_we_failed_is_free(
    pool: Pool, wallet: Wallet, submit: Submit, balances: Balances, worker: WorkerConnection
) -> None:
    owner = await wallet()
    await submit(new_job(owner))
    (job,) = claim(worker)
    async with pool.acquire() as connection:
        await jobs.hear(connection, job.id)
    end = work.Finished(id=job.id, attempt=job.attempt, outcome="refuse", code="broken")
    work.finish(worker, [end], worker="w1", tries_max=3, keep_s=60)

    assert await balances(owner) == (60, 0, 0)


@pytest.mark.parametrize("completed", [False, True])
async def test_what_we_broke_off_is_given_back_once(
    pool: Pool, wallet: Wallet, submit: Submit, balances: Balances, worker: WorkerConnection, completed: bool
) -> None:
    owner = await wallet()
    await submit(new_job(owner))
    (job,) = claim(worker)
    async with pool.acquire() as connection:
        await jobs.hear(connection, job.id)
        if completed:
            end = work.Finished(id=job.id, attempt=job.attempt, outcome="done")
            work.finish(worker, [end], worker="w1", tries_max=3, keep_s=60)
        answers = [await jobs.break_off(connection, job.id, owner=owner, actor="api") for _ in range(2)]
        stranger = await jobs.break_off(connection, job.id, owner=await wallet(), actor="api")

    assert answers == ["refunded" if completed else "failed", "too_late"]
    assert stranger == "not_found"
    assert await balances(owner) == (60, 0, 0)
