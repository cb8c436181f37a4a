"""A runner's claims: which jobs of which accounts a worker takes for its slots, and beyond them."""

import threading
from collections.abc import Callable, Sequence

import psycopg
import structlog

from db.postgres import jobs_worker
from db.types import Claimed, Shares
from workers.jobs.batching import BatchPlan, Beyond
from workers.jobs.connection import WorkerLink
from workers.pipelines.protocol import Pipeline
from workers.settings import WorkerSettings

log = structlog.get_logger()
_POLL_S = 0.1
_SKIPPED_MAX = 4  # a check is skipped each time a job has ended, at most so often: slots become free soon


class Claims:
    """Claims for one engine. Returns no jobs if Postgres is unreachable: the maintenance thread retries."""

    def __init__(self, pipeline: Pipeline, settings: WorkerSettings, link: WorkerLink, worker: str) -> None:
        self._engine = pipeline.capabilities.engine
        self._params = pipeline.params
        self._lease_s = settings.lease_s
        self._link = link
        self._worker = worker
        self.shares = Shares(slots=pipeline.slots, percent=settings.account_slots_percent)

    def take(self, wanted: BatchPlan) -> list[Claimed]:
        """The jobs that `wanted` describes, the fairest first."""
        jobs = self._claimed(
            wanted.limit, lane=wanted.lane, mixed=wanted.any_lane, live_only=wanted.live_only
        )
        if wanted.fill and 0 < len(jobs) < wanted.limit:
            jobs += self._claimed(wanted.limit - len(jobs), lane=None, mixed=True)
        return jobs

    def take_beyond(self, wanted: Beyond) -> list[Claimed]:
        """One job each, for up to `wanted.limit` accounts without a running job."""
        return self._found(
            lambda: self._link.run(
                jobs_worker.claim_beyond,
                engine=self._engine,
                params=self._params,
                limit=wanted.limit,
                characters_max=wanted.characters_max,
                worker=self._worker,
                lease_s=self._lease_s,
            )
        )

    def close(self) -> None:
        """Close the connection."""
        self._link.close()

    def _claimed(
        self, limit: int, *, lane: str | None, mixed: bool, live_only: bool = False
    ) -> list[Claimed]:
        return self._found(
            lambda: self._link.run(
                jobs_worker.claim,
                engine=self._engine,
                params=self._params,
                lane=lane,
                mixed=mixed,
                live_only=live_only,
                limit=limit,
                worker=self._worker,
                lease_s=self._lease_s,
                shares=self.shares,
            )
        )

    def _found(self, claim: Callable[[], Sequence[Claimed]]) -> list[Claimed]:
        try:
            return list(claim())
        except psycopg.Error as error:
            log.warning("claim_failed", error=type(error).__name__)
            return []


class UnservedAccountPoller:
    """A thread that polls for accounts without a running job while all of a worker's slots are taken.

    While jobs keep ending it skips some checks: a waiting job then has a slot soon, and a busy engine with
    short jobs is not slowed down. `is_full`: whether a check makes sense now; `ends`: a count of jobs that
    ended.
    """

    def __init__(
        self, is_full: Callable[[], bool], ends: Callable[[], int], check: Callable[[], None]
    ) -> None:
        self._is_full = is_full
        self._ends = ends
        self._check = check
        self._wanted = threading.Event()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="lookout", daemon=True)
        self._thread.start()

    def want(self) -> None:
        """Start polling: all slots are taken. From any thread; returns at once."""
        self._wanted.set()

    def stop(self) -> None:
        """Stop polling."""
        self._stopping.set()
        self._wanted.set()
        self._thread.join()

    def _run(self) -> None:
        while self._wanted.wait() and not self._stopping.is_set():
            self._wanted.clear()
            try:
                self._check_while_full()
            except Exception:
                log.exception("lookout_failed")

    def _check_while_full(self) -> None:
        ends, skipped = self._ends(), 0
        while not self._stopping.wait(_POLL_S) and self._is_full():
            before, ends = ends, self._ends()
            if ends != before and skipped < _SKIPPED_MAX:
                skipped += 1
                continue
            skipped = 0
            self._check()
