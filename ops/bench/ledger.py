"""What the ledger costs: hold and post, each one call and one commit, against Postgres's own one-row UPDATE.

In a throwaway Postgres (fsync and synchronous_commit on), by pgbench, all with the same clients, in
alternating rounds. The hold is the call the API makes for one job, the post the call a worker makes for one;
the claim between them, which workers share among up to 16 jobs, is done the same way and not timed. `share_N`
is 2 x pairs / UPDATEs with N clients, a pair lasting as long as one hold and one post; `vs_frozen_N` is pairs
/ pairs by release 0.1.0's functions (`frozen.py`); `hot_share_8` is all clients on one wallet, against
spread wallets. Medians of the rounds; the ledger is audited afterwards.
"""

import os
import re
import secrets
import statistics
import tempfile
from pathlib import Path

import psycopg

from db.postgres.migrate import upgrade
from ops.bench import BenchError, Figures, spread
from ops.bench.harness.environment import audited
from ops.bench.harness.frozen import frozen_functions
from ops.bench.harness.pgbench import pgbench
from ops.stack import embedded

_ROUNDS = 5
_SECONDS = 4
_PAIRS = 19_200  # per round and number of clients
_HOT_PAIRS = 6_400
_WALLETS = 5_000
_CLIENTS = (8, 32)

_UPDATE = """\\set id random(1, 5000)
UPDATE public.plain SET n = n + 1 WHERE id = :id;
"""
_CLAIM = "SELECT FROM cv.claim('none', 'x', false, 16, 'b', interval '1 hour')"
_NEXT = """\\set i :i + 1
\\set job :client_id * 1000000 + :i
"""
_HOLD = """\\set id random(1, :wallets)
SELECT 1 / (code = 'queued')::int FROM {schema}.submit_batch(ARRAY[md5(:run || '-' || :job)::uuid],
  ARRAY[md5('w' || :id)::uuid], ARRAY['speech'], ARRAY['none'], ARRAY['x'], ARRAY['{{}}'],
  ARRAY[1000000::bigint], ARRAY[1], ARRAY[1000::bigint], ARRAY[NULL::text], ARRAY[NULL::bytea],
  interval '1 hour', 1000000, ARRAY[false], ARRAY[NULL::uuid], ARRAY[1]);
"""
_POST = """SELECT 1 / (result = 'completed')::int FROM {schema}.finish(
  ARRAY[md5(:run || '-' || :job)::uuid], ARRAY[1], ARRAY['done'], ARRAY[NULL::text], ARRAY[NULL::bigint],
  ARRAY[NULL::text], ARRAY[NULL::text], ARRAY[NULL::bigint], ARRAY[NULL::bigint], ARRAY[NULL::bytea], 'b', 3,
  interval '1 day');
"""
_SCHEMAS = {"today": "cv", "frozen": "frozen"}


def ledger() -> Figures:
    """Run all rounds; raises BenchError if a transaction failed or the audit finds a defect."""
    with tempfile.TemporaryDirectory(prefix="codevoice-bench-") as folder:
        os.chmod(folder, 0o755)  # noqa: S103 # nosec B103 - Postgres may run as another account
        with embedded.postgres(Path(folder) / "pg", password="bench", durable=True) as url:  # noqa: S106
            app_url = _prepare(url)
            return _rounds(url, Path(folder)) | audited(app_url)


def _prepare(url: str) -> str:
    app_url = url.replace("//codevoice:", "//bench_app:", 1)
    upgrade(url, app_url)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(frozen_functions().encode())
        connection.execute(Path(__file__).with_name("ledger.sql").read_bytes())
        connection.execute("VACUUM ANALYZE")
    return app_url


def _rounds(url: str, folder: Path) -> Figures:
    (folder / "update").write_text(_UPDATE)
    for which, schema in _SCHEMAS.items():
        (folder / f"hold-{which}").write_text(_NEXT + _HOLD.format(schema=schema))
        (folder / f"post-{which}").write_text(_NEXT + _POST.format(schema=schema))
    shares: dict[str, list[float]] = {}
    for number in range(_ROUNDS):
        for clients in _CLIENTS:
            frozen = _pairs(url, folder, "frozen", clients, _PAIRS, _WALLETS) if number % 2 else None
            first = _updates(url, folder, clients) if number % 2 else None
            pairs = _pairs(url, folder, "today", clients, _PAIRS, _WALLETS)
            updates = first or _updates(url, folder, clients)
            frozen = frozen or _pairs(url, folder, "frozen", clients, _PAIRS, _WALLETS)
            shares.setdefault(f"share_{clients}", []).append(2 * pairs / updates)
            shares.setdefault(f"vs_frozen_{clients}", []).append(pairs / frozen)
            if clients == _CLIENTS[0]:
                hot = _pairs(url, folder, "today", clients, _HOT_PAIRS, wallets=1)
                shares.setdefault(f"hot_share_{clients}", []).append(hot / pairs)
    figures: Figures = {"rounds": _ROUNDS, "load_average": os.getloadavg()[0]}
    for name, values in shares.items():
        figures |= spread(name, values)
    return figures


def _updates(url: str, folder: Path, clients: int) -> float:
    return _pgbench(url, folder / "update", clients, "-T", str(_SECONDS))


def _pairs(url: str, folder: Path, which: str, clients: int, pairs: int, wallets: int) -> float:
    """Pairs a second, of so many, by today's functions or the frozen ones: all holds, then all posts."""
    run = secrets.randbelow(1 << 30)
    options = ["-t", str(pairs // clients), "-D", "i=0", "-D", f"run={run}", "-D", f"wallets={wallets}"]
    holds = _pgbench(url, folder / f"hold-{which}", clients, *options)
    with psycopg.connect(url, autocommit=True) as connection:
        while connection.execute(_CLAIM).rowcount:
            pass
    posts = _pgbench(url, folder / f"post-{which}", clients, *options)
    return 1 / (1 / holds + 1 / posts)


def _pgbench(url: str, script: Path, clients: int, *more: str) -> float:
    """Scripts a second: the median of its seconds except the first, in which connections plan and compile."""
    done = pgbench(url, script, clients, "-P", "1", *more)
    rates = [float(rate) for rate in re.findall(r"^progress: .* ([\d.]+) tps", done.stderr, re.MULTILINE)]
    if len(rates) < 2:
        raise BenchError(f"pgbench: {done.stderr.strip()[-300:]}")
    return statistics.median(rates[1:])
