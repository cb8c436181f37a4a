"""The audit from checkpoints: what it still finds, and what only the whole audit does."""

import uuid

import asyncpg
import pytest

from db.postgres import ledger
from db.postgres.jobs_worker import WorkerConnection
from db.postgres.pool import Pool, transaction
from db.types import MICRO, Finished
from tests.db.postgres.test_jobs import claim, finish
from tests.db.postgres.test_ledger import findings
from tests.records import Submit, Wallet, new_job


async def checkpoint(pool: Pool) -> int:
    async with transaction(pool) as connection:
        written, _ = await ledger.checkpoint(connection)
    return written


async def defects(pool: Pool) -> set[str]:
    async with pool.acquire() as connection:
        found, _ = await ledger.defects_since_checkpoint(connection)
    return {finding.what for finding in found}


async def behind_the_guards(owner_url: str, *statements: str) -> None:
    connection = await asyncpg.connect(owner_url)
    tables = ("cv.transfer", "cv.checkpoint")
    for table in tables:
        await connection.execute(f"ALTER TABLE {table} DISABLE TRIGGER ALL")
    for statement in statements:
        await connection.execute(statement)
    for table in tables:
        for guard in ("append_only_rows", "append_only_table"):
            await connection.execute(f"ALTER TABLE {table} ENABLE ALWAYS TRIGGER {guard}")
    await connection.close()


async def test_an_untampered_ledger_is_clean_before_and_after_its_checkpoints(
    pool: Pool, wallet: Wallet, submit: Submit, worker: WorkerConnection
) -> None:
    owner = await wallet()
    for price in (MICRO, MICRO // 3):
        assert await defects(pool) == set()
        await submit(new_job(owner), new_job(owner))
        assert await checkpoint(pool) == 1
        finish(worker, *(Finished(id=job, attempt=1, outcome="done", price=price) for job in claim(worker)))
    assert (await defects(pool), await checkpoint(pool), await checkpoint(pool)) == (set(), 1, 0)
    assert await findings(pool) == []


@pytest.mark.parametrize(
    ("edit", "what"),
    [
        ("UPDATE cv.transfer SET reason = 'gift' WHERE reason = 'hold'", "hash chain broken"),
        ("DELETE FROM cv.transfer WHERE reason = 'hold'", "projection differs from transfers"),
        ("UPDATE cv.job SET hold = hold + 1", "job and hold differ"),
        ("UPDATE cv.wallet SET paid = paid + 1, issued = issued + 1", "projection differs from transfers"),
        ("UPDATE cv.checkpoint SET head = '\\x01'", "checkpoint differs from its transfer"),
    ],
)
async def test_what_was_changed_after_a_checkpoint_is_found_and_never_written_down(
    pool: Pool, wallet: Wallet, submit: Submit, database: tuple[str, str], edit: str, what: str
) -> None:
    owner = await wallet()
    await checkpoint(pool)
    await submit(new_job(owner))
    await behind_the_guards(database[0], edit)
    assert what in await defects(pool)
    assert await checkpoint(pool) == 0


async def test_only_the_whole_audit_reads_entries_before_a_checkpoint(
    pool: Pool, wallet: Wallet, database: tuple[str, str]
) -> None:
    await wallet()
    await checkpoint(pool)
    await behind_the_guards(database[0], "UPDATE cv.transfer SET reason = 'gift'")
    assert await defects(pool) == set()
    assert await findings(pool) == ["hash chain broken"]


async def test_wallets_are_audited_in_batches(pool: Pool, wallet: Wallet) -> None:
    owners = sorted([await wallet() for _ in range(3)])
    after: uuid.UUID | None = None
    marks = []
    async with pool.acquire() as connection:
        for _ in range(2):
            found, after = await ledger.defects_since_checkpoint(connection, after, wallets_max=2)
            marks.append((found, after))
    assert marks == [([], owners[1]), ([], None)]


async def test_no_checkpoint_is_ever_changed(wallet: Wallet, pool: Pool, database: tuple[str, str]) -> None:
    await wallet()
    await checkpoint(pool)
    superuser = await asyncpg.connect(database[0])
    for statement in ("UPDATE cv.checkpoint SET paid = 1", "DELETE FROM cv.checkpoint"):
        with pytest.raises(asyncpg.InsufficientPrivilegeError, match="append-only"):
            await superuser.execute(statement)
    await superuser.close()
