"""What the request path leaves of Postgres's own speed, and the same for its peers: one run, in turns.

One API process with all its middleware, durable commits, 64 connections, a thousand accounts. `post_vs_…` are
jobs a second of POST /v1/tts ÷ those of: `pgbench` calling release 0.1.0's function (`frozen.py`), one job a
transaction with 64 clients, or 32 jobs a transaction with 2 (`_batch`); `peer`: FastAPI, Pydantic,
SQLAlchemy's ORM; `fastapi_same`: FastAPI on the same function. Each is the median of the rounds' own ratios,
with its minimum and maximum. `cpu_us_…`: CPU per request of application, database and load generator. Fails
if any response was not 200, or if the audit finds a defect afterwards.
"""

import asyncio
import json
import os
import re
import statistics
from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec

import asyncpg
from msgspec import Struct

from ops.bench import BenchError, Figures, spread
from ops.bench.harness.cpu import family_s
from ops.bench.harness.environment import (
    ACCOUNTS,
    PARAMS,
    TEXT,
    Environment,
    ask,
    audited,
    environment,
    get,
    post,
)
from ops.bench.harness.pgbench import pgbench

CONNECTIONS = 64
_ONE_CALL = """\\set id random(1, %d)
SELECT 1 / (code = 'queued')::int FROM frozen.submit_batch(ARRAY[gen_random_uuid()],
  ARRAY[public.owner_of(:id)], ARRAY['speech'], ARRAY['paced'], ARRAY['paced'], ARRAY['%s'],
  ARRAY[1000000::bigint], ARRAY[%d], ARRAY[44000::bigint], ARRAY[NULL::text], ARRAY[NULL::bytea],
  interval '1 hour', 1000000000, ARRAY[false], ARRAY[NULL::uuid], ARRAY[1]);
"""
_POLLED = 64
_BATCH = 32
_BATCH_CLIENTS = 2
_PGBENCH_S_MIN = 3  # its 64 connections take one second to open on a busy machine
_RATIOS = {  # figure: dividend, divisor
    "post_vs_pgbench": ("post", "pgbench"),
    "post_vs_pgbench_batch": ("post", "pgbench_batch"),
    "post_vs_peer": ("post", "peer"),
    "post_vs_fastapi_same": ("post", "same"),
    "hot_vs_spread": ("hot", "post"),
    "status_vs_health": ("status", "health"),
}


class Turn(Struct, frozen=True, kw_only=True):
    """One side's turn in a round; CPU in microseconds per request (pgbench has no application)."""

    rate: float
    cpu_app: float = 0.0
    cpu_database: float = 0.0
    cpu_generator: float = 0.0
    p50_ms: float = 0.0
    p99_ms: float = 0.0


def api(*, rounds: int = 15, seconds: float = 1.3) -> Figures:
    """Run all; raises BenchError if a request failed, or the audit finds a defect."""
    missing = [name for name in ("fastapi", "sqlalchemy") if find_spec(name) is None]
    if missing:
        raise BenchError(f"{' and '.join(missing)} not installed: pip install 'codevoice[bench,embedded]'")
    with environment() as place:
        sides = _sides(place, seconds)
        for side in sides.values():
            side()  # warms caches, plans and connections
        figures = _figures(_rounds(sides, rounds)) | audited(place.app_url)
    return figures | {"rounds": rounds, "load_average": os.getloadavg()[0], "errors": 0}


def _sides(place: Environment, seconds: float) -> dict[str, Callable[[], Turn]]:
    spread = [post(key) for key in place.keys]
    polled = [get(f"/tts/status/{job}") for job in _jobs(place)]

    def http(name: str, requests: Sequence[str]) -> Callable[[], Turn]:
        return lambda: _http_turn(place, name, requests, seconds)

    return {
        "post": http("app", spread),
        "pgbench": lambda: _pgbench_turn(place, _one_call(), CONNECTIONS, 1, seconds),
        "same": http("same", spread),
        "bare": http("bare", spread),
        "peer": http("orm", spread),
        "hot": http("app", spread[:1]),
        "pgbench_batch": lambda: _pgbench_turn(place, _batch_call(), _BATCH_CLIENTS, _BATCH, seconds),
        "health": http("app", [get("/health/live")]),
        "status": http("app", polled),
    }


def _rounds(sides: Mapping[str, Callable[[], Turn]], rounds: int) -> dict[str, list[Turn]]:
    """Each round in another order: rotated by one, and reversed every second time."""
    names, turns = list(sides), dict[str, list[Turn]]()
    for number in range(rounds):
        order = names[number % len(names) :] + names[: number % len(names)]
        for name in order if number % 2 == 0 else reversed(order):
            turns.setdefault(name, []).append(sides[name]())
    return turns


def _figures(turns: Mapping[str, Sequence[Turn]]) -> Figures:
    figures: Figures = {}
    for figure, (dividend, divisor) in _RATIOS.items():
        pairs = zip(turns[dividend], turns[divisor], strict=True)
        figures |= spread(figure, [one.rate / other.rate for one, other in pairs])
    pairs = zip(turns["post"], turns["bare"], strict=True)
    figures |= spread("middleware_cpu_ratio", [one.cpu_app / other.cpu_app for one, other in pairs])
    figures |= spread("p99_vs_p50", [turn.p99_ms / turn.p50_ms for turn in turns["post"]])
    for name, side in turns.items():
        for field_name in Turn.__struct_fields__:
            if value := statistics.median(getattr(turn, field_name) for turn in side):
                figures[f"{name}_{_SHOWN.get(field_name, field_name)}"] = round(value, 2)
    return figures


_SHOWN = {
    "rate": "per_s",
    "cpu_app": "cpu_us_app",
    "cpu_database": "cpu_us_database",
    "cpu_generator": "cpu_us_generator",
}


def _http_turn(place: Environment, name: str, requests: Sequence[str], seconds: float) -> Turn:
    app, database = place.pids[name], place.pids["postgres"]
    before = family_s(app), family_s(database)
    done = ask(place.ports[name], requests, seconds=seconds, connections=CONNECTIONS)
    return Turn(
        rate=done.done / done.seconds,
        cpu_app=1e6 * (family_s(app) - before[0]) / done.done,
        cpu_database=1e6 * (family_s(database) - before[1]) / done.done,
        cpu_generator=done.cpu_us / done.done,
        p50_ms=done.latencies_ms[50],
        p99_ms=done.latencies_ms[99],
    )


def _pgbench_turn(place: Environment, script: str, clients: int, jobs: int, seconds: float) -> Turn:
    """`jobs` per transaction."""
    path = place.folder / "script"
    path.write_text(script)
    before = family_s(place.pids["postgres"])
    run_s = max(_PGBENCH_S_MIN, round(seconds))
    done = pgbench(place.owner_url, path, clients, "-T", str(run_s))
    (rate,) = re.findall(r"^tps = ([\d.]+)", done.stdout, re.MULTILINE)
    (count,) = re.findall(r"transactions actually processed: (\d+)", done.stdout)
    cpu = 1e6 * (family_s(place.pids["postgres"]) - before) / (int(count) * jobs)
    return Turn(rate=float(rate) * jobs, cpu_database=cpu)


def _one_call() -> str:
    return _ONE_CALL % (ACCOUNTS, json.dumps(PARAMS), len(TEXT))


def _batch_call() -> str:
    call = f"public.submit_many({_BATCH}, {ACCOUNTS}, '{json.dumps(PARAMS)}')"
    return f"SELECT 1 / ({call} = {_BATCH})::int;\n"


def _jobs(place: Environment) -> Sequence[str]:
    """Some jobs to poll."""
    some = [post(key) for key in place.keys[:_POLLED]]
    ask(place.ports["app"], some, seconds=0.2, connections=CONNECTIONS)

    async def find() -> Sequence[str]:
        connection = await asyncpg.connect(place.owner_url)
        try:
            rows = await connection.fetch("SELECT id FROM cv.job ORDER BY created_at LIMIT $1", _POLLED)
        finally:
            await connection.close()
        return [str(row["id"]) for row in rows]

    return asyncio.run(find())
