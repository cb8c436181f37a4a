"""Job submission: concurrent jobs share a commit and nothing else."""

import asyncio
import uuid
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import asyncpg
import pytest

from app.domain.coalescing import Coalescer
from app.domain.database import Database, DatabaseLimits
from app.domain.errors import Unavailable
from app.domain.jobs.submission import JobSubmitter, SubmissionLimits
from db.postgres import ledger
from db.postgres.pool import Connection, Pool
from db.types import NewJob, Submitted
from tests.records import MICRO, Wallet, at_once, new_job, wallet

__all__ = ["wallet"]

Busy = Callable[[], AbstractAsyncContextManager[None]]

_COMMITS = "SELECT count(DISTINCT xmin::text) FROM cv.job WHERE id = ANY($1::uuid[])"


@pytest.fixture
async def app_database(database: tuple[str, str]) -> AsyncGenerator[Database]:
    app_database = Database(
        database[1], DatabaseLimits(database_waiting_max=100), connections_max=8, statement_timeout_ms=5000
    )
    await app_database.open(within_s=5)
    yield app_database
    await app_database.close()


class RecordedWakeups:
    """Records the engines whose workers were woken."""

    def __init__(self) -> None:
        self.engines: list[str] = []

    def wake(self, engine: str) -> None:
        self.engines.append(engine)


def submitter_of(
    app_database: Database, *, requests_waiting_max: int = 1000, wakes: RecordedWakeups | None = None
) -> JobSubmitter:
    limits = SubmissionLimits(queue_wait_s=60, submits_waiting_max=requests_waiting_max)
    return JobSubmitter(app_database, limits, wakes or RecordedWakeups())


@pytest.fixture
def busy(database: tuple[str, str]) -> Busy:
    """Another connection locks all wallets for a while."""

    @asynccontextmanager
    async def hold() -> AsyncGenerator[None]:
        connection = await asyncpg.connect(database[0])
        async with connection.transaction():
            await connection.execute("SELECT FROM cv.wallet FOR NO KEY UPDATE")
            yield
        await connection.close()

    return hold


async def begun(*submits: Awaitable[Submitted]) -> "Sequence[asyncio.Future[Submitted]]":
    """All tasks, advanced as far as they run without waiting."""
    started = [asyncio.ensure_future(submit) for submit in submits]
    await asyncio.sleep(0)
    return started


async def codes(answers: "Sequence[asyncio.Future[Submitted]]") -> list[str]:
    return [answer.code for answer in await asyncio.gather(*answers)]


async def commits(pool: Pool, jobs: list[NewJob]) -> int:
    async with pool.acquire() as connection:
        return int(await connection.fetchval(_COMMITS, [job.id for job in jobs]))


async def test_jobs_submitted_while_the_database_is_busy_share_a_commit(
    pool: Pool, wallet: Wallet, app_database: Database, busy: Busy
) -> None:
    submitter, owners = submitter_of(app_database), [await wallet() for _ in range(4)]
    jobs = [new_job(owners[n % 4]) for n in range(40)]
    async with busy():
        first = await begun(*(submitter.submit(job) for job in jobs[:2]))
        answers = [*first, *await begun(*(submitter.submit(job) for job in jobs[2:]))]

    assert await codes(answers) == ["queued"] * 40
    assert await commits(pool, jobs) <= 3
    async with pool.acquire() as connection:
        assert await ledger.audit(connection) == []


async def test_a_single_job_is_submitted_without_waiting(
    pool: Pool, wallet: Wallet, app_database: Database
) -> None:
    submitter, owner = submitter_of(app_database), await wallet()
    jobs = [new_job(owner) for _ in range(3)]

    found = [(await submitter.submit(job)).code for job in jobs]

    assert (found, await commits(pool, jobs)) == (["queued"] * 3, 3)


async def test_workers_are_woken_after_the_commit_of_queued_jobs_and_not_for_refused_ones(
    wallet: Wallet, app_database: Database, busy: Busy
) -> None:
    owner, poor, wakes = await wallet(), await wallet(monthly=0), RecordedWakeups()
    submitter = submitter_of(app_database, wakes=wakes)
    assert (await submitter.submit(new_job(poor))).code == "insufficient_credits"
    assert wakes.engines == []
    async with busy():
        lone = (await begun(submitter.submit(new_job(owner))))[0]
        await asyncio.sleep(0)
        assert wakes.engines == []
    assert ((await lone).code, wakes.engines) == ("queued", ["espeak"])
    async with busy():
        first = await begun(*(submitter.submit(new_job(owner)) for _ in range(2)))
        answers = [*first, *await begun(*(submitter.submit(new_job(owner)) for _ in range(5)))]
    assert await codes(answers) == ["queued"] * 7
    assert 1 < len(wakes.engines) < 1 + len(answers)  # once a batch


async def test_a_job_sent_again_while_it_is_being_written_is_one(
    pool: Pool, wallet: Wallet, app_database: Database, database: tuple[str, str]
) -> None:
    """As after a lost connection whose statement continues: both answers are queued, one hold was made."""
    job, twice = new_job(await wallet()), [submitter_of(app_database), submitter_of(app_database)]

    answers = await at_once(database[0], [submitter.submit(job) for submitter in twice], waiting=2)

    assert [(answer.code, answer.id, answer.remaining) for answer in answers] == [
        ("queued", job.id, 59 * MICRO)
    ] * 2
    async with pool.acquire() as connection:
        assert await connection.fetchval("SELECT count(*) FROM cv.transfer WHERE ref = $1", job.id) == 1
        assert await ledger.audit(connection) == []


def _is_refused(answer: Submitted | BaseException) -> bool:
    return isinstance(answer, Exception) or (isinstance(answer, Submitted) and answer.code == "malformed")


async def test_an_invalid_job_fails_alone(wallet: Wallet, app_database: Database) -> None:
    submitter, owner = submitter_of(app_database), await wallet()
    valid = new_job(owner)
    bad = [new_job(owner, characters=2**40), new_job(owner, lane="a\0b")]

    good, *failed = await asyncio.gather(
        *(submitter.submit(job) for job in (valid, *bad)), return_exceptions=True
    )

    assert isinstance(good, Submitted)
    assert (good.code, good.id) == ("queued", valid.id)
    assert all(_is_refused(answer) for answer in failed)
    assert (await submitter.submit(new_job(owner))).code == "queued"


async def test_each_owner_and_key_is_judged_by_itself(wallet: Wallet, app_database: Database) -> None:
    submitter, owner, poor = submitter_of(app_database), await wallet(), await wallet(monthly=0)
    keyed = {"key": "once", "fingerprint": b"f"}
    jobs = [new_job(owner, **keyed), new_job(poor), new_job(owner, **keyed), new_job(uuid.uuid4())]

    found = await codes(await begun(*(submitter.submit(job) for job in jobs)))

    assert found == ["queued", "insufficient_credits", "replayed", "no_wallet"]


async def test_a_cancelled_caller_cancels_no_other(
    pool: Pool, wallet: Wallet, app_database: Database, busy: Busy
) -> None:
    submitter, owner = submitter_of(app_database), await wallet()
    jobs = [new_job(owner) for _ in range(6)]
    async with busy():
        answers = [(await begun(submitter.submit(job)))[0] for job in jobs]
        await asyncio.sleep(0)
        for leaving in (answers[0], answers[4]):  # one is sent, one still waits
            leaving.cancel()

    stayed = [answer for n, answer in enumerate(answers) if n not in (0, 4)]
    assert await codes(stayed) == ["queued"] * 4
    async with pool.acquire() as connection, asyncio.timeout(30):
        # The first was sent alone: no caller waits for it now, and it may be the last to be written.
        while await connection.fetchval("SELECT count(*) FROM cv.job WHERE id = $1", jobs[0].id) == 0:
            await asyncio.sleep(0.01)
        found = {row["id"] for row in await connection.fetch("SELECT id FROM cv.job")}
        assert await ledger.audit(connection) == []
    assert {job.id for job in jobs} - found <= {
        jobs[4].id
    }  # a caller cancelled before sending submitted nothing


async def test_others_get_a_connection_under_a_continuous_load(database: tuple[str, str]) -> None:
    """A connection is kept while requests keep coming, but not for ever."""
    app_database = Database(
        database[1], DatabaseLimits(database_waiting_max=100), connections_max=2, statement_timeout_ms=5000
    )
    await app_database.open(within_s=5)
    is_over, answers = False, list[asyncio.Future[int]]()

    async def ask_all(connection: Connection, questions: Sequence[int]) -> Sequence[int]:
        if not is_over:
            answers.extend([coalescer.submit(len(answers)), coalescer.submit(len(answers) + 1)])
        return [await connection.fetchval("SELECT $1::int", question) for question in questions]

    coalescer = Coalescer(app_database, ask_all, waiting_max=10)
    answers += [coalescer.submit(0), coalescer.submit(1)]
    for begun in range(8):  # by now both connections are at work
        await answers[begun]
    async with app_database.connection() as connection:
        assert await connection.fetchval("SELECT 1") == 1
    is_over = True
    found = [await answer for answer in answers]
    assert found == list(range(len(found)))
    await app_database.close()


async def test_a_full_queue_refuses_jobs(wallet: Wallet, app_database: Database, busy: Busy) -> None:
    submitter, owner = submitter_of(app_database, requests_waiting_max=3), await wallet()
    async with busy():
        waiting = await begun(*(submitter.submit(new_job(owner)) for _ in range(3)))
        with pytest.raises(Unavailable) as refused:
            await submitter.submit(new_job(owner))

    assert refused.value.retry_after_s == 1
    assert await codes(waiting) == ["queued"] * 3
    assert (await submitter.submit(new_job(owner))).code == "queued"
