"""A worker as a process: its connection, its leases, what it publishes, its end."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path

from db.postgres import jobs_api, jobs_worker
from db.postgres.jobs_worker import WorkerConnection
from db.postgres.pool import Pool, transaction
from db.postgres.queries import query
from db.storage.objects import open_store
from tests.records import Submit, Wallet
from tests.workers.conftest import LocalWorker
from tests.workers.jobs.test_runner import order, spent, until
from workers.settings import WorkerSettings


async def test_a_lost_worker_connection_is_reopened(
    local_worker: LocalWorker,
    pool: Pool,
    wallet: Wallet,
    submit: Submit,
    database: tuple[str, str],
    worker: WorkerConnection,
) -> None:
    local_worker.start()
    owner = await wallet()
    for _ in range(3):
        worker.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid() AND application_name = ANY($1)",
            (["claims", "endings", "timer"],),
        )
        [sent] = await submit(order(owner, "say 5"))
        await until(pool, sent.id, "completed")
    assert await spent(pool, owner) == (3, 0)


async def test_two_workers_with_one_expired_lease_charge_once(
    local_worker: LocalWorker,
    pool: Pool,
    wallet: Wallet,
    submit: Submit,
    database: tuple[str, str],
    redis_url: str,
    folder: Path,
) -> None:
    """The first worker stops renewing (as one stopped by SIGSTOP does); the second takes its job over."""
    owner = await wallet()
    settings = WorkerSettings(engine="espeak", sweep_s=0.1, lease_s=0.2)
    stopped = LocalWorker(database[1], redis_url, open_store(folder.as_uri()), settings)
    [sent] = await submit(order(owner, "hang"))
    stopped.runner.claims.claim_available()
    await asyncio.to_thread(stopped.engine.begun.get, timeout=20)
    local_worker.start()
    await asyncio.to_thread(local_worker.engine.begun.get, timeout=20)
    assert (await until(pool, sent.id, "processing")).attempt == 2
    stopped.close()
    assert sent.id is not None
    async with transaction(pool) as connection:
        await jobs_api.cancel(connection, sent.id, owner=owner, actor="owner")
    assert await spent(pool, owner) == (0, 0)


async def test_a_worker_publishes_its_engine_and_the_last_one_stays_published(
    local_worker: LocalWorker, pool: Pool, worker: WorkerConnection
) -> None:
    local_worker.start()
    assert await pool.fetchval("SELECT count(*) FROM cv.engine") == 1
    jobs_worker.publish(worker, local_worker.engine.capabilities, worker="another")
    local_worker.timer.stop()
    engines = await pool.fetch(query("engines"))
    assert [row["present"] for row in engines] == [True]
    jobs_worker.retire(worker, engine="espeak", worker="another")
    engines = await pool.fetch(query("engines"))
    assert [row["present"] for row in engines] == [False]


def test_a_terminating_worker_does_not_wait_for_postgres(tmp_path: Path) -> None:
    environ = {
        **os.environ,
        "DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none",
        "REDIS_URL": "redis://127.0.0.1:1/0",
        "CODEVOICE_OBJECTS": tmp_path.as_uri(),
        "CODEVOICE_ENGINE": "espeak",
    }
    worker = subprocess.Popen([sys.executable, "-m", "workers"], env=environ, stderr=subprocess.PIPE)
    with worker:
        assert worker.stderr is not None
        assert b"beat_failed" in worker.stderr.readline()
        worker.terminate()
        assert worker.wait(timeout=30) == 0
