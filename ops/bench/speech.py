"""What the platform leaves of an engine's speed, in a stack of the benchmark's own.

`slow_engine_ratio`: jobs/s through POST /v1/tts ÷ the bare engine's loop, with an engine that takes its time
(`paced_engine.py`). `embedded_ratio`: the same with espeak, on the same cores; both sides in turns.
`job_ms_p50`: from sending a POST's bytes to the job's `finished_at`, one client; `engine_ms_p50`: the bare
engine's part of it, the same text alone, in turns with them. `cpu_ms_*`: a job's CPU by process, in the
espeak runs; children of the engine that have spoken and ended are not counted.
"""

import statistics
import time
from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import psycopg

from ops.bench import BenchError, Figures, fund
from ops.bench.harness.cpu import family_s
from ops.bench.harness.own_stack import own_stack
from ops.bench.harness.paced_engine import SLOTS, VOICE, PacedEngine
from ops.bench.harness.posting import Poster, ready
from ops.stack.running import Stack
from workers.engines.espeak.engine import EspeakEngine
from workers.engines.protocol import Engine, Utterance

_TEXT = "The quick brown fox jumps over the lazy dog, and then it sleeps in the sun."
_VOICE = "espeak-ryan"
_SLOW_JOBS = 16 * SLOTS
_QUICK_JOBS = 200
_ROUNDS = 7
_SINGLE_JOBS = 50
_CLIENTS = 8
_DONE_S_MAX = 120
_APART_S = 0.06  # an engine prepares its next child after speaking, which would use the other's time
_POLL_S = 0.2  # rarely: each query takes time from what is measured


def speech() -> Figures:
    """Run all; raises BenchError if a job failed."""
    with own_stack(engines="espeak,ops.bench.harness.paced_engine:engine") as stack:
        fund(stack, credits=_SLOW_JOBS + (_ROUNDS + 1) * _QUICK_JOBS + _SINGLE_JOBS + 100)
        for voice in (VOICE, _VOICE):
            ready(stack, voice)
        figures = _embedded(stack)
        figures |= _singles(stack)
        bare = _bare_rate(PacedEngine(), VOICE, _SLOW_JOBS)
        figures["slow_engine_ratio"] = platform_rate(stack, VOICE, _SLOW_JOBS) / bare
    return figures


def _embedded(stack: Stack) -> Figures:
    engine = EspeakEngine()
    try:
        platform_rate(stack, _VOICE, _QUICK_JOBS)  # warms caches and plans
        before, rounds = _cpu_ms(stack), list[tuple[float, float]]()
        for _ in range(_ROUNDS):
            bare = _bare_rate(engine, _VOICE, _QUICK_JOBS)
            rounds.append((bare, platform_rate(stack, _VOICE, _QUICK_JOBS)))
        after = _cpu_ms(stack)
    finally:
        engine.close()
    figures = {
        "embedded_ratio": statistics.median(platform / bare for bare, platform in rounds),
        "embedded_jobs_per_s": statistics.median(platform for _, platform in rounds),
    }
    jobs = _ROUNDS * _QUICK_JOBS
    return figures | {f"cpu_ms_{part}": (after[part] - before[part]) / jobs for part in before}


def _bare_rate(engine: Engine, voice: str, jobs: int) -> float:
    """Utterances a second of the engine alone, all its slots kept busy."""

    def say(_: int) -> None:
        [spoken] = engine.begin([Utterance(job_id=uuid4(), text=_TEXT, voice=voice, language="en-US")])
        for _pcm in spoken:
            pass

    began = time.monotonic()
    with ThreadPoolExecutor(engine.slots) as slots:
        list(slots.map(say, range(jobs)))
    return jobs / (time.monotonic() - began)


def platform_rate(stack: Stack, voice: str, jobs: int) -> float:
    """Jobs a second from the first POST until the last is completed, with `_CLIENTS` clients."""

    def post(share: int) -> None:
        with Poster(stack) as poster:
            for _ in range(share):
                poster.post(_TEXT, voice)

    with psycopg.connect(stack.database_url, autocommit=True) as connection:
        done, _ = _completed(connection)
        began = time.time()
        with ThreadPoolExecutor(_CLIENTS) as clients:
            list(clients.map(post, [jobs // _CLIENTS] * _CLIENTS))
        while (now := _completed(connection))[0] < done + jobs:
            if time.time() - began > _DONE_S_MAX:
                left = done + jobs - now[0]
                raise BenchError(f"{left} of {jobs} jobs were not completed in {_DONE_S_MAX} s")
            time.sleep(_POLL_S)
    return jobs / (now[1] - began)


def _completed(connection: psycopg.Connection) -> tuple[int, float]:
    """The number of completed jobs, and when the last one completed."""
    row = connection.execute(
        "SELECT count(*), coalesce(extract(epoch FROM max(finished_at)), 0)::float8 FROM cv.job"
        " WHERE state = 'completed'"
    ).fetchone()
    return row or (0, 0.0)


def _singles(stack: Stack) -> Figures:
    """POST → completed for jobs one after the other, and the engine's own time for each text."""
    jobs_ms, engine_ms, engine = list[float](), list[float](), EspeakEngine()
    try:
        with Poster(stack) as poster, psycopg.connect(stack.database_url, autocommit=True) as connection:
            for _ in range(_SINGLE_JOBS):
                sent_at = time.time()
                job = poster.post(_TEXT, _VOICE)
                time.sleep(_APART_S)
                jobs_ms.append(1000 * (finished_at(connection, job) - sent_at))
                engine_ms.append(1000 / _bare_rate(engine, _VOICE, 1))
                time.sleep(_APART_S)
    finally:
        engine.close()
    return {"job_ms_p50": statistics.median(jobs_ms), "engine_ms_p50": statistics.median(engine_ms)}


def finished_at(connection: psycopg.Connection, job: str, *, within_s: float = 10) -> float:
    """When the job was completed, by the database; raises BenchError if it is not within `within_s`."""
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        row = connection.execute("SELECT finished_at FROM cv.job WHERE id = %s", (job,)).fetchone()
        if row and row[0]:
            return row[0].timestamp()
        time.sleep(0.005)
    raise BenchError(f"a job was not completed within {within_s:g} s")


def _cpu_ms(stack: Stack) -> dict[str, float]:
    """CPU milliseconds so far of each part's process and its children; `worker` is the first engine's."""
    return {part: 1000 * family_s(stack.pids[part]) for part in ("api", "worker", "postgres", "valkey")}
