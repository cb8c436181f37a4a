"""The jobs this worker holds: each claimed attempt, from its claim until its finish is written."""

import threading
import time
from collections.abc import Iterable, Sequence
from typing import Protocol
from uuid import UUID

from msgspec import Struct

from db.logging import hashed
from db.types import Claimed

Attempt = tuple[UUID, int]  # the job, and the number of its attempt, which fences it
_REMEMBERED_S = 60
_REMEMBERED_MAX = 10_000


class Task(Protocol):
    """One job under way."""

    def close(self) -> None:
        """Stop at once, from any thread; harmless when over. Its working thread raises `Interrupted`."""
        ...


class HeldJob(Struct, eq=False):
    """A claimed job. `task` is set once its engine has begun it."""

    job: Claimed
    claimed_at: float
    task: Task | None = None
    working: bool = True
    lost: bool = False
    live: bool = False  # has a listener
    first_audio_at: float | None = None
    done_at: float | None = None
    busy_s: float | None = None  # the engine's work, if that is not the time since the claim
    cost_s: float | None = None  # the same without waits for other accounts' turns, if known
    is_logged: bool = False  # its end is logged
    made_bytes: int = 0  # size of the object put into the store, once known

    @property
    def attempt(self) -> Attempt:
        return self.job.id, self.job.attempt

    @property
    def engine_s(self) -> float | None:
        """The engine time it has used; None if it is not known yet."""
        if self.busy_s is not None or self.done_at is None:
            return self.busy_s
        return self.done_at - self.claimed_at

    def log_fields(self) -> dict[str, str | int | None]:
        """The fields of the attempt's log event."""
        return {
            "job": hashed(self.job.id),
            "kind": self.job.kind,
            "attempt": self.job.attempt,
            "request_id": self.job.request_id,
            "queue_ms": round(1000 * self.job.waited_s),
            "engine_ms": None if self.engine_s is None else round(1000 * self.engine_s),
        }


class HeldJobs:
    """The jobs held. Thread-safe. Keyed by attempt: a worker may lose a job and claim it again."""

    def __init__(self) -> None:
        self._rows: dict[Attempt, HeldJob] = {}
        self.forgotten = 0  # how many, ever
        self._listened: dict[UUID, float] = {}  # when each listener joined; the oldest first
        self._lock = threading.Lock()

    def add(self, jobs: Sequence[Claimed]) -> list[HeldJob]:
        """Hold claimed jobs; their leases are renewed from now on."""
        rows = [HeldJob(job=job, claimed_at=time.monotonic(), live=job.live) for job in jobs]
        with self._lock:
            for row in rows:
                row.live = row.live or row.job.id in self._listened
            self._rows |= {row.attempt: row for row in rows}
        return rows

    def begun(self, row: HeldJob, task: Task) -> None:
        """Record that the engine has begun the row; if its lease was lost meanwhile, stop it at once."""
        with self._lock:
            row.task = task
        if row.lost:
            task.close()

    def ended(self, row: HeldJob) -> None:
        """Release the row's slot; it is held until its finish is written."""
        row.working = False

    def working(self) -> list[HeldJob]:
        """The rows that have a slot."""
        with self._lock:
            return [row for row in self._rows.values() if row.working]

    def held(self) -> list[Attempt]:
        """Every attempt whose lease this worker must renew."""
        with self._lock:
            return list(self._rows)

    def get(self, attempt: Attempt) -> HeldJob | None:
        """The row of that attempt, while it is held."""
        with self._lock:
            return self._rows.get(attempt)

    def attempts(self, job: UUID) -> list[Attempt]:
        """The attempts held of one job."""
        with self._lock:
            return [attempt for attempt in self._rows if attempt[0] == job]

    def live(self) -> set[Attempt]:
        """The attempts with a listener."""
        with self._lock:
            return {attempt for attempt, row in self._rows.items() if row.live}

    def add_listener(self, job: UUID) -> None:
        """Record a listener of a job that is held, or that this worker is just claiming."""
        now = time.monotonic()
        with self._lock:
            for attempt, row in self._rows.items():
                row.live = row.live or attempt[0] == job
            self._listened.pop(job, None)
            self._listened[job] = now
            while len(self._listened) > _REMEMBERED_MAX or now - self._oldest() > _REMEMBERED_S:
                del self._listened[next(iter(self._listened))]

    def _oldest(self) -> float:
        return next(iter(self._listened.values()))

    def lose(self, attempts: Iterable[Attempt]) -> None:
        """Stop attempts that are no longer ours: cancelled, swept, or to be returned."""
        with self._lock:
            rows = [self._rows[attempt] for attempt in attempts if attempt in self._rows]
            for row in rows:
                row.lost = True
        for row in rows:
            if row.task is not None:
                row.task.close()

    def forget(self, attempts: Iterable[Attempt]) -> None:
        """Remove attempts whose finish is written, or can never be."""
        with self._lock:
            for attempt in attempts:
                self._rows.pop(attempt, None)
                self.forgotten += 1
