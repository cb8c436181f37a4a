"""How soon an idle worker claims a job, and what an idle worker costs.

`claim_ms_*`: from when the client sends its POST until the job's `started_at`, by this machine's clock: the
client's own part is in it. `idle_cpu_percent_*`: of one core, over the idle seconds measured first.
"""

import json
import statistics
import time
import urllib.request
from datetime import datetime
from pathlib import Path

import psycopg

from ops.bench import BenchError, Figures, fund
from ops.stack import Stack

_JOBS = 40
_GAP_S = 0.25
_IDLE_S = 5.0


def wake(stack: Stack) -> Figures:
    """Send jobs one by one to an idle stack; milliseconds until each is claimed."""
    fund(stack, credits=_JOBS)
    figures: Figures = {}
    before = {name: _cpu_s(pid) for name, pid in stack.pids.items()}
    time.sleep(_IDLE_S)
    for name in ("worker", "valkey"):
        if name in before:
            figures[f"idle_cpu_percent_{name}"] = 100 * (_cpu_s(stack.pids[name]) - before[name]) / _IDLE_S
    waits = sorted(_waits_ms(stack))
    figures["claim_ms_p50"] = statistics.median(waits)
    figures["claim_ms_p95"] = waits[int(0.95 * (len(waits) - 1))]
    figures["jobs"] = len(waits)
    return figures


def _waits_ms(stack: Stack) -> list[float]:
    waits: list[float] = []
    with psycopg.connect(stack.database_url, autocommit=True) as connection:
        for _ in range(_JOBS):
            sent_at = time.time()
            job = _submit(stack)
            waits.append(1000 * (_started_at(connection, job).timestamp() - sent_at))
            time.sleep(_GAP_S)
    return waits


def _submit(stack: Stack) -> str:
    request = urllib.request.Request(  # noqa: S310 - our own stack's address
        f"{stack.url}/v1/tts",
        data=json.dumps({"text": "Wake up.", "voice": "ryan"}).encode(),
        headers={"Content-Type": "application/json", "X-API-Key": stack.api_key},
    )
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310
            return json.load(answer)["job_id"]
    except OSError as error:
        raise BenchError(f"POST /v1/tts: {error}") from None


def _started_at(connection: psycopg.Connection, job: str) -> datetime:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        row = connection.execute("SELECT started_at FROM cv.job WHERE id = %s", (job,)).fetchone()
        if row and row[0]:
            return row[0]
        time.sleep(0.005)
    raise BenchError("a job was not claimed within 10 s: is a worker running?")


def _cpu_s(pid: int) -> float:
    """CPU seconds of a process's threads so far."""
    tasks = Path(f"/proc/{pid}/task").glob("*/schedstat")
    return sum(int(task.read_text().split()[0]) for task in tasks) / 1e9
