"""An account has its share of an engine's slots while others wait, and its jobs come by what they took."""

from collections import Counter
from uuid import UUID

import psycopg
import pytest
from msgspec.structs import replace

from db.postgres import jobs_worker
from db.postgres.jobs_worker import WorkerConnection
from db.postgres.pool import Pool
from db.postgres.queries import query
from db.types import Capabilities, Claimed, Finished, Shares, SpeechParams
from tests.records import Submit, Wallet, new_job

HALF = Shares(slots=4, percent=50)
LONG_S = 600


def claim(
    worker: WorkerConnection, limit: int = 4, shares: Shares = HALF, by: str = "w", **more: object
) -> list[Claimed]:
    given = {"engine": "espeak", "lane": None, "mixed": True, "worker": by, "lease_s": 60}
    return jobs_worker.claim(worker, limit=limit, shares=shares, **(given | more))  # type: ignore[arg-type]


def beyond(worker: WorkerConnection, limit: int = 4, characters_max: int | None = None) -> list[UUID]:
    claimed = jobs_worker.claim_beyond(
        worker,
        engine="espeak",
        params=SpeechParams,
        limit=limit,
        characters_max=characters_max,
        worker="w",
        lease_s=60,
    )
    return [job.owner for job in claimed]


def owners(claimed: list[Claimed]) -> Counter[UUID]:
    return Counter(job.owner for job in claimed)


def publish(worker: WorkerConnection, name: str) -> None:
    capabilities = Capabilities(
        engine="espeak",
        kind="speech",
        voices=(),
        sample_rate_hz=1,
        formats=(),
        characters_max=1,
        cost_us_per_character=1,
    )
    jobs_worker.publish(worker, capabilities, worker=name)


@pytest.mark.parametrize("live", [False, True])
async def test_an_account_has_half_of_the_slots_while_another_one_waits(
    wallet: Wallet, submit: Submit, worker: WorkerConnection, live: bool
) -> None:
    first, second = await wallet(), await wallet()
    await submit(*(new_job(first, live=live) for _ in range(10)))
    await submit(*(new_job(second, live=live, cost_us=10_000_000) for _ in range(3)))

    assert owners(claim(worker, live_only=live)) == {first: 2, second: 2}


async def test_an_account_alone_has_all_slots(
    wallet: Wallet, submit: Submit, worker: WorkerConnection
) -> None:
    alone = await wallet()
    await submit(*(new_job(alone) for _ in range(10)))
    await submit(new_job(await wallet(), engine="xtts"))

    assert owners(claim(worker)) == {alone: 4}


async def test_running_jobs_count_whichever_worker_has_them(
    wallet: Wallet, submit: Submit, worker: WorkerConnection
) -> None:
    first, second = await wallet(), await wallet()
    await submit(*(new_job(first) for _ in range(10)))
    claim(worker, limit=2, by="another")
    await submit(*(new_job(second, cost_us=10_000_000) for _ in range(3)))

    assert owners(claim(worker, limit=2)) == {second: 2}


async def test_the_slots_are_those_of_all_workers(
    wallet: Wallet, submit: Submit, worker: WorkerConnection
) -> None:
    first, second = await wallet(), await wallet()
    for name in ("one", "other"):
        publish(worker, name)
    await submit(*(new_job(first) for _ in range(10)))
    await submit(*(new_job(second, cost_us=10_000_000) for _ in range(10)))

    assert owners(claim(worker, limit=8)) == {first: 4, second: 4}


async def test_an_account_has_at_least_one_slot(
    wallet: Wallet, submit: Submit, worker: WorkerConnection
) -> None:
    first, second = await wallet(), await wallet()
    await submit(new_job(first), new_job(first), new_job(second, cost_us=10_000_000))

    assert owners(claim(worker, limit=1, shares=replace(HALF, slots=1))) == {first: 1}


async def test_shares_leave_no_slot_free(wallet: Wallet, submit: Submit, worker: WorkerConnection) -> None:
    first, second = await wallet(), await wallet()
    await submit(*(new_job(first) for _ in range(10)))
    await submit(new_job(second, cost_us=10_000_000))

    assert owners(claim(worker)) == {first: 3, second: 1}


async def test_a_finished_job_frees_its_slot_for_an_account_within_its_share(
    wallet: Wallet, submit: Submit, worker: WorkerConnection
) -> None:
    first, second = await wallet(), await wallet()
    await submit(*(new_job(first) for _ in range(10)))
    ended, *_ = claim(worker)
    await submit(*(new_job(second, cost_us=10_000_000) for _ in range(3)))
    _, claimed = jobs_worker.finish_and_claim(
        worker,
        [Finished(id=ended.id, attempt=1, outcome="refuse", code="x")],
        worker="w",
        tries_max=3,
        keep_s=60,
        engine="espeak",
        params=SpeechParams,
        limit=1,
        lease_s=60,
        shares=HALF,
    )

    assert owners(claimed) == {second: 1}


async def test_without_limit_the_fairest_jobs_are_claimed(
    wallet: Wallet, submit: Submit, worker: WorkerConnection
) -> None:
    first, second = await wallet(), await wallet()
    await submit(*(new_job(first) for _ in range(10)))
    await submit(*(new_job(second, cost_us=10_000_000) for _ in range(3)))

    assert owners(claim(worker, shares=replace(HALF, percent=100))) == {first: 4}


async def test_beyond_the_slots_each_account_that_runs_nothing_has_one_job(
    wallet: Wallet, submit: Submit, worker: WorkerConnection
) -> None:
    busy, late, early = await wallet(), await wallet(), await wallet()
    await submit(*(new_job(busy) for _ in range(10)))
    claim(worker)
    await submit(*(new_job(late, cost_us=2_000_000) for _ in range(3)))
    await submit(*(new_job(early, cost_us=1_000_000) for _ in range(3)))
    await submit(new_job(await wallet(), engine="xtts"))

    assert beyond(worker) == [early, late]
    assert beyond(worker) == []


async def test_beyond_the_slots_long_jobs_may_be_left_out(
    wallet: Wallet, submit: Submit, worker: WorkerConnection
) -> None:
    long, short, other = await wallet(), await wallet(), await wallet()
    await submit(new_job(long, characters=1001))
    await submit(new_job(short, characters=1000, cost_us=1_000_000))
    await submit(new_job(other, characters=1000, cost_us=2_000_000))

    assert beyond(worker, limit=1, characters_max=1000) == [short]
    assert beyond(worker, characters_max=1000) == [other]
    assert beyond(worker) == [long]


async def test_an_attempt_of_a_lost_worker_counts_for_no_share(
    wallet: Wallet, submit: Submit, worker: WorkerConnection
) -> None:
    owner = await wallet()
    await submit(new_job(owner), new_job(owner))
    claim(worker, limit=1, lease_s=-1)

    assert beyond(worker) == [owner]


async def test_what_a_job_took_is_what_its_accounts_later_jobs_wait_for(
    pool: Pool, wallet: Wallet, submit: Submit, worker: WorkerConnection
) -> None:
    greedy, modest = await wallet(), await wallet()
    [first, _] = await submit(new_job(greedy), new_job(greedy))
    assert first.id is not None
    claim(worker, limit=1)
    jobs_worker.correct_costs(worker, {first.id: LONG_S * 1_000_000})
    await submit(new_job(greedy))
    await submit(*(new_job(modest, cost_us=100_000_000) for _ in range(2)))

    waits = await pool.fetch(
        "SELECT owner, extract(epoch FROM fair_at - clock_timestamp()) AS s FROM cv.job"
        " WHERE state = 'queued' ORDER BY fair_at"
    )
    assert [row["owner"] for row in waits] == [modest, modest, greedy, greedy]
    assert all(LONG_S - 60 < row["s"] < LONG_S + 1 for row in waits[2:])


async def test_an_account_charged_too_much_is_claimed_earlier(
    wallet: Wallet, submit: Submit, worker: WorkerConnection
) -> None:
    one, other = await wallet(), await wallet()
    [first, _] = await submit(*(new_job(one, cost_us=LONG_S * 1_000_000) for _ in range(2)))
    assert first.id is not None
    claim(worker, limit=1)
    await submit(new_job(other, cost_us=700_000_000))
    jobs_worker.correct_costs(worker, {first.id: -LONG_S * 1_000_000})

    assert owners(claim(worker, limit=1)) == {one: 1}


async def test_waiting_jobs_are_reordered_once_a_second(
    pool: Pool, wallet: Wallet, submit: Submit, worker: WorkerConnection, database: tuple[str, str]
) -> None:
    owner = await wallet()
    [first, waiting] = await submit(new_job(owner), new_job(owner))
    assert first.id is not None
    claim(worker, limit=1)

    async def due_in(job: UUID | None) -> int:
        sql = "SELECT round(extract(epoch FROM fair_at - created_at))::int FROM cv.job WHERE id = $1"
        return int(await pool.fetchval(sql, job))

    with psycopg.connect(database[0], autocommit=True) as opened:
        jobs_worker.correct_costs(worker, {first.id: 100_000_000})
        assert await due_in(waiting.id) == 100
        opened.execute("UPDATE cv.correction SET done_at = 'infinity'")  # as if a moment ago
        jobs_worker.correct_costs(worker, {first.id: 200_000_000})
        assert await due_in(waiting.id) == 100
        [later] = await submit(new_job(owner))
        before = await due_in(later.id)
        opened.execute("UPDATE cv.correction SET done_at = '-infinity'")
        jobs_worker.correct_costs(worker, {first.id: 300_000_000})

    assert [await due_in(waiting.id), await due_in(later.id)] == [600, before]
    assert 290 < before <= 300


@pytest.mark.parametrize("end", ["cancel", "expire", "cancel at work"])
async def test_a_job_that_never_ran_holds_up_none_of_its_accounts_later_ones(
    pool: Pool, wallet: Wallet, submit: Submit, worker: WorkerConnection, end: str
) -> None:
    owner = await wallet()
    wait_s_max = -1 if end == "expire" else 3600
    [job] = await submit(new_job(owner, cost_us=LONG_S * 1_000_000), wait_s_max=wait_s_max)
    if end == "cancel at work":
        claim(worker)
    if end == "expire":
        assert [swept[2] for swept in jobs_worker.sweep(worker, tries_max=3, limit=9)] == ["expired"]
    else:
        await pool.execute(query("cancel"), job.id, owner, "test")

    [later] = await submit(new_job(owner))

    waits = "SELECT fair_at - created_at > interval '1 minute' FROM cv.job WHERE id = $1"
    assert await pool.fetchval(waits, later.id) == (end == "cancel at work")  # its worker corrects it


async def test_a_claim_knows_what_its_job_was_expected_to_cost(
    wallet: Wallet, submit: Submit, worker: WorkerConnection
) -> None:
    owner = await wallet()
    await submit(new_job(owner, cost_us=1234))

    [claimed] = claim(worker)
    assert (claimed.owner, claimed.cost_us) == (owner, 1234)
