"""Jobs that are followed, inside one process: one look answers all."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager, ExitStack
from datetime import timedelta

import pytest

from app.domain.database import Database
from app.domain.errors import Unavailable
from app.domain.jobs.notifications import JobNotifications
from app.domain.jobs.status_polling import FollowedJob, Follower, StatusPolling
from db.postgres.pool import Connection, Pool
from db.postgres.queries import query
from tests.records import Submit, Wallet, new_job, submit, wallet

__all__ = ["submit", "wallet"]
CLAIM_ONE = ("espeak", None, True, False, 1, 100, 100, "w1", timedelta(seconds=10))  # of any lane or account
FOLLOWERS = 200


class Counting(Database):
    """The record, with a count of the connections taken."""

    taken = 0

    def connection(self) -> AbstractAsyncContextManager[Connection]:
        self.taken += 1
        return super().connection()


@pytest.fixture
async def record(database: tuple[str, str]) -> AsyncGenerator[Counting]:
    record = Counting(database[1], connections_max=2, statement_timeout_ms=5000, wait_s=5, waiting_max=9)
    await record.open(within_s=5)
    yield record
    await record.close()


@pytest.fixture
async def signals(redis_url: str) -> AsyncGenerator[JobNotifications]:
    signals = JobNotifications(redis_url)
    yield signals
    await signals.close()


@pytest.fixture
async def job(pool: Pool, wallet: Wallet, submit: Submit) -> FollowedJob:
    [made] = await submit(new_job(await wallet()))
    row = await pool.fetchrow(query("followed_jobs"), [made.id])
    assert row is not None
    return FollowedJob(**dict(row))


async def next_states(followers: list[Follower]) -> set[str]:
    await asyncio.gather(*(follower.wait(30) for follower in followers))
    return {follower.job.state for follower in followers}


async def test_however_many_follow_a_job_it_is_looked_at_once(
    record: Counting, signals: JobNotifications, pool: Pool, job: FollowedJob
) -> None:
    looks = StatusPolling(record, signals)
    with ExitStack() as stack:
        followers = [stack.enter_context(looks.following(job)) for _ in range(FOLLOWERS)]
        await pool.fetch(query("claim"), *CLAIM_ONE)
        assert await next_states(followers) == {"processing"}

        assert record.taken <= 3  # at each look one, and it may be that one came before the claim


async def test_who_comes_when_the_job_is_over_learns_it_at_once(
    record: Counting, signals: JobNotifications, pool: Pool, job: FollowedJob
) -> None:
    looks = StatusPolling(record, signals)
    with looks.following(job) as first:
        await pool.execute(query("cancel"), job.id, await owner_of(pool, job), "test")
        assert await next_states([first]) == {"cancelled"}
        with looks.following(job) as late:
            assert await next_states([late]) == {"cancelled"}


async def test_when_the_process_ends_followers_are_told(
    record: Counting, signals: JobNotifications, job: FollowedJob
) -> None:
    with StatusPolling(record, signals).following(job) as follower:
        signals.end_waits()
        with pytest.raises(Unavailable, match="about to stop"):
            await follower.wait(30)


async def owner_of(pool: Pool, job: FollowedJob) -> object:
    return await pool.fetchval("SELECT owner FROM cv.job WHERE id = $1", job.id)
