"""What is deleted when its time is over, and claims over a long queue."""

from db.postgres import jobs_api, jobs_worker
from db.postgres.jobs_worker import WorkerConnection
from db.postgres.pool import Pool, transaction
from db.types import Finished
from tests.db.postgres.test_jobs import claim, finish, status
from tests.records import Submit, Wallet, new_job


async def test_expired_audio_is_removed_and_its_objects_are_returned(
    pool: Pool, wallet: Wallet, submit: Submit, worker: WorkerConnection
) -> None:
    [sent] = await submit(new_job(await wallet()))
    assert sent.id is not None
    claim(worker)
    end = Finished(id=sent.id, attempt=1, outcome="done", object="jobs/x/1.wav")
    jobs_worker.finish(worker, [end], worker="w", tries_max=3, keep_s=-1)
    assert jobs_worker.expired_audio(worker, limit=10) == [(sent.id, "jobs/x/1.wav")]
    jobs_worker.forget_audio(worker, [sent.id])
    assert jobs_worker.expired_audio(worker, limit=10) == []
    gone = await status(pool, sent.id)
    assert (gone.object, gone.audio_gone) == (None, True)
    assert await pool.fetchval("SELECT params->>'text' FROM cv.job") == ""


async def test_texts_of_jobs_that_came_to_nothing_are_forgotten_in_time(
    pool: Pool, wallet: Wallet, submit: Submit, worker: WorkerConnection
) -> None:
    owner = await wallet()
    cancelled, failed, waiting = await submit(*(new_job(owner, cost_us=n) for n in (2, 1, 3)))
    assert cancelled.id is not None
    assert failed.id is not None
    claim(worker, limit=2)
    finish(worker, Finished(id=failed.id, attempt=1, outcome="refuse"))
    async with transaction(pool) as connection:
        await jobs_api.cancel(connection, cancelled.id, owner=owner, actor="owner")
    statement = "SELECT id FROM cv.job WHERE params ->> 'text' = ''"
    jobs_worker.forget_texts(worker, keep_s=60, limit=10)
    assert await pool.fetch(statement) == []
    jobs_worker.forget_texts(worker, keep_s=-1, limit=10)
    assert {row["id"] for row in await pool.fetch(statement)} == {cancelled.id, failed.id}
    assert (await status(pool, waiting.id or owner)).state == "queued"


async def test_claims_read_an_index_however_long_the_queue(
    wallet: Wallet, submit: Submit, worker: WorkerConnection
) -> None:
    """The plan once scanned every job: a claim out of a long history must touch few pages."""
    owner = await wallet(unlimited=True)
    for _ in range(5):
        await submit(*(new_job(owner) for _ in range(400)), open_max=10_000)
    taken = claim(worker, limit=1000)
    finish(worker, *(Finished(id=job, attempt=1, outcome="done") for job in taken))
    worker.execute("SELECT pg_stat_force_next_flush()")
    before = worker.execute("SELECT seq_scan FROM pg_stat_user_tables WHERE relname = 'job'").fetchone()
    for _ in range(20):
        claim(worker, limit=8)
    worker.execute("SELECT pg_stat_force_next_flush()")
    after = worker.execute("SELECT seq_scan FROM pg_stat_user_tables WHERE relname = 'job'").fetchone()
    assert before == after
