"""A job alone takes a shorter way through the ledger, and all is as if it had come in company."""

import asyncio
import uuid
from collections.abc import Callable, Sequence
from typing import Any

import asyncpg
import pytest

from db import ledger, work
from db.engine import Pool, transaction
from db.rows import MICRO, Finished
from db.work import WorkerConnection
from tests.db.test_guards import waits_for_a_lock
from tests.db.test_ledger import findings, shift_clock
from tests.records import Submit, Wallet, new_job

_WALLET = (
    "SELECT seq, issued, free, paid, held, spent, expired, open_jobs, period FROM cv.wallet WHERE owner = $1"
)
_TRANSFERS = (
    "SELECT seq, slot, src, dst, amount, bucket, period, actor, reason FROM cv.transfer"
    " WHERE owner = $1 ORDER BY seq"
)
_JOBS = (
    "SELECT hold, price, bucket, remaining, split, state, code, attempt, tries, worker, lease, duration_ms,"
    " tariff, live, api_key FROM cv.job WHERE owner = $1 ORDER BY fair_at"
)
_BY = {"actor": "shop", "reason": "sale"}

Cases = dict[str, tuple[dict[str, Any], int, Sequence[dict[str, Any]]]]
CASES: Cases = {  # name: the wallet, paid credits granted, the jobs
    "from the free bucket": ({}, 0, [{}, {"hold": 2 * MICRO}]),
    "the last free credit": ({"monthly": MICRO}, 3 * MICRO, [{}, {}]),
    "from the paid bucket": ({"monthly": 0}, 3 * MICRO, [{}, {}, {}]),
    "from both": ({"monthly": MICRO}, 3 * MICRO, [{"hold": 2 * MICRO}, {}]),
    "unlimited": ({"kind": "api_only", "monthly": 0, "unlimited": True}, 0, [{}, {}]),
    "more than there is": ({"monthly": MICRO}, 0, [{}, {}]),
    "for nothing": ({}, 0, [{"hold": 0}]),
    "too many": ({}, 0, [{}, {}, {}, {}]),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
@pytest.mark.parametrize("months", [0, 1])
async def test_a_job_alone_is_held_and_ended_as_in_company(
    pool: Pool,
    wallet: Wallet,
    submit: Submit,
    worker: WorkerConnection,
    database: tuple[str, str],
    case: tuple[dict[str, Any], int, Sequence[dict[str, Any]]],
    months: int,
) -> None:
    terms, paid, wanted = case

    async def told(company: Callable[[], Sequence[Any]]) -> list[object]:
        await shift_clock(database[0], "0")
        owner = await wallet(**terms)
        if paid:
            async with transaction(pool) as connection:
                await ledger.grant(connection, owner, ref=uuid.uuid4(), amount=paid, **_BY)
        await shift_clock(database[0], f"{months} months")
        seen: list[object] = []
        for fields in wanted:
            answer, *_ = await submit(new_job(owner, **fields), *company(), open_max=3)
            seen.append((answer.code, answer.bucket, answer.remaining))
        await shift_clock(database[0], f"{2 * months} months")
        claimed = work.claim(
            worker, engine="espeak", lane="ryan", mixed=False, limit=50, worker="w", lease_s=10
        )
        others = [Finished(id=uuid.uuid4(), attempt=1, outcome="done") for _ in company()]
        for job in claimed:
            ended = [Finished(id=job.id, attempt=job.attempt, outcome="done", duration_ms=7), *others]
            results = work.finish(worker, ended, worker="w", tries_max=3, keep_s=60)
            seen.append(results[job.id, job.attempt])
        for query in (_WALLET, _TRANSFERS, _JOBS):
            seen.append([tuple(row) for row in await pool.fetch(query, owner)])
        return seen

    rich = await wallet(monthly=1000 * MICRO)
    alone = await told(list)
    in_company = await told(lambda: [new_job(rich, lane="other")])

    assert alone == in_company
    assert await findings(pool) == []


async def test_a_job_alone_ends_with_its_wallet_locked_first(
    pool: Pool, wallet: Wallet, submit: Submit, worker: WorkerConnection, database: tuple[str, str]
) -> None:
    """And its job after it; where it was cancelled meanwhile, that is seen, and nothing is written."""
    owner = await wallet()
    [sent] = await submit(new_job(owner))
    [job] = work.claim(worker, engine="espeak", lane="ryan", mixed=False, limit=1, worker="w", lease_s=10)
    cancelling = await asyncpg.connect(database[0])
    async with cancelling.transaction():
        await cancelling.execute("SELECT FROM cv.wallet FOR UPDATE")
        ending = asyncio.create_task(
            asyncio.to_thread(
                work.finish,
                worker,
                [Finished(id=job.id, attempt=1, outcome="done")],
                worker="w",
                tries_max=3,
                keep_s=60,
            )
        )
        await waits_for_a_lock(cancelling, "test-worker")
        assert await cancelling.fetch("SELECT id FROM cv.job FOR UPDATE SKIP LOCKED") == [(job.id,)]
        await cancelling.execute("SELECT cv.cancel($1, $2, 'owner')", sent.id, owner)
    await cancelling.close()
    assert await ending == {(job.id, 1): "fenced"}
    assert await findings(pool) == []
