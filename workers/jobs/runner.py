"""Runs a worker's jobs: claimed → begun → work (which ends in the store) → result written."""

import threading
import time
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import structlog

from db.storage.objects import Objects, StoreError
from db.types import Claimed, Finished
from workers import metrics
from workers.engines.protocol import DeviceLost, Interrupted, Refused
from workers.jobs.claiming import Claimer, JobQueue
from workers.jobs.connection import WorkerLink
from workers.jobs.held import HeldJob, HeldJobs, Task
from workers.jobs.result_writer import ResultCommit, ResultWriter
from workers.jobs.slot_allocator import SlotAllocator
from workers.jobs.storage_failures import StorageFailures
from workers.pipelines.live_publisher import LiveAudioPublisher
from workers.pipelines.protocol import Pipeline, ended
from workers.settings import WorkerSettings

log = structlog.get_logger()
_BREAK_OFF_S = 1.0
_WRITE_S = 2.0  # for the last results, if Postgres is unreachable
_LOSSES_MAX = 10  # a job that itself breaks the device must not do so for ever


class Runner:
    """Runs one engine's jobs. A claim by `claims` starts everything else.

    `store_lost` is set when a put failed; nothing is claimed until it is cleared. Once `device_lost` is set,
    the process must end. `_closing`: claim no more; interrupted attempts are returned, not retried.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        store: Objects,
        settings: WorkerSettings,
        links: Callable[[str], WorkerLink],
        worker: str,
        publisher: LiveAudioPublisher,
    ) -> None:
        self._pipeline = pipeline
        self._store = store
        self._unstored = StorageFailures()
        self._closing = threading.Event()
        self.store_lost = threading.Event()
        self.device_lost = threading.Event()
        self.rows = HeldJobs()
        self._slots = SlotAllocator(pipeline, self.rows, settings, self._is_paused)
        threads = pipeline.slots + pipeline.extra_slots + 2  # one writes results, one claims
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="row")
        self._endings = links("endings")
        endings = JobQueue(pipeline, settings, self._endings, worker)
        commit = ResultCommit(pipeline, store, endings, publisher, self.rows, self._slots, self._begin)
        self._results = ResultWriter(commit.end, commit.ended)
        queue = JobQueue(pipeline, settings, links("claims"), worker)
        self.claims = Claimer(queue, self._slots, self.rows, self._begin, polls=pipeline.extra_slots > 0)

    def stop_claiming(self) -> None:
        """Stop claiming. Running attempts may end; if interrupted, they are returned to the queue."""
        self._closing.set()

    def stop(self, drain_s: float) -> None:
        """Stop claiming; let attempts end within `drain_s`, return the rest, write all results."""
        self.stop_claiming()
        self.claims.close()
        _wait_while(self.rows.held, drain_s)
        self.rows.lose(self.rows.held())
        stuck: list[HeldJob] = []
        if self.device_lost.is_set():  # it may hang a thread for ever
            _wait_while(self.rows.working, _BREAK_OFF_S)
            stuck = self.rows.working()
        giving_up = threading.Timer(_WRITE_S, self._results.give_up)
        giving_up.start()
        for row in stuck:
            self._results.write(self._after_loss(row.job))
        self._pool.shutdown(wait=not stuck)
        _wait_while(self.rows.held, _WRITE_S)  # by threads that are not waited for
        giving_up.cancel()
        self._endings.close()

    def _is_paused(self) -> bool:
        return self._closing.is_set() or self.store_lost.is_set()

    def _begin(self, rows: Sequence[HeldJob]) -> None:
        """Have the engine begin jobs that were just claimed, each then worked on by a thread of its own."""
        if self._closing.is_set():  # meanwhile
            for row in rows:
                self.rows.ended(row)
                self._results.write(ended(row.job, "hand_back", "engine_interrupted"))
            return
        started = self._started(rows)
        for row, task in started:
            if not isinstance(task, Finished):
                self.rows.begun(row, task)
            self._pool.submit(self._work, row, task)
        if begun := [row for row, task in started if not isinstance(task, Finished)]:
            metrics.begun(self._pipeline.capabilities.engine, begun, self.rows.working())

    def _started(self, rows: Sequence[HeldJob]) -> Sequence[tuple[HeldJob, Task | Finished]]:
        """Each row with its task, or with its result if it could not begin."""
        readable = [row for row in rows if row.job.readable]
        started: list[tuple[HeldJob, Task | Finished]]
        try:
            tasks = self._pipeline.begin([row.job for row in readable]) if readable else []
            started = list(zip(readable, tasks, strict=True))
        except DeviceLost:
            started = [(row, self._after_loss(row.job)) for row in readable]
        except Exception:
            log.exception("begin_failed", jobs=len(readable))
            started = [(row, ended(row.job, "retry", "engine_failed")) for row in readable]
        unreadable = (row for row in rows if not row.job.readable)
        return [*started, *((row, ended(row.job, "refuse", "params_not_understood")) for row in unreadable)]

    def _work(self, row: HeldJob, task: Task | Finished) -> None:
        result = ended(row.job, "retry", "internal_error")
        try:
            result = task if isinstance(task, Finished) else self._result(row, task)
        except Exception:
            log.exception("job_failed", **row.log_fields())
        finally:  # whatever happens, the slot is released and the attempt ends
            self.rows.ended(row)
            self._refill_beside_the_commit()
            has_written = self._results.write(result)
        if has_written:
            self.claims.claim_if_due()
        elif self._slots.is_stuck():  # else the thread that writes claims
            self.claims.claim_available()

    def _refill_beside_the_commit(self) -> None:
        """For an engine that batches, the commit of results claims nothing: its slots would stay empty."""
        if self._pipeline.batched and not self._closing.is_set():
            with suppress(RuntimeError):  # the pool was shut down meanwhile
                self._pool.submit(self.claims.claim_available)

    def _result(self, row: HeldJob, task: Task) -> Finished:
        """Do the row's work and return its result; a failing job affects no other."""
        try:
            self._unstored.check(row, self._store)
            result = self._pipeline.work(row, task)
            row.done_at = row.done_at or time.monotonic()
            return result
        except Refused as refusal:
            row.done_at = time.monotonic()
            return ended(row.job, "refuse", refusal.code)
        except DeviceLost:
            return self._after_loss(row.job)
        except Interrupted:
            row.done_at = time.monotonic()
            return ended(row.job, "hand_back" if self._closing.is_set() else "retry", "engine_interrupted")
        except StoreError as error:
            log.warning("store_lost", error=str(error))
            if self._unstored.knows(row):  # the store has accepted others meanwhile
                return ended(row.job, "retry", "store_lost")
            self._unstored.add(row)
            self.store_lost.set()
            return ended(row.job, "hand_back", "store_lost")
        finally:
            task.close()

    def _after_loss(self, job: Claimed) -> Finished:
        """A lost device ends everything that runs: jobs are returned, unless this one saw too many losses."""
        self.stop_claiming()
        self.device_lost.set()
        return ended(job, "hand_back" if job.attempt < _LOSSES_MAX else "retry", "device_lost")


def _wait_while(remaining: Callable[[], Collection[object]], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while remaining() and time.monotonic() < deadline:
        time.sleep(0.02)
