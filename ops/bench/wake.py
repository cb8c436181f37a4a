"""How soon an idle worker claims a job, and what an idle worker costs.

`claim_ms_*`: from the moment a POST's bytes are sent over an open loopback connection until the job's
`started_at`, by this machine's clock. `answer_ms_p50`: until its response arrives. `idle_cpu_percent_*`: of
one core, over the idle seconds measured first, children of the process included.
"""

import statistics
import time
from datetime import datetime

import psycopg

from ops.bench import BenchError, Figures, fund
from ops.bench.harness.cpu import family_s
from ops.bench.harness.posting import Poster
from ops.stack.running import Stack

_JOBS = 40
_GAP_S = 0.25
_IDLE_S = 5.0


def wake(stack: Stack) -> Figures:
    """Send jobs one by one to an idle stack; milliseconds until each is claimed."""
    fund(stack, credits=_JOBS)
    figures: Figures = {}
    before = {name: family_s(pid) for name, pid in stack.pids.items()}
    time.sleep(_IDLE_S)
    for name in ("worker", "valkey"):
        if name in before:
            figures[f"idle_cpu_percent_{name}"] = 100 * (family_s(stack.pids[name]) - before[name]) / _IDLE_S
    claims, answers = zip(*_waits_ms(stack), strict=True)
    figures["claim_ms_p50"] = statistics.median(claims)
    figures["claim_ms_p95"] = sorted(claims)[int(0.95 * (_JOBS - 1))]
    figures["answer_ms_p50"] = statistics.median(answers)
    figures["jobs"] = _JOBS
    return figures


def _waits_ms(stack: Stack) -> list[tuple[float, float]]:
    """(until claimed, until answered) of each job."""
    waits: list[tuple[float, float]] = []
    with psycopg.connect(stack.database_url, autocommit=True) as connection, Poster(stack) as poster:
        for _ in range(_JOBS):
            sent_at = time.time()
            job = poster.post("Wake up.", "espeak-ryan")
            answered_at = time.time()
            claimed_at = _started_at(connection, job).timestamp()
            waits.append((1000 * (claimed_at - sent_at), 1000 * (answered_at - sent_at)))
            time.sleep(_GAP_S)
    return waits


def _started_at(connection: psycopg.Connection, job: str) -> datetime:
    time.sleep(0.02)  # so as not to compete with the claim
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        row = connection.execute("SELECT started_at FROM cv.job WHERE id = %s", (job,)).fetchone()
        if row and row[0]:
            return row[0]
        time.sleep(0.005)
    raise BenchError("a job was not claimed within 10 s: is a worker running?")
