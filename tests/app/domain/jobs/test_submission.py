"""The fast path: concurrent jobs share a commit, and nothing else."""

import asyncio
import uuid
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import asyncpg
import pytest

from app.domain.coalescing import Coalescer
from app.domain.database import Database
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
async def record(database: tuple[str, str]) -> AsyncGenerator[Database]:
    record = Database(database[1], connections_max=8, statement_timeout_ms=5000, wait_s=5, waiting_max=100)
    await record.open(within_s=5)
    yield record
    await record.close()


class Nudges:
    """Records which engines were nudged."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def nudge(self, engine: str) -> None:
        self.asked.append(engine)


def intake_of(
    record: Database, *, requests_waiting_max: int = 1000, nudges: Nudges | None = None
) -> JobSubmitter:
    limits = SubmissionLimits(
        queue_wait_s=60, jobs_waiting_max=1000, requests_waiting_max=requests_waiting_max
    )
    return JobSubmitter(record, limits, nudges or Nudges())


@pytest.fixture
def busy(database: tuple[str, str]) -> Busy:
    """Somebody else has all wallets for a while."""

    @asynccontextmanager
    async def hold() -> AsyncGenerator[None]:
        connection = await asyncpg.connect(database[0])
        async with connection.transaction():
            await connection.execute("SELECT FROM cv.wallet FOR NO KEY UPDATE")
            yield
        await connection.close()

    return hold


async def begun(*submits: Awaitable[Submitted]) -> "Sequence[asyncio.Future[Submitted]]":
    """All of them as far as they go by themselves."""
    started = [asyncio.ensure_future(submit) for submit in submits]
    await asyncio.sleep(0)
    return started


async def codes(answers: "Sequence[asyncio.Future[Submitted]]") -> list[str]:
    return [answer.code for answer in await asyncio.gather(*answers)]


async def commits(pool: Pool, jobs: list[NewJob]) -> int:
    async with pool.acquire() as connection:
        return int(await connection.fetchval(_COMMITS, [job.id for job in jobs]))


async def test_what_comes_while_the_database_is_busy_shares_a_commit(
    pool: Pool, wallet: Wallet, record: Database, busy: Busy
) -> None:
    intake, owners = intake_of(record), [await wallet() for _ in range(4)]
    jobs = [new_job(owners[n % 4]) for n in range(40)]
    async with busy():
        first = await begun(*(intake.submit(job) for job in jobs[:2]))
        answers = [*first, *await begun(*(intake.submit(job) for job in jobs[2:]))]

    assert await codes(answers) == ["queued"] * 40
    assert await commits(pool, jobs) <= 3
    async with pool.acquire() as connection:
        assert await ledger.audit(connection) == []


async def test_a_lone_job_waits_for_nobody(pool: Pool, wallet: Wallet, record: Database) -> None:
    intake, owner = intake_of(record), await wallet()
    jobs = [new_job(owner) for _ in range(3)]

    found = [(await intake.submit(job)).code for job in jobs]

    assert (found, await commits(pool, jobs)) == (["queued"] * 3, 3)


async def test_queued_jobs_are_nudged_for_after_their_commit_and_refused_ones_are_not(
    wallet: Wallet, record: Database, busy: Busy
) -> None:
    owner, poor, nudges = await wallet(), await wallet(monthly=0), Nudges()
    intake = intake_of(record, nudges=nudges)
    assert (await intake.submit(new_job(poor))).code == "insufficient_credits"
    assert nudges.asked == []
    async with busy():
        lone = (await begun(intake.submit(new_job(owner))))[0]
        await asyncio.sleep(0)
        assert nudges.asked == []
    assert ((await lone).code, nudges.asked) == ("queued", ["espeak"])
    async with busy():
        first = await begun(*(intake.submit(new_job(owner)) for _ in range(2)))
        answers = [*first, *await begun(*(intake.submit(new_job(owner)) for _ in range(5)))]
    assert await codes(answers) == ["queued"] * 7
    assert 1 < len(nudges.asked) < 1 + len(answers)  # once a batch


async def test_a_job_sent_again_while_it_is_being_written_is_one(
    pool: Pool, wallet: Wallet, record: Database, database: tuple[str, str]
) -> None:
    """As where a connection is lost whose statement goes on: both say queued, one was held."""
    job, twice = new_job(await wallet()), [intake_of(record), intake_of(record)]

    answers = await at_once(database[0], [intake.submit(job) for intake in twice], waiting=2)

    assert [(answer.code, answer.id, answer.remaining) for answer in answers] == [
        ("queued", job.id, 59 * MICRO)
    ] * 2
    async with pool.acquire() as connection:
        assert await connection.fetchval("SELECT count(*) FROM cv.transfer WHERE ref = $1", job.id) == 1
        assert await ledger.audit(connection) == []


def _is_refused(answer: Submitted | BaseException) -> bool:
    return isinstance(answer, Exception) or (isinstance(answer, Submitted) and answer.code == "malformed")


async def test_a_bad_row_fails_alone(wallet: Wallet, record: Database) -> None:
    intake, owner = intake_of(record), await wallet()
    told = new_job(owner)
    bad = [new_job(owner, characters=2**40), new_job(owner, lane="a\0b")]

    good, *failed = await asyncio.gather(
        *(intake.submit(job) for job in (told, *bad)), return_exceptions=True
    )

    assert isinstance(good, Submitted)
    assert (good.code, good.id) == ("queued", told.id)
    assert all(_is_refused(answer) for answer in failed)
    assert (await intake.submit(new_job(owner))).code == "queued"


async def test_each_owner_and_key_is_judged_by_itself(wallet: Wallet, record: Database) -> None:
    intake, owner, poor = intake_of(record), await wallet(), await wallet(monthly=0)
    keyed = {"key": "once", "fingerprint": b"f"}
    jobs = [new_job(owner, **keyed), new_job(poor), new_job(owner, **keyed), new_job(uuid.uuid4())]

    found = await codes(await begun(*(intake.submit(job) for job in jobs)))

    assert found == ["queued", "insufficient_credits", "replayed", "no_wallet"]


async def test_a_caller_who_leaves_takes_nobody_along(
    pool: Pool, wallet: Wallet, record: Database, busy: Busy
) -> None:
    intake, owner = intake_of(record), await wallet()
    jobs = [new_job(owner) for _ in range(6)]
    async with busy():
        answers = [(await begun(intake.submit(job)))[0] for job in jobs]
        await asyncio.sleep(0)
        for leaving in (answers[0], answers[4]):  # one is sent, one still waits
            leaving.cancel()

    stayed = [answer for n, answer in enumerate(answers) if n not in (0, 4)]
    assert await codes(stayed) == ["queued"] * 4
    async with pool.acquire() as connection, asyncio.timeout(30):
        # The first was sent by itself: nobody waits for it now, and it may be the last to be written.
        while await connection.fetchval("SELECT count(*) FROM cv.job WHERE id = $1", jobs[0].id) == 0:
            await asyncio.sleep(0.01)
        found = {row["id"] for row in await connection.fetch("SELECT id FROM cv.job")}
        assert await ledger.audit(connection) == []
    assert {job.id for job in jobs} - found <= {jobs[4].id}  # who left before it was sent, submitted nothing


async def test_others_get_a_connection_however_much_is_asked(database: tuple[str, str]) -> None:
    """A connection is kept while questions keep coming, but not for ever."""
    record = Database(database[1], connections_max=2, statement_timeout_ms=5000, wait_s=5, waiting_max=100)
    await record.open(within_s=5)
    is_over, answers = False, list[asyncio.Future[int]]()

    async def ask_all(connection: Connection, questions: Sequence[int]) -> Sequence[int]:
        if not is_over:
            answers.extend([coalesced.submit(len(answers)), coalesced.submit(len(answers) + 1)])
        return [await connection.fetchval("SELECT $1::int", question) for question in questions]

    coalesced = Coalescer(record, ask_all, waiting_max=10)
    answers += [coalesced.submit(0), coalesced.submit(1)]
    for begun in range(8):  # by now both connections are at work
        await answers[begun]
    async with record.connection() as connection:
        assert await connection.fetchval("SELECT 1") == 1
    is_over = True
    found = [await answer for answer in answers]
    assert found == list(range(len(found)))
    await record.close()


async def test_beyond_its_bound_the_queue_refuses(wallet: Wallet, record: Database, busy: Busy) -> None:
    intake, owner = intake_of(record, requests_waiting_max=3), await wallet()
    async with busy():
        waiting = await begun(*(intake.submit(new_job(owner)) for _ in range(3)))
        with pytest.raises(Unavailable) as refused:
            await intake.submit(new_job(owner))

    assert refused.value.retry_after_s == 1
    assert await codes(waiting) == ["queued"] * 3
    assert (await intake.submit(new_job(owner))).code == "queued"
