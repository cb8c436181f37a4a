"""Jobs: one row from submission to its end, whatever races for it."""

import asyncio
import threading
import uuid

from db.postgres import jobs_api, jobs_worker, ledger
from db.postgres.jobs_worker import WorkerConnection, worker_connection
from db.postgres.pool import Connection, Pool, transaction
from db.types import MICRO, Finished, JobStatus, Outcome, SpeechParams, Submitted
from tests.records import Submit, Wallet, new_job


def claim(worker: WorkerConnection, by: str = "w", **options: object) -> list[uuid.UUID]:
    given = {"engine": "espeak", "lane": None, "mixed": True, "limit": 100, "worker": by, "lease_s": 10}
    return [job.id for job in jobs_worker.claim(worker, **(given | options))]  # type: ignore[arg-type]


def finish(worker: WorkerConnection, *ended: Finished, by: str = "w") -> list[str]:
    results = jobs_worker.finish(worker, ended, worker=by, tries_max=3, keep_s=60)
    return [results[end.id, end.attempt] for end in ended]


async def status(pool: Pool, job: uuid.UUID) -> JobStatus:
    async with transaction(pool) as connection:
        found = await jobs_api.status(connection, job)
    assert found is not None
    return found


async def clean(pool: Pool) -> bool:
    async with transaction(pool) as connection:
        return await ledger.audit(connection) == []


async def test_a_batch_answers_each_item(pool: Pool, wallet: Wallet, submit: Submit) -> None:
    rich, poor = await wallet(), await wallet(monthly=MICRO)
    wanted = [new_job(owner) for owner in (poor, rich, poor, rich, uuid.uuid4())]
    answers = await submit(*wanted)
    assert [answer.code for answer in answers] == [
        "queued",
        "queued",
        "insufficient_credits",
        "queued",
        "no_wallet",
    ]
    assert [answer.remaining for answer in answers] == [0, 59 * MICRO, 0, 58 * MICRO, 0]
    assert await clean(pool)


async def test_a_malformed_row_fails_alone(pool: Pool, wallet: Wallet, submit: Submit) -> None:
    owner, other = await wallet(), await wallet()
    [taken] = await submit(new_job(other))
    answers = await submit(
        new_job(owner), new_job(owner, id=taken.id), new_job(owner, hold=-1), new_job(other)
    )
    assert [answer.code for answer in answers] == ["queued", "malformed", "malformed", "queued"]
    assert await pool.fetchval("SELECT count(*) FROM cv.job") == 3
    assert await clean(pool)


async def test_a_batch_updates_each_wallet_once(pool: Pool, wallet: Wallet) -> None:
    owners = [await wallet() for _ in range(3)]
    async with pool.acquire() as connection:
        before = await wallet_updates(connection)
        batch = [new_job(owners[n % 3]) for n in range(30)]
        await jobs_api.submit(connection, batch, wait_s_max=60, open_max=1000)
        assert await wallet_updates(connection) - before == 3


async def wallet_updates(connection: Connection) -> int:
    await connection.execute("SELECT pg_stat_force_next_flush()")
    return await connection.fetchval("SELECT n_tup_upd FROM pg_stat_user_tables WHERE relname = 'wallet'")


async def test_a_key_used_twice_in_one_batch_gives_one_job(wallet: Wallet, submit: Submit) -> None:
    owner = await wallet()
    first, again, other = await submit(
        new_job(owner, key="k", fingerprint=b"a"),
        new_job(owner, key="k", fingerprint=b"a"),
        new_job(owner, key="k", fingerprint=b"b"),
    )
    assert (first.code, again.code, other.code) == ("queued", "replayed", "key_reused")
    assert again == Submitted(code="replayed", id=first.id, bucket="free", remaining=first.remaining)


async def test_the_same_job_sent_again_after_a_lost_answer_is_one_job(
    pool: Pool, wallet: Wallet, submit: Submit
) -> None:
    job = new_job(await wallet())
    assert await submit(job) == await submit(job)
    assert await pool.fetchval("SELECT count(*) FROM cv.job") == 1


async def test_the_key_of_a_failed_job_is_free_again(
    wallet: Wallet, submit: Submit, worker: WorkerConnection
) -> None:
    owner = await wallet()
    await submit(new_job(owner, key="k", fingerprint=b"a"))
    [job] = claim(worker)
    finish(worker, Finished(id=job, attempt=1, outcome="refuse"))
    [again] = await submit(new_job(owner, key="k", fingerprint=b"b"))
    assert again.code == "queued"


async def test_the_number_of_unfinished_jobs_of_an_owner_is_bounded(wallet: Wallet, submit: Submit) -> None:
    owner = await wallet()
    answers = await submit(*(new_job(owner) for _ in range(4)), open_max=3)
    assert [answer.code for answer in answers] == ["queued"] * 3 + ["too_many_waiting"]


async def test_racing_workers_never_share_a_job(
    wallet: Wallet, submit: Submit, database: tuple[str, str]
) -> None:
    owner = await wallet()
    sent = {answer.id for answer in await submit(*(new_job(owner) for _ in range(50)))}
    got: list[uuid.UUID] = []
    barrier = threading.Barrier(5)

    def work_hard(name: str) -> None:
        connection = worker_connection(database[1], application_name=name)
        barrier.wait()
        while taken := claim(connection, limit=3, by=name):
            got.extend(taken)
        connection.close()

    await asyncio.gather(*(asyncio.to_thread(work_hard, f"w{n}") for n in range(5)))
    assert sorted(got, key=str) == sorted((job for job in sent if job), key=str)


async def test_one_owners_flood_does_not_delay_another_owners_job(
    wallet: Wallet, submit: Submit, worker: WorkerConnection
) -> None:
    busy, quiet = await wallet(), await wallet()
    await submit(*(new_job(busy, cost_us=1_000_000) for _ in range(20)))
    [late] = await submit(new_job(quiet, cost_us=1_000_000))
    assert late.id in claim(worker, limit=2)


async def test_a_one_voice_engine_gets_one_voice_at_a_time(
    wallet: Wallet, submit: Submit, worker: WorkerConnection
) -> None:
    owner = await wallet()
    a1, b1, a2 = await submit(
        *(new_job(owner, lane=lane, cost_us=n) for n, lane in enumerate(["a", "b", "a"]))
    )
    assert claim(worker, mixed=False) == [a1.id, a2.id]
    assert claim(worker, mixed=False, lane="a") == []
    assert claim(worker, mixed=False) == [b1.id]


async def test_a_retried_job_fails_after_its_last_try_and_costs_nothing(
    pool: Pool, wallet: Wallet, submit: Submit, worker: WorkerConnection
) -> None:
    [sent] = await submit(new_job(await wallet()))
    assert sent.id is not None
    ends: list[str] = []
    for attempt in (1, 2, 3):
        while not claim(worker):
            await asyncio.sleep(0.02)  # the retry's own delay, by the database's clock
        ends += finish(worker, Finished(id=sent.id, attempt=attempt, outcome="retry", code="broken"))
    assert ends == ["queued", "queued", "failed"]
    end = await status(pool, sent.id)
    assert (end.state, end.code, end.attempt) == ("failed", "broken", 3)
    assert await clean(pool)


async def test_a_job_handed_back_loses_no_try(
    pool: Pool, wallet: Wallet, submit: Submit, worker: WorkerConnection
) -> None:
    [sent] = await submit(new_job(await wallet()))
    assert sent.id is not None
    for attempt in range(1, 8):
        assert claim(worker) == [sent.id]
        assert finish(worker, Finished(id=sent.id, attempt=attempt, outcome="hand_back")) == ["queued"]
    assert await pool.fetchval("SELECT tries FROM cv.job") == 0
    assert (await status(pool, sent.id)).state == "queued"


async def test_a_worker_that_lost_its_lease_cannot_finish(
    pool: Pool, wallet: Wallet, submit: Submit, worker: WorkerConnection
) -> None:
    [sent] = await submit(new_job(await wallet()))
    assert sent.id is not None
    claim(worker, by="slow", lease_s=-1)
    assert jobs_worker.sweep(worker, tries_max=3, limit=10) == [(sent.id, "espeak", "queued", "speech")]
    assert claim(worker, by="quick") == [sent.id]
    assert jobs_worker.renew(worker, [(sent.id, 1)], worker="slow", lease_s=10) == set()
    assert finish(worker, Finished(id=sent.id, attempt=1, outcome="done"), by="slow") == ["fenced"]
    assert finish(worker, Finished(id=sent.id, attempt=2, outcome="done"), by="quick") == ["completed"]
    assert await clean(pool)


async def test_a_job_whose_workers_all_die_fails_in_the_end(
    pool: Pool, wallet: Wallet, submit: Submit, worker: WorkerConnection
) -> None:
    owner = await wallet()
    [sent] = await submit(new_job(owner))
    results = []
    for _ in range(3):
        claim(worker, lease_s=-1)
        results += [result for _, _, result, _ in jobs_worker.sweep(worker, tries_max=3, limit=10)]
    assert results == ["queued", "queued", "failed"]
    async with transaction(pool) as connection:
        left = await ledger.balance(connection, owner)
    assert left is not None
    assert (left.free, left.held) == (60 * MICRO, 0)
    assert sent.id is not None
    assert (await status(pool, sent.id)).code == "worker_lost"


async def test_live_jobs_are_claimed_separately_and_counted(
    pool: Pool, wallet: Wallet, submit: Submit, worker: WorkerConnection
) -> None:
    owner = await wallet()
    file, first, second = await submit(
        new_job(owner), new_job(owner, live=True), new_job(await wallet(), live=True)
    )
    other = new_job(await wallet(), live=True, engine="xtts")
    await submit(other)

    def claim_live() -> list[uuid.UUID | None]:
        claimed = jobs_worker.claim(
            worker, engine="espeak", lane=None, mixed=True, live_only=True, limit=1, worker="w", lease_s=10
        )
        return [job.id for job in claimed if job.live and job.attempt == 1]

    async def counted() -> int:
        async with transaction(pool) as connection:
            return len((await jobs_api.live_jobs(connection, "espeak"))[0])

    assert await counted() == 2
    assert sorted([*claim_live(), *claim_live()]) == sorted([first.id, second.id])
    assert claim_live() == []
    assert await counted() == 2
    assert first.id is not None
    assert finish(worker, Finished(id=first.id, attempt=1, outcome="refuse", code="x")) == ["failed"]
    assert await counted() == 1
    assert claim(worker) == [file.id]


async def test_a_finish_and_the_next_claim_are_one_commit(
    pool: Pool, wallet: Wallet, submit: Submit, worker: WorkerConnection
) -> None:
    sent = await submit(*[new_job(await wallet(), cost_us=n) for n in range(3)])
    first, second, third = (answer.id for answer in sent if answer.id)

    def turn(job: uuid.UUID, outcome: Outcome) -> tuple[str, list[tuple[uuid.UUID, int]]]:
        results, claimed = jobs_worker.finish_and_claim(
            worker,
            [Finished(id=job, attempt=1, outcome=outcome)],
            worker="w",
            tries_max=3,
            keep_s=60,
            engine="espeak",
            params=SpeechParams,
            limit=1,
            lease_s=10,
        )
        return results[job, 1], [(job.id, job.attempt) for job in claimed]

    assert claim(worker, limit=1) == [first]
    assert turn(first, "done") == ("completed", [(second, 1)])
    ids = [first, second]
    assert await pool.fetchval("SELECT count(DISTINCT xmin::text) FROM cv.job WHERE id = ANY($1)", ids) == 1
    assert turn(second, "hand_back") == ("queued", [(second, 2)])  # the fairest again
    assert turn(second, "done") == ("fenced", [(third, 1)])
    assert turn(third, "done") == ("completed", [])
    assert await clean(pool)


async def test_a_job_nobody_claims_in_time_expires_free_of_charge(
    pool: Pool, wallet: Wallet, submit: Submit, worker: WorkerConnection
) -> None:
    [sent] = await submit(new_job(await wallet()), wait_s_max=0)
    assert claim(worker) == []
    assert jobs_worker.sweep(worker, tries_max=3, limit=10) == [(sent.id, "espeak", "expired", "speech")]
    assert await clean(pool)


async def test_cancelling_and_finishing_race_to_one_end(
    pool: Pool, wallet: Wallet, submit: Submit, worker: WorkerConnection
) -> None:
    owner = await wallet()
    sent = [answer.id for answer in await submit(*(new_job(owner) for _ in range(20)))]
    claim(worker)

    async def cancel(job: uuid.UUID) -> str:
        async with transaction(pool) as connection:
            return await jobs_api.cancel(connection, job, owner=owner, actor="owner")

    done = [Finished(id=job, attempt=1, outcome="done") for job in sent if job]
    codes, results = await asyncio.gather(
        asyncio.gather(*(cancel(end.id) for end in done)), asyncio.to_thread(finish, worker, *done)
    )
    assert {("cancelled", "fenced"), ("too_late", "completed")} >= set(zip(codes, results, strict=True))
    assert await clean(pool)


async def test_another_owners_job_cannot_be_cancelled(pool: Pool, wallet: Wallet, submit: Submit) -> None:
    [sent] = await submit(new_job(await wallet()))
    assert sent.id is not None
    async with transaction(pool) as connection:
        assert await jobs_api.cancel(connection, sent.id, owner=await wallet(), actor="x") == "not_found"
