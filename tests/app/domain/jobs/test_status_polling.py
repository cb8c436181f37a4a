"""Status polling inside one process: one query per job serves all of its followers."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager, ExitStack
from datetime import timedelta

import pytest

from app.domain.database import Database, DatabaseLimits
from app.domain.errors import Unavailable
from app.domain.jobs.history import OwnJob, own_jobs
from app.domain.jobs.notifications import JobNotifications
from app.domain.jobs.status_polling import Follower, StatusPolling
from db.postgres.pool import Connection, Pool
from db.postgres.queries import query
from tests.records import Submit, Wallet, new_job, submit, wallet

__all__ = ["submit", "wallet"]
CLAIM_ONE = ("espeak", None, True, False, 1, 100, 100, "w1", timedelta(seconds=10))  # of any lane or account
FOLLOWERS = 200


class Counting(Database):
    """The database, with a count of the connections taken."""

    taken = 0

    def connection(self) -> AbstractAsyncContextManager[Connection]:
        self.taken += 1
        return super().connection()


@pytest.fixture
async def app_database(database: tuple[str, str]) -> AsyncGenerator[Counting]:
    app_database = Counting(
        database[1], DatabaseLimits(database_waiting_max=9), connections_max=2, statement_timeout_ms=5000
    )
    await app_database.open(within_s=5)
    yield app_database
    await app_database.close()


@pytest.fixture
async def signals(redis_url: str) -> AsyncGenerator[JobNotifications]:
    signals = JobNotifications(redis_url)
    yield signals
    await signals.close()


@pytest.fixture
async def job(pool: Pool, wallet: Wallet, submit: Submit) -> OwnJob:
    [made] = await submit(new_job(await wallet()))
    async with pool.acquire() as connection:
        [found] = await own_jobs(connection, [made.id])
    assert found is not None
    return found


async def next_states(followers: list[Follower]) -> set[str]:
    await asyncio.gather(*(follower.wait(30) for follower in followers))
    return {follower.job.state for follower in followers}


async def test_however_many_follow_a_job_it_is_looked_at_once(
    app_database: Counting, signals: JobNotifications, pool: Pool, job: OwnJob
) -> None:
    polling = StatusPolling(app_database, signals)
    with ExitStack() as stack:
        followers = [stack.enter_context(polling.following(job)) for _ in range(FOLLOWERS)]
        await pool.fetch(query("claim"), *CLAIM_ONE)
        assert await next_states(followers) == {"processing"}

        assert app_database.taken <= 3  # one per poll, and one poll may have preceded the claim


async def test_a_follower_of_a_finished_job_receives_its_end_at_once(
    app_database: Counting, signals: JobNotifications, pool: Pool, job: OwnJob
) -> None:
    polling = StatusPolling(app_database, signals)
    with polling.following(job) as first:
        await pool.execute(query("cancel"), job.id, await owner_of(pool, job), "test")
        assert await next_states([first]) == {"cancelled"}
        with polling.following(job) as late:
            assert await next_states([late]) == {"cancelled"}


async def test_followers_are_notified_when_the_process_ends(
    app_database: Counting, signals: JobNotifications, job: OwnJob
) -> None:
    with StatusPolling(app_database, signals).following(job) as follower:
        signals.end_waits()
        with pytest.raises(Unavailable, match="about to stop"):
            await follower.wait(30)


async def owner_of(pool: Pool, job: OwnJob) -> object:
    return await pool.fetchval("SELECT owner FROM cv.job WHERE id = $1", job.id)
