"""Whether a large database is slower than an empty one: both side by side, in turns.

Two stacks, each with a Postgres of its own and a thousand accounts. The first hundred have a hundred jobs
each in both; in the large one the others have the rest of a million jobs and five million transfers, written
by the ledger's own writer. `…_ratio` is the time of the large one ÷ that of the other, each the median of a
turn, then of the rounds: a POST of speech, a status poll, a claim of 16 jobs with their end, and, for one of
the hundred accounts, the dashboard's figures, the list of jobs and the usage by day. The large database is
audited afterwards. `python -m ops.bench.size --jobs 10000000` for more.
"""

import argparse
import json
import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg

from db.postgres import jobs_worker
from db.types import Finished
from ops.bench import BenchError, Figures, spread
from ops.bench.harness.environment import ACCOUNTS, PARAMS, Environment, ask, audited, environment, get, post

JOBS = 1_000_000
_KNOWN = 100  # accounts with as many jobs in both
_KNOWN_JOBS = 100
_BATCH = 16
_CLAIMS = 20  # per turn
_JOB_BYTES = 3_000  # with its transfers, indexes and write-ahead log
_FILLERS = 2
_GETS = {"dashboard": "/api/user/dashboard", "jobs": "/v1/jobs?limit=50", "usage": "/api/v1/usage?days=30"}
_SIZES = """SELECT (SELECT count(*) FROM cv.job), (SELECT count(*) FROM cv.transfer),
  pg_database_size(current_database())"""

Turns = Mapping[str, Callable[[], float]]


def size(jobs: int = JOBS, *, rounds: int = 5, turn_s: float = 1.0) -> Figures:
    """Fill and measure; raises BenchError: disk too small, a request failed, or the audit finds a defect."""
    free = shutil.disk_usage(tempfile.gettempdir()).free
    if free < jobs * _JOB_BYTES:
        raise BenchError(
            f"{jobs} jobs need {jobs * _JOB_BYTES >> 20} MB in {tempfile.gettempdir()}, {free >> 20} are free"
        )
    with environment(("app",)) as empty, environment(("app",)) as large:
        _fill(empty, _KNOWN * _KNOWN_JOBS)
        figures = _fill(large, jobs)
        figures |= _ratios(_turns(empty, rounds, turn_s), _turns(large, rounds, turn_s), rounds)
        began = time.perf_counter()
        figures |= audited(large.app_url)
        figures["audit_s"] = round(time.perf_counter() - began, 1)
    return figures | {"rounds": rounds, "load_average": os.getloadavg()[0]}


def _fill(place: Environment, jobs: int) -> Figures:
    """Write so many jobs; returns the sizes afterwards."""
    with psycopg.connect(place.owner_url, autocommit=True) as connection:
        connection.execute(Path(__file__).with_name("size.sql").read_bytes())
    began, others, rest = time.perf_counter(), ACCOUNTS - _KNOWN, jobs - _KNOWN * _KNOWN_JOBS
    plan = [(n + 1, _KNOWN_JOBS) for n in range(_KNOWN)]
    plan += [(_KNOWN + n + 1, rest // others + (n < rest % others)) for n in range(others)]
    parts = [plan[n::_FILLERS] for n in range(_FILLERS)]
    with ThreadPoolExecutor(_FILLERS) as pool:
        list(pool.map(_write, [place.owner_url] * _FILLERS, parts))
    with psycopg.connect(place.owner_url, autocommit=True) as connection:
        connection.execute("VACUUM ANALYZE")
        connection.execute("CHECKPOINT")
        sizes = connection.execute(_SIZES).fetchone()
    assert sizes is not None
    return {
        "jobs": sizes[0],
        "transfers": sizes[1],
        "database_mb": sizes[2] >> 20,
        "filled_s": round(time.perf_counter() - began),
    }


def _write(url: str, plan: Sequence[tuple[int, int]]) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("SET synchronous_commit = off")
        for account, jobs in plan:
            connection.execute("SELECT public.fill(%s, %s)", (account, jobs))


def _turns(place: Environment, rounds: int, turn_s: float) -> Turns:
    """One turn of each kind, as a function that returns the median milliseconds."""
    with psycopg.connect(place.owner_url, autocommit=True) as connection:
        for _ in range(-(-_CLAIMS * (rounds + 1) * _BATCH // 32)):
            connection.execute("SELECT public.submit_many(32, %s, %s)", (ACCOUNTS, json.dumps(PARAMS)))
    polled = [get(f"/tts/status/{job}", place.keys[0]) for job in _some_jobs(place)]
    turns = {
        "post": lambda: _http(place, turn_s, [post(key) for key in place.keys]),
        "claim": lambda: _claims(place),
        "status": lambda: _http(place, turn_s, polled),
    }
    for name, path in _GETS.items():
        turns[name] = lambda path=path: _http(place, turn_s, [get(path, key) for key in place.keys[:_KNOWN]])
    return turns


def _ratios(empty: Turns, large: Turns, rounds: int) -> Figures:
    figures: Figures = {}
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in empty}
    for number in range(-1, rounds):  # the first, unmeasured, warms up
        for name, pairs in taken.items():
            first, second = (empty, large) if number % 2 else (large, empty)
            times = {id(first): first[name](), id(second): second[name]()}
            if number >= 0:
                pairs.append((times[id(empty)], times[id(large)]))
    for name, pairs in taken.items():
        figures |= spread(f"{name}_ratio", [large_ms / empty_ms for empty_ms, large_ms in pairs])
        figures |= {f"{name}_ms": round(statistics.median(large_ms for _, large_ms in pairs), 2)}
    return figures


def _http(place: Environment, turn_s: float, requests: Sequence[str]) -> float:
    return ask(place.ports["app"], requests, seconds=turn_s, connections=1).latencies_ms[50]


def _claims(place: Environment) -> float:
    """As a worker does it: a batch claimed, and finished."""
    took: list[float] = []
    with jobs_worker.worker_connection(place.app_url, application_name="bench") as connection:
        for _ in range(_CLAIMS):
            began = time.perf_counter()
            claimed = jobs_worker.claim(
                connection, engine="paced", lane=None, mixed=False, limit=_BATCH, worker="bench", lease_s=60
            )
            ended = [
                Finished(
                    id=job.id, attempt=job.attempt, outcome="done", object=f"jobs/{job.id}/1.wav",
                    content_type="audio/wav", audio_bytes=88_244, duration_ms=2000, sha256=bytes(32),
                )
                for job in claimed
            ]  # fmt: skip
            jobs_worker.finish(connection, ended, worker="bench", tries_max=3, keep_s=86_400)
            if len(claimed) < _BATCH:
                raise BenchError("too few jobs were waiting")
            took.append(1000 * (time.perf_counter() - began))
    return statistics.median(took)


def _some_jobs(place: Environment) -> Sequence[str]:
    with psycopg.connect(place.owner_url) as connection:
        rows = connection.execute("SELECT id::text FROM cv.job ORDER BY id LIMIT 1000").fetchall()
    return [row[0] for row in rows]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=JOBS)
    print(json.dumps({"bench": "size", "figures": size(parser.parse_args().jobs)}))
