"""What the ledger costs: hold and post, each one call and one commit, against Postgres's own one-row UPDATE.

In a throwaway Postgres (fsync and synchronous_commit on), by pgbench, both sides with the same clients, in
alternating rounds. `share_N` is 2 x pairs / UPDATEs, the median of the rounds, with N clients; `hot_share_8`
is all clients on one wallet, against spread wallets. The record is audited afterwards.
"""

import asyncio
import os
import re
import statistics
import subprocess
import tempfile
from pathlib import Path

import asyncpg
import psycopg
from psycopg.conninfo import conninfo_to_dict

from db import ledger
from db.migrate import upgrade
from ops import embedded
from ops.bench import BenchError, Figures

_ROUNDS = 5
_SECONDS = 5  # a connection plans and compiles in its first calls, which is not what is measured
_WALLETS = 5_000
_CLIENTS = (8, 32)

_SETUP = Path(__file__).with_name("ledger.sql")
_UPDATE = """\\set id random(1, 5000)
UPDATE public.plain SET n = n + 1 WHERE id = :id;
"""
_PAIR = """\\set id random(1, {wallets})
\\set job random(1, 9000000000000000)
SELECT 1 / (code = 'queued')::int FROM cv.submit(ARRAY[md5(:job::text)::uuid], ARRAY[md5('w' || :id)::uuid],
  '{{speech}}', '{{none}}', '{{x}}', ARRAY['{{}}'], '{{1000000}}', '{{1}}', '{{1000}}', '{{NULL}}',
  '{{NULL}}'::bytea[], interval '1 hour', 1000000, '{{f}}', '{{NULL}}', '{{1}}');
SELECT 1 / (public.post(:job) = 'completed')::int;
"""


def ledger_share() -> Figures:
    """Run all rounds; raises BenchError where a transaction failed or the audit finds a defect."""
    with tempfile.TemporaryDirectory(prefix="codevoice-bench-") as folder:
        os.chmod(folder, 0o755)  # noqa: S103 # nosec B103 - Postgres may run as another account
        with embedded.postgres(Path(folder) / "pg", password="bench", durable=True) as url:  # noqa: S106
            app_url = _prepare(url)
            figures = _rounds(url, Path(folder))
            figures["defects"] = asyncio.run(_defects(app_url))
    if figures["defects"]:
        raise BenchError(f"the audit found {figures['defects']:g} defects after the run")
    return figures


def _prepare(url: str) -> str:
    app_url = url.replace("//codevoice:", "//bench_app:", 1)
    upgrade(url, app_url)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(_SETUP.read_bytes())
        connection.execute("VACUUM ANALYZE")
    return app_url


def _rounds(url: str, folder: Path) -> Figures:
    scripts = {
        "update": _UPDATE,
        "pair": _PAIR.format(wallets=_WALLETS),
        "hot": _PAIR.format(wallets=1),
    }
    for name, text in scripts.items():
        (folder / name).write_text(text)
    shares: dict[str, list[float]] = {}
    for number in range(_ROUNDS):
        for clients in _CLIENTS:
            order = ["update", "pair"] if number % 2 else ["pair", "update"]
            rates = {name: _pgbench(url, folder / name, clients) for name in order}
            shares.setdefault(f"share_{clients}", []).append(2 * rates["pair"] / rates["update"])
            if clients == _CLIENTS[0]:
                hot = _pgbench(url, folder / "hot", clients) / rates["pair"]
                shares.setdefault(f"hot_share_{clients}", []).append(hot)
    figures: Figures = {"rounds": _ROUNDS, "load_average": os.getloadavg()[0]}
    for name, values in shares.items():
        figures |= {name: statistics.median(values), f"{name}_min": min(values), f"{name}_max": max(values)}
    return figures


def _pgbench(url: str, script: Path, clients: int) -> float:
    """Scripts a second."""
    place = conninfo_to_dict(url)
    options = ["-n", "-M", "prepared", "-c", str(clients), "-j", "2", "-T", str(_SECONDS), "-f", str(script)]
    done = subprocess.run(
        [str(embedded.postgres_binary("pgbench")), *options, str(place["dbname"])],
        env={
            "PATH": os.defpath,
            "PGHOST": str(place["host"]),
            "PGPORT": str(place["port"]),
            "PGUSER": str(place["user"]),
            "PGPASSWORD": str(place["password"]),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    rate = re.search(r"^tps = ([\d.]+)", done.stdout, re.MULTILINE)
    failed = re.search(r"number of failed transactions: (\d+)", done.stdout)
    if done.returncode or not rate or (failed and int(failed[1])):
        raise BenchError(f"pgbench: {done.stderr.strip()[-300:] or done.stdout[-300:]}")
    return float(rate[1])


async def _defects(app_url: str) -> int:
    connection = await asyncpg.connect(app_url)
    try:
        return len(await ledger.audit(connection))
    finally:
        await connection.close()
