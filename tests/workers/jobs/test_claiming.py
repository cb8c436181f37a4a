"""A worker with full slots begins jobs of accounts that run nothing; measured time becomes the jobs' cost."""

import asyncio
import uuid
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

from db.postgres.pool import Pool
from db.storage.objects import open_store
from db.types import Claimed, SpeechParams
from tests.records import Submit, Wallet, new_job
from tests.workers.conftest import SETTINGS, LocalWorker, ObedientEngine, ObedientSpeech
from tests.workers.jobs.test_runner import order, until
from workers.jobs.held import HeldJob
from workers.jobs.measured_costs import difference_us

_PATIENCE_S = 20
LONG_S = 600


@pytest.fixture
def local_worker(
    database: tuple[str, str], redis_url: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> Generator[LocalWorker]:
    """Of an engine that takes two jobs beyond its four slots, one of any length."""
    monkeypatch.setattr(ObedientEngine, "extra_slots", 2, raising=False)
    made = LocalWorker(database[1], redis_url, open_store(folder.as_uri()), SETTINGS)
    yield made
    made.close()


async def begun(local_worker: LocalWorker, jobs: int) -> list[str]:
    """The texts the engine began, once it has begun `jobs` of them."""
    return await asyncio.to_thread(
        lambda: [local_worker.engine.begun.get(timeout=_PATIENCE_S) for _ in range(jobs)]
    )


async def test_another_accounts_job_runs_while_one_account_has_all_slots(
    local_worker: LocalWorker, pool: Pool, wallet: Wallet, submit: Submit
) -> None:
    owner, other = await wallet(), await wallet()
    waiting = await submit(*(order(owner, "hang") for _ in range(6)))
    local_worker.runner.claims.claim_available()
    await begun(local_worker, 4)
    for text in ("say 1", "say 2"):
        [sent] = await submit(order(other, text))
        await until(pool, sent.id, "completed")

    states = [(await until(pool, answer.id, "processing", "queued")).state for answer in waiting]
    assert sorted(states) == ["processing"] * 4 + ["queued"] * 2


async def test_long_jobs_of_many_accounts_leave_a_slot_for_a_short_one(
    local_worker: LocalWorker, pool: Pool, wallet: Wallet, submit: Submit
) -> None:
    hanging = SpeechParams(text="hang", voice="ryan", language="en-US")
    await submit(*[new_job(await wallet(), params=hanging, characters=2000) for _ in range(7)])
    local_worker.runner.claims.claim_available()
    await begun(local_worker, 5)
    [sent] = await submit(order(await wallet(), "say 1"))

    await until(pool, sent.id, "completed")
    assert local_worker.engine.requested == ["hang"] * 5 + ["say 1"]


async def test_an_account_has_one_job_beyond_the_slots(
    local_worker: LocalWorker, pool: Pool, wallet: Wallet, submit: Submit
) -> None:
    owner, other, third = await wallet(), await wallet(), await wallet()
    await submit(*(order(owner, "hang") for _ in range(4)))
    local_worker.runner.claims.claim_available()
    await begun(local_worker, 4)
    await submit(*(order(other, "hang") for _ in range(2)))
    await begun(local_worker, 1)
    [sent] = await submit(order(third, "say 1"))
    await until(pool, sent.id, "completed")

    assert local_worker.engine.requested == ["hang"] * 5 + ["say 1"]


async def test_a_refused_job_counts_as_what_it_took(
    local_worker: LocalWorker, pool: Pool, wallet: Wallet, submit: Submit
) -> None:
    owner = await wallet()
    params = SpeechParams(text="refuse", voice="ryan", language="en-US")
    [sent] = await submit(new_job(owner, params=params, cost_us=LONG_S * 1_000_000))
    local_worker.runner.claims.claim_available()
    await until(pool, sent.id, "failed")

    forward = "SELECT next_at - interval '500 seconds' < clock_timestamp() FROM cv.wallet WHERE owner = $1"
    async with asyncio.timeout(_PATIENCE_S):
        while not await pool.fetchval(forward, owner):
            await asyncio.sleep(0.01)


async def test_a_job_that_took_longer_than_expected_delays_its_accounts_later_jobs(
    local_worker: LocalWorker, pool: Pool, wallet: Wallet, submit: Submit, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ObedientSpeech, "engine_s", LONG_S, raising=False)
    owner = await wallet()
    [sent] = await submit(order(owner, "say 1"))
    local_worker.runner.claims.claim_available()
    await until(pool, sent.id, "completed")

    behind = "SELECT next_at - interval '500 seconds' > clock_timestamp() FROM cv.wallet WHERE owner = $1"
    async with asyncio.timeout(_PATIENCE_S):
        while not await pool.fetchval(behind, owner):
            await asyncio.sleep(0.01)


def row(*, cost_us: int | None, cost_s: float | None = None, busy_s: float | None = None) -> HeldJob:
    params = SpeechParams(text="", voice="", language="")
    owner = uuid.UUID(int=1)
    job = Claimed(id=owner, attempt=1, owner=owner, lane="", params=params, cost_us=cost_us)
    return HeldJob(job=job, claimed_at=0.0, cost_s=cost_s, busy_s=busy_s)


@pytest.mark.parametrize(
    ("measured", "result", "more_us"),
    [
        ({"cost_us": 1_000_000, "cost_s": 3.0}, "completed", 2_000_000),
        ({"cost_us": 1_000_000, "cost_s": 0.2}, "failed", -800_000),
        ({"cost_us": 1_000_000, "busy_s": 3.0}, "completed", 2_000_000),
        ({"cost_us": 1_000_000, "cost_s": 0.2}, "queued", 200_000),
        ({"cost_us": 1_000_000, "cost_s": 3.0}, "fenced", 2_000_000),
        ({"cost_us": 1_000_000, "cost_s": 0.2}, "fenced", -800_000),
        ({"cost_us": 1_000_000}, "completed", 0),
        ({"cost_us": None, "cost_s": 3.0}, "completed", 0),
    ],
)
def test_the_cost_of_an_attempt_is_compared_with_the_expected_cost(
    measured: dict[str, Any], result: str, more_us: int
) -> None:
    assert difference_us(row(**measured), result) == more_us
