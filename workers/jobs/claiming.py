"""Claims jobs for a worker's free slots, and beyond them for accounts without a running job."""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial

import psycopg
import structlog

from db import supervised
from db.postgres import jobs_worker
from db.types import Claimed, Finished, Shares
from workers.jobs.connection import WorkerLink
from workers.jobs.held import Attempt, HeldJob, HeldJobs
from workers.jobs.slot_allocator import BatchPlan, Beyond, SlotAllocator
from workers.pipelines.protocol import Pipeline
from workers.settings import WorkerSettings

log = structlog.get_logger()
_POLL_S = 0.1
_SKIPPED_MAX = 4  # polls are skipped while jobs end, at most so many: slots become free soon


class JobQueue:
    """One engine's jobs in Postgres, over one connection. One thread at a time."""

    def __init__(self, pipeline: Pipeline, settings: WorkerSettings, link: WorkerLink, worker: str) -> None:
        self._engine = pipeline.capabilities.engine
        self._params = pipeline.params
        self._keep_s = pipeline.keep_s
        self._settings = settings
        self._worker = worker
        self._shares = Shares(slots=pipeline.slots, percent=settings.account_slots_percent)
        self.link = link

    def claim(self, wanted: BatchPlan) -> list[Claimed]:
        """The jobs that `wanted` describes, the fairest first; none if Postgres is unreachable."""
        claim = partial(jobs_worker.claim, shares=self._shares)
        first = partial(claim, lane=wanted.lane, mixed=wanted.any_lane, live_only=wanted.live_only)
        jobs = self._claimed(first, wanted.limit)
        if wanted.fill and 0 < len(jobs) < wanted.limit:
            jobs += self._claimed(partial(claim, lane=None, mixed=True), wanted.limit - len(jobs))
        return jobs

    def claim_beyond(self, wanted: Beyond) -> list[Claimed]:
        """One job each, for up to `wanted.limit` accounts without a running job."""
        claim = partial(jobs_worker.claim_beyond, characters_max=wanted.characters_max)
        return self._claimed(claim, wanted.limit)

    def finish(
        self, ends: Sequence[Finished], *, claim_max: int
    ) -> tuple[Mapping[Attempt, str], list[Claimed]]:
        """End attempts, and claim up to `claim_max` jobs of any lane, in one commit."""
        return self.link.run(
            jobs_worker.finish_and_claim,
            ends,
            worker=self._worker,
            tries_max=self._settings.tries_max,
            keep_s=self._keep_s,
            engine=self._engine,
            params=self._params,
            limit=claim_max,
            lease_s=self._settings.lease_s,
            shares=self._shares,
        )

    def _claimed(self, claim: Callable[..., list[Claimed]], limit: int) -> list[Claimed]:
        try:
            return self.link.run(
                claim,
                engine=self._engine,
                params=self._params,
                limit=limit,
                worker=self._worker,
                lease_s=self._settings.lease_s,
            )
        except psycopg.Error as error:
            log.warning("claim_failed", error=type(error).__name__)
            return []


class Claimer:
    """Claims jobs and has them begun, one thread at a time. `begin` is called with `slots.claiming` held.

    Finds nothing while Postgres is unreachable: maintenance claims again. If the engine takes turns, a thread
    polls for accounts without a running job while all slots are taken; a busy engine with short jobs is not
    slowed down by that.
    """

    def __init__(
        self,
        queue: JobQueue,
        slots: SlotAllocator,
        rows: HeldJobs,
        begin: Callable[[Sequence[HeldJob]], None],
        *,
        polls: bool,
    ) -> None:
        self._queue = queue
        self._slots = slots
        self._rows = rows
        self._begin = begin
        self._forgotten = 0
        self._skipped = 0
        self._stopping = threading.Event()
        self._poller = supervised.thread("lookout", self._poll, self._stopping, every_s=_POLL_S)
        if polls:
            self._poller.start()

    def can_claim(self) -> bool:
        """Whether a claim could return jobs now."""
        return self._slots.plan().limit > 0

    def claim_available(self) -> None:
        """Claim into the free slots until there is no work or no slot. From any thread."""
        self._slots.is_due = True
        self.claim_if_due()

    def claim_if_due(self) -> None:
        """As `claim_available`, if jobs may wait. A concurrent call makes the thread that claims do it."""
        slots = self._slots
        while slots.is_due and self.can_claim() and slots.claiming.acquire(blocking=False):
            try:
                self._claim()
            finally:
                slots.claiming.release()

    def close(self) -> None:
        """Stop polling, and close the connection; a claim under way begins its jobs first."""
        self._stopping.set()
        if self._poller.is_alive():
            self._poller.join()
        with self._slots.claiming:
            self._queue.link.close()

    def _claim(self) -> None:
        wanted = self._slots.plan()
        if wanted.linger_ms:
            time.sleep(wanted.linger_ms / 1000)
            wanted = self._slots.plan()
        if wanted.limit:
            self._slots.is_due = False
            if self._begun(self._queue.claim(wanted)) == wanted.limit:
                self._slots.is_due = True

    def _begun(self, jobs: Sequence[Claimed]) -> int:
        if jobs:
            self._begin(self._rows.add(jobs))
        return len(jobs)

    def _poll(self) -> None:
        forgotten, self._forgotten = self._forgotten, self._rows.forgotten
        is_busy = forgotten != self._forgotten and self._skipped < _SKIPPED_MAX
        self._skipped = self._skipped + 1 if is_busy else 0
        if is_busy or not self._slots.plan_beyond().limit:
            return
        with self._slots.claiming:
            wanted = self._slots.plan_beyond()
            if wanted.limit:
                self._begun(self._queue.claim_beyond(wanted))
        self.claim_if_due()
