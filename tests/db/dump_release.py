"""Makes `tests/data/releases/<version>/`: run once when a version is released, with that version's code.

`python -m tests.db.dump_release VERSION`: fills a database with accounts, keys, prices, checkpoints
and jobs in every state, and keeps its dump beside the statements that version sends.
"""

import asyncio
import os
import re
import shutil
import subprocess
import sys
import tempfile
import uuid
from pathlib import Path

import asyncpg
import psycopg
from psycopg.conninfo import conninfo_to_dict

from db.postgres import jobs_api, jobs_worker, ledger
from db.postgres.migrate import upgrade
from db.types import MICRO, Finished, NewJob, SpeechParams
from ops.stack import embedded

RELEASES = Path(__file__).parents[1] / "data" / "releases"
_QUERIES = Path(jobs_worker.__file__).with_name("sql") / "queries.sql"


def main(version: str) -> None:
    """Write the dump and the statements."""
    folder = RELEASES / version
    folder.mkdir(parents=True)
    with tempfile.TemporaryDirectory() as place:
        os.chmod(place, 0o755)
        with embedded.postgres(Path(place) / "pg", password="dump") as url:
            app_url = url.replace("//codevoice:", "//codevoice_app:", 1)
            upgrade(url, app_url)
            asyncio.run(_fill(url, app_url))
            (folder / "dump.sql").write_text(_dump(url))
    shutil.copy(_QUERIES, folder / "queries.sql")


async def _fill(url: str, app_url: str) -> None:
    connection = await asyncpg.connect(app_url)
    owners = [uuid.uuid5(uuid.NAMESPACE_DNS, f"{n}.example.org") for n in range(3)]
    for n, owner in enumerate(owners):
        await connection.execute(
            "INSERT INTO cv.account (id, kind, email, name) VALUES ($1, 'registered', $2, $3)",
            owner, f"person{n}@example.org", f"Person {n}",
        )  # fmt: skip
        await connection.execute(
            "INSERT INTO cv.api_key (account, name, prefix, digest, scopes, personal)"
            " VALUES ($1, 'personal', 'cv_live', $2, '{speech}', true)", owner, bytes([n]) * 32,
        )  # fmt: skip
        await ledger.open_wallet(connection, owner, kind="registered", tier=1)
        await ledger.grant(connection, owner, ref=uuid.uuid4(), amount=9 * MICRO, actor="shop", reason="sale")
    await connection.execute("SELECT cv.checkpoint(NULL, 100)")
    ends = ("done", "refuse", "retry", "hand_back", "none", "cancel", "listen")
    wanted = [_job(owners[0], name) for name in ends]
    await jobs_api.submit(connection, wanted, wait_s_max=10**9, open_max=100)
    await jobs_api.submit(connection, [_job(owners[1], "expire")], wait_s_max=0, open_max=100)
    with psycopg.connect(app_url, autocommit=True, cursor_factory=psycopg.RawCursor) as worker:
        claimed = jobs_worker.claim(
            worker, engine="espeak", lane=None, mixed=True, limit=5, worker="w1", lease_s=1e6
        )
        named = {job.params.text: job for job in claimed if isinstance(job.params, SpeechParams)}
        finished = [
            Finished(id=named[name].id, attempt=named[name].attempt, outcome=name, code=code)
            for name, code in (
                ("done", None),
                ("refuse", "nothing_to_say"),
                ("retry", "x"),
                ("hand_back", "y"),
            )
        ]
        jobs_worker.finish(worker, finished, worker="w1", tries_max=3, keep_s=10**8)
        jobs_worker.sweep(worker, tries_max=3, limit=10)
    await jobs_api.record_delivery(connection, wanted[6].id)
    await jobs_api.cancel(connection, wanted[5].id, owner=owners[0], actor="person")
    await jobs_api.cancel(connection, wanted[6].id, owner=owners[0], actor="person")
    await connection.execute("SELECT cv.refund($1, 'shop', 'gift')", wanted[0].id)
    await connection.close()
    print("states:", await _states(url), file=sys.stderr)


async def _states(url: str) -> list[str]:
    connection = await asyncpg.connect(url)
    rows = await connection.fetch(
        "SELECT state || ' ' || count(*) AS line FROM cv.job GROUP BY state ORDER BY 1"
    )
    await connection.close()
    return [row["line"] for row in rows]


def _job(owner: uuid.UUID, text: str) -> NewJob:
    key = {"key": "once", "fingerprint": b"f"} if text == "done" else {}
    params = SpeechParams(text=text, voice="ryan", language="en-US")
    return NewJob(id=uuid.uuid4(), owner=owner, kind="speech", engine="espeak", lane="ryan", params=params,
                  hold=MICRO, tariff=1, characters=len(text), cost_us=1000, **key)  # fmt: skip


def _dump(url: str) -> str:
    place = conninfo_to_dict(url)
    done = subprocess.run(
        [embedded.postgres_binary("pg_dump"), "--schema=cv", "--column-inserts", str(place["dbname"])],
        env={"PATH": os.defpath, "PGHOST": str(place["host"]), "PGPORT": str(place["port"]),
             "PGUSER": str(place["user"]), "PGPASSWORD": str(place["password"])},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    return re.sub(r"^(\\.*|SET transaction_timeout.*)\n", "", done.stdout, flags=re.MULTILINE)


if __name__ == "__main__":
    main(sys.argv[1])
