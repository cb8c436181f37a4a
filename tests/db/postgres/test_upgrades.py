"""Data of every released version is migrated to this one, while that version's processes continue to run."""

import re
import secrets
import uuid
from collections.abc import Callable
from datetime import timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import asyncpg
import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from db.postgres import jobs_worker, ledger, migrate
from db.postgres.pool import open_pool
from db.types import MICRO, Finished, SpeechParams
from tests.db.dump_release import RELEASES
from tests.records import new_job

VERSIONS = sorted(folder.name for folder in RELEASES.iterdir())
SQL = Path(migrate.__file__).with_name("migrations") / "sql"
FROZEN = {  # a revision that was released never changes: extended at each release
    "0001_tables": "d46d00",
}
RENAMED = {
    "take": "lock_wallet",
    "enter": "append_transfer",
    "save": "store_wallet",
    "put_terms": "apply_terms",
    "link": "chain_hash",
}
OWNER = uuid.uuid5(uuid.NAMESPACE_DNS, "0.example.org")
_COUNTS = "SELECT state, count(*) AS n FROM cv.job GROUP BY state ORDER BY state"

Restore = Callable[[str], tuple[str, str]]


@pytest.fixture
def empty(servers: tuple[str, str], new_database: Any) -> tuple[str, str]:
    """A database with nothing in it, on a server that has our roles: (owner's URL, application's URL)."""
    name = f"cv_test_{secrets.token_hex(6)}"
    with psycopg.connect(servers[0], autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"'.encode())
    place = conninfo_to_dict(servers[0])
    at = f"{place['host']}:{place.get('port', 5432)}/{name}"
    login = conninfo_to_dict(new_database()[1])["user"]
    return f"postgresql://{place['user']}:{place['password']}@{at}", f"postgresql://{login}:app@{at}"


@pytest.fixture
def restore(empty: tuple[str, str]) -> Restore:
    """The filled database of a release: (owner's URL, application's URL)."""

    def make(version: str) -> tuple[str, str]:
        dump = (RELEASES / version / "dump.sql").read_bytes()
        with psycopg.connect(empty[0], autocommit=True) as connection:
            connection.execute(dump)
        return empty

    return make


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_releases_data_is_kept_and_a_job_runs_on_it(restore: Restore, version: str) -> None:
    owner_url, app_url = restore(version)
    before = await asyncpg.connect(owner_url)
    counts, balance = await before.fetch(_COUNTS), await ledger.balance(before, OWNER)
    await before.close()

    migrate.upgrade(owner_url, app_url)
    migrate.upgrade(owner_url, app_url)

    pool = await open_pool(app_url, connections_max=2, statement_timeout_ms=30_000)
    async with pool.acquire() as connection:
        assert await connection.fetch(_COUNTS) == counts
        assert await ledger.balance(connection, OWNER) == balance
        assert await ledger.audit(connection) == []
        await _one_job(connection, app_url)
        assert await ledger.audit(connection) == []
        assert (await ledger.balance(connection, OWNER)).spent - balance.spent == 3 * MICRO  # type: ignore[union-attr]
    await pool.close()


async def _one_job(connection: Any, app_url: str) -> None:
    """A new job, and the two that were queued before, spoken and paid."""
    from db.postgres import jobs_api

    [sent] = await jobs_api.submit(connection, [new_job(OWNER)], wait_s_max=60, open_max=100)
    worker = jobs_worker.worker_connection(app_url, application_name="test")
    claimed = jobs_worker.claim(
        worker, engine="espeak", lane=None, mixed=True, limit=9, worker="w2", lease_s=60
    )
    assert sent.id in {job.id for job in claimed}
    ends = [Finished(id=job.id, attempt=job.attempt, outcome="done") for job in claimed]
    found = jobs_worker.finish(worker, ends, worker="w2", tries_max=3, keep_s=60)
    assert (set(found.values()), len(found)) == ({"completed"}, 3)
    worker.close()


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_releases_own_statements_still_run(restore: Restore, version: str) -> None:
    """Its API servers and workers go on while this version's start."""
    owner_url, app_url = restore(version)
    migrate.upgrade(owner_url, app_url)
    text = (RELEASES / version / "queries.sql").read_text()
    parts = re.split(r"^-- name: (\w+).*$", text, flags=re.MULTILINE)
    query = dict(zip(parts[1::2], parts[2::2], strict=True))
    connection = await asyncpg.connect(app_url)

    for statement in query.values():
        await connection.prepare(statement)  # parsed against today's tables, functions and rights
    job, hour = uuid.uuid4(), timedelta(hours=1)
    params = SpeechParams(text="hello", voice="ryan", language="en-US")
    [row] = await connection.fetch(
        query["submit_batch"], [job], [OWNER], ["speech"], ["old"], ["ryan"], [_json(params)], [MICRO], [5],
        [1000], [None], [None], [False], [None], [1], hour, 100,
    )  # fmt: skip
    assert row["code"] == "queued"
    [claimed] = await connection.fetch(query["claim"], "old", None, True, 5, "w1", hour)
    assert (claimed["id"], claimed["attempt"]) == (job, 1)
    assert await connection.fetch(query["renew"], [job], [1], "w1", hour)
    await connection.execute(query["hear"], job)
    ended = await connection.fetch(
        query["finish"], [job], [1], ["done"], [None], [None], ["jobs/x"], ["audio/wav"], [9], [1000], [b"x"],
        "w1", 3, hour,
    )  # fmt: skip
    assert [row["result"] for row in ended] == ["completed"]
    assert await connection.fetchval(query["break_off"], job, OWNER, "api") == "refunded"
    await connection.fetch(query["sweep"], 3, 10)
    assert await connection.fetch(query["recon"]) == []
    await connection.close()


def _json(params: SpeechParams) -> str:
    import msgspec

    return msgspec.json.encode(params).decode()


def test_released_revisions_never_change() -> None:
    found = {name: sha256((SQL / f"{name}.sql").read_bytes()).hexdigest()[:6] for name in FROZEN}
    assert found == FROZEN


@pytest.mark.parametrize("was", RENAMED)
async def test_a_renamed_function_does_the_same(database: tuple[str, str], was: str) -> None:
    """The old one still serves the last release's functions."""
    connection = await asyncpg.connect(database[0])
    body = "SELECT prosrc FROM pg_proc WHERE oid = $1::text::regproc"
    old, new = [await connection.fetchval(body, f"cv.{name}") for name in (was, RENAMED[was])]
    await connection.close()

    assert re.sub(rf"\bcv\.({'|'.join(RENAMED)})\(", lambda found: f"cv.{RENAMED[found[1]]}(", old) == new


def test_data_of_a_newer_version_is_refused_in_one_sentence(database: tuple[str, str]) -> None:
    with psycopg.connect(database[0], autocommit=True) as connection:
        connection.execute("UPDATE cv.alembic_version SET version_num = '9999'")
    with pytest.raises(migrate.SchemaError, match="newer version"):
        migrate.upgrade(*database)


def test_data_from_before_the_first_release_is_refused_in_one_sentence(empty: tuple[str, str]) -> None:
    with psycopg.connect(empty[0], autocommit=True) as connection:
        connection.execute((RELEASES / "0.1.0" / "dump.sql").read_bytes())
        connection.execute("ALTER TABLE cv.job DROP COLUMN heard CASCADE")
    with pytest.raises(migrate.SchemaError, match=r"before 0\.1\.0"):
        migrate.upgrade(*empty)
    with psycopg.connect(empty[0]) as connection:
        assert connection.execute("SELECT version_num FROM cv.alembic_version").fetchone() == ("0001",)


def test_objects_of_versions_before_the_first_release_are_dropped(empty: tuple[str, str]) -> None:
    with psycopg.connect(empty[0], autocommit=True) as connection:
        connection.execute((RELEASES / "0.1.0" / "dump.sql").read_bytes())
        connection.execute("CREATE FUNCTION cv.submit_one(p uuid) RETURNS int LANGUAGE sql AS 'SELECT 1'")
    migrate.upgrade(*empty)
    with psycopg.connect(empty[0]) as connection:
        assert connection.execute(
            "SELECT to_regproc('cv.submit_one'), to_regclass('cv.routines')"
        ).fetchone() == (
            None,
            None,
        )
