"""This checkout against another one, in alternating rounds: `python -m ops.bench.versions CHECKOUT`.

Both run as whole stacks side by side, one idle while the other is measured. `…_ratio` is this one's speed ÷
the other's, the median of the rounds' own ratios, with its least and most; `…_more_ms` is this one's time −
the other's, of medians. `posts`: durable POST /v1/tts a second from 32 connections; `polls`: status polls;
`jobs`: embedded speech from the first POST until the last job is completed; `lone_job`: one POST until it is
completed; `first_byte`: of a stream by the embedded engine. One JSON object on stdout.
"""

import json
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from urllib.parse import urlsplit

import psycopg

from ops.bench import Figures, fund, spread
from ops.bench.harness.environment import TEXT, ask, get, post
from ops.bench.harness.own_stack import own_stack
from ops.bench.harness.posting import Poster, ready
from ops.bench.speech import finished_at, platform_rate
from ops.bench.stream import probe
from ops.stack.running import Stack

_ROUNDS = 11
_HERE = Path(__file__).parents[2]
_CREDITS = 200_000
_CONNECTIONS = 32
_SECONDS = 1.2
_JOBS = 120
_LONE_JOBS = 8
_APART_S = 0.06
_VOICE = "en-us-male"
_NO_WORK = {"CODEVOICE_JOBS_WAITING_MAX": "1000000000", "CODEVOICE_STATUS_POLLS_PER_S": "1000000"}
Measure = Callable[[Stack], float]


def versions(other: Path) -> Figures:
    """Run all rounds. Raises BenchError if a request or a job failed."""
    theirs = other / ".venv" / "bin" / "codevoice"
    figures: Figures = {"rounds": _ROUNDS}
    with (
        own_stack(engines=_engines(_HERE), **_NO_WORK) as ours,
        own_stack(theirs, engines=_engines(other), **_NO_WORK) as base,
    ):
        for stack in (ours, base):
            fund(stack, credits=_CREDITS)
            ready(stack, _VOICE)
        for name, measure in _MEASURES.items():
            figures |= _compared(name, measure, ours, base)
            print(name, {k: round(v, 3) for k, v in figures.items() if k.startswith(name)}, file=sys.stderr)
    return figures


def _engines(checkout: Path) -> str:
    """The engines to run; the paced one was elsewhere in checkouts of before December 2026."""
    is_moved = (checkout / "ops/bench/harness/paced_engine.py").exists()
    return f"espeak,{'ops.bench.harness.paced_engine' if is_moved else 'ops.bench.paced'}:engine"


def _compared(name: str, measure: Measure, ours: Stack, base: Stack) -> Figures:
    for stack in (ours, base):
        measure(stack)  # warms caches, plans and connections
    pairs = list[tuple[float, float]]()
    for number in range(_ROUNDS):
        order = (ours, base) if number % 2 else (base, ours)
        found = {id(stack): measure(stack) for stack in order}
        pairs.append((found[id(ours)], found[id(base)]))
    if name in _TIMES:
        mine, others = (statistics.median(values) for values in zip(*pairs, strict=True))
        return {f"{name}_ms": mine, f"{name}_base_ms": others, f"{name}_more_ms": mine - others}
    return spread(f"{name}_ratio", [mine / others for mine, others in pairs])


def _posts(stack: Stack) -> float:
    """Submit to an engine that takes its time, so that none is spoken meanwhile; then cancel the jobs."""
    rate = _rate(stack, [post(stack.api_key)])
    _forget_queued(stack)
    return rate


def _forget_queued(stack: Stack) -> None:
    with psycopg.connect(stack.database_url, autocommit=True) as connection:
        connection.execute(
            "SELECT cv.cancel(id, owner, 'bench', false) FROM cv.job WHERE state IN ('queued', 'processing')"
        )


def _polls(stack: Stack) -> float:
    with psycopg.connect(stack.database_url) as connection:
        jobs = connection.execute("SELECT id FROM cv.job ORDER BY created_at LIMIT 64").fetchall()
    return _rate(stack, [get(f"/tts/status/{job}") for (job,) in jobs])


def _rate(stack: Stack, requests: Sequence[str]) -> float:
    port = urlsplit(stack.url).port
    assert port is not None
    done = ask(port, requests, seconds=_SECONDS, connections=_CONNECTIONS)
    return done.done / done.seconds


def _jobs(stack: Stack) -> float:
    return platform_rate(stack, _VOICE, _JOBS)


def _lone_job(stack: Stack) -> float:
    times = list[float]()
    with Poster(stack) as poster, psycopg.connect(stack.database_url, autocommit=True) as connection:
        for _ in range(_LONE_JOBS):
            sent_at = time.time()
            job = poster.post(TEXT, _VOICE)
            time.sleep(_APART_S)
            times.append(1000 * (finished_at(connection, job) - sent_at))
    return statistics.median(times)


def _first_byte(stack: Stack) -> float:
    times = list[float]()
    for _ in range(_LONE_JOBS):
        stream = probe(stack, TEXT, "wav", voice=_VOICE)
        times.append(1000 * (stream.received_at - stream.sent_at))
        time.sleep(_APART_S)
    return statistics.median(times)


_MEASURES: dict[str, Measure] = {
    "posts": _posts,
    "polls": _polls,
    "jobs": _jobs,
    "lone_job": _lone_job,
    "first_byte": _first_byte,
}
_TIMES = ("lone_job", "first_byte")


if __name__ == "__main__":
    print(json.dumps({"bench": "versions", "figures": versions(Path(sys.argv[1]).absolute())}))
