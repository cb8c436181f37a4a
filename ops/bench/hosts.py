"""What a second worker host adds, and what a lost one costs. Each host is a network namespace of its own.

`hosts_ratio`: jobs/s of two hosts ÷ that of one, with an engine that sleeps for its time (`paced_engine.py`),
the median of rounds in turns. `cut_off_recovery_s`: from the moment a host's link is cut in mid-job until the
last of its jobs (`cut_off_jobs`) is completed elsewhere; `lease_s` is the workers' default.
`late_results_fenced`: how many of them it tried in vain to finish once its link was restored.
`charges_a_job`: credits spent per job, at a price of one.
"""

import os
import secrets
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import msgspec
import psycopg
from msgspec import Struct

from db.types import MICRO
from ops.bench import BenchError, Figures, fund
from ops.bench.harness.network import Host, host, lacking
from ops.bench.harness.own_stack import own_stack
from ops.bench.harness.paced_engine import SLOTS, VOICE
from ops.bench.harness.posting import Poster
from ops.bench.speech import platform_rate
from ops.stack import embedded
from ops.stack.running import Stack
from workers.settings import WorkerSettings

_ENGINE = "ops.bench.harness.paced_engine:engine"
_JOBS = 16 * SLOTS
_ROUNDS = 3
_READY_S_MAX = 60.0
_DONE_S_MAX = 60.0
_STOP_S_MAX = 20.0
_LEASE_S = WorkerSettings(engine="paced").lease_s


class Site(Struct, frozen=True):
    """One database, one API and no worker that matters, reachable from the hosts."""

    stack: Stack
    folder: Path

    @contextmanager
    def record(self) -> Generator["Record"]:
        with psycopg.connect(self.stack.database_url, autocommit=True) as connection:
            yield Record(connection)

    def environ(self, at: Host) -> dict[str, str]:
        """The environment of a worker host."""
        return {
            "PATH": os.environ["PATH"],
            "DATABASE_URL": at.reaching(self.stack.database_url),
            "REDIS_URL": at.reaching(self.stack.redis_url),
            "CODEVOICE_OBJECTS": self.stack.objects,
        }


class Crew:
    """A host's `codevoice worker`."""

    def __init__(self, site: Site, at: Host, environ: Mapping[str, str]) -> None:
        self.log = site.folder / f"{at.cable}-{secrets.token_hex(3)}.log"
        program = Path(sys.executable).with_name("codevoice")
        argv = [program, "worker", "--engines", _ENGINE, "--devices", "cpu"]
        self.process = at.start(argv, {**site.environ(at), **environ}, self.log)

    def name(self) -> str:
        """Its worker's name, once it is ready."""
        deadline = time.monotonic() + _READY_S_MAX
        while not (ready := self.events("worker_ready")):
            if time.monotonic() > deadline or self.process.poll() is not None:
                raise BenchError(f"a worker did not start: {self.log.read_text()[-2000:]}")
            time.sleep(0.02)
        return ready[0]["worker"]

    def events(self, event: str) -> list[dict[str, str]]:
        """Its worker's log events of that kind."""
        lines = [line for line in self.log.read_bytes().splitlines() if line.startswith(b"{")]
        return [one for one in map(msgspec.json.decode, lines) if one["event"] == event]

    def attempts(self, result: str) -> int:
        """The number of its attempts with that result."""
        return sum(one["result"] == result for one in self.events("job"))


class Record:
    """The state of jobs and credits in the database."""

    def __init__(self, connection: "psycopg.Connection[tuple[Any, ...]]") -> None:
        self._connection = connection

    def held_by(self, worker: str) -> list[str]:
        """The jobs that a worker holds now."""
        query = "SELECT id::text FROM cv.job WHERE worker = %s AND state = 'processing'"
        return [row[0] for row in self._connection.execute(query, [worker])]

    def completed(self, jobs: Sequence[str]) -> int:
        """How many of `jobs` are completed."""
        query = "SELECT count(*) FROM cv.job WHERE id = ANY(%s::uuid[]) AND state = 'completed'"
        [(count,)] = self._connection.execute(query, [list(jobs)])
        return count

    def credits_spent(self) -> float:
        """By all accounts, in total."""
        [(micro,)] = self._connection.execute("SELECT sum(spent) FROM cv.wallet")
        return float(micro) / MICRO


@contextmanager
def site() -> Generator[Site]:
    """A stack whose stores other hosts can reach; stopped and removed at the end."""
    with tempfile.TemporaryDirectory(prefix="codevoice-hosts-") as name, ExitStack() as closing:
        folder, password = Path(name), secrets.token_hex(8)
        folder.chmod(0o755)  # Postgres may run as another account
        owner = closing.enter_context(embedded.postgres(folder / "pg", password=password, shared=True))
        redis = closing.enter_context(embedded.valkey(folder / "kv", password=password, shared=True))
        places = {
            "DATABASE_URL": owner.replace("//codevoice:", "//bench_app:", 1),
            "CODEVOICE_DATABASE_OWNER_URL": owner,
            "REDIS_URL": redis,
            "CODEVOICE_OBJECTS": (folder / "objects").as_uri(),
        }
        stack = closing.enter_context(own_stack(engines="espeak", **places))
        yield Site(stack, folder)


@contextmanager
def crew(site: Site, at: Host, **environ: str) -> Generator[Crew]:
    """A worker on that host, drained at the end."""
    made = Crew(site, at, environ)
    try:
        made.name()
        yield made
    finally:
        made.process.terminate()
        made.process.wait(_STOP_S_MAX)


def hosts() -> Figures:
    """Run all rounds; raises BenchError if hosts cannot be made or a job failed."""
    if what := lacking():
        raise BenchError(f"no hosts can be made here: {what} is missing")
    with site() as made, host(1) as one, host(2) as other:
        fund(made.stack, credits=(3 * _ROUNDS + 3) * _JOBS)
        with crew(made, one):
            platform_rate(made.stack, VOICE, 2 * SLOTS)  # warms caches and plans
        ratio = statistics.median(_ratio(made, one, other) for _ in range(_ROUNDS))
        return {"hosts_ratio": ratio, **_cut_off(made, one, other)}


def _ratio(made: Site, one: Host, other: Host) -> float:
    with crew(made, one):
        alone = platform_rate(made.stack, VOICE, _JOBS)
        with crew(made, other):
            return platform_rate(made.stack, VOICE, 2 * _JOBS) / alone


def _cut_off(made: Site, one: Host, other: Host) -> Figures:
    with crew(made, one) as lost, crew(made, other), made.record() as record:
        paid = record.credits_spent()
        jobs = post(made, 2 * SLOTS)
        one.cut_off()
        cut_at = time.monotonic()
        theirs = record.held_by(lost.name())
        wait_for(lambda: record.completed(theirs) == len(theirs))
        recovery_s = time.monotonic() - cut_at
        one.reconnect()
        wait_for(lambda: lost.attempts("fenced") >= len(theirs))
        wait_for(lambda: record.completed(jobs) == len(jobs))
        return {
            "cut_off_jobs": float(len(theirs)),
            "cut_off_recovery_s": recovery_s,
            "lease_s": _LEASE_S,
            "late_results_fenced": float(lost.attempts("fenced")),
            "charges_a_job": (record.credits_spent() - paid) / len(jobs),
        }


def post(made: Site, jobs: int) -> list[str]:
    """Submit so many jobs for the hosts; returns their ids."""
    with Poster(made.stack) as poster:
        return [poster.post("So long a text, and no longer.", VOICE) for _ in range(jobs)]


def wait_for(condition: Callable[[], bool], *, within_s: float = _DONE_S_MAX) -> None:
    """Return when it holds; raises BenchError if it does not in time."""
    deadline = time.monotonic() + within_s
    while not condition():
        if time.monotonic() > deadline:
            raise BenchError(f"what was to happen within {within_s:g} s did not")
        time.sleep(0.01)
