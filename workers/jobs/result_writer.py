"""Writes the results of attempts: one thread at a time writes all pending results in one commit."""

import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence

import psycopg
import structlog

from db.logging import attempt_done
from db.postgres import jobs_worker
from db.storage.objects import Objects, StoreError
from db.types import Finished
from workers import metrics
from workers.jobs.claiming import JobQueue
from workers.jobs.held import Attempt, HeldJob, HeldJobs
from workers.jobs.measured_costs import correct
from workers.jobs.slot_allocator import SlotAllocator
from workers.pipelines.live_publisher import LiveAudioPublisher
from workers.pipelines.protocol import Pipeline

log = structlog.get_logger()
_BATCH_MAX = 64


class ResultWriter:
    """Takes results from any thread; the thread that finds no other one writing writes all that are pending.

    `end` writes them, in one commit; `ended` is called with those that are done. A lost connection is retried
    until `give_up`; a result that cannot be written does not delay the others.
    """

    def __init__(
        self, end: Callable[[Sequence[Finished]], None], ended: Callable[[Sequence[Finished]], None]
    ) -> None:
        self._end = end
        self._ended = ended
        self._results: deque[Finished] = deque()
        self._writing = threading.Lock()
        self._giving_up = threading.Event()

    def write(self, result: Finished) -> bool:
        """Write a result and all other pending ones: True; or leave it to the thread that is writing.

        A thread that does not get the lock need not retry: the holder checks again after releasing it.
        """
        self._results.append(result)
        has_written = False
        while self._results and self._writing.acquire(blocking=False):
            has_written = True
            try:
                batch = [self._results.popleft() for _ in range(min(_BATCH_MAX, len(self._results)))]
                if batch:  # else the last holder took them
                    self._write(batch)
            finally:
                self._writing.release()
        return has_written

    def give_up(self) -> None:
        """Leave results that Postgres does not accept now to the sweep."""
        self._giving_up.set()

    def _write(self, batch: Sequence[Finished]) -> None:
        try:
            self._until_written(batch)
        except Exception:  # affects one result only: its lease expires, and it is swept
            if len(batch) == 1:
                log.exception("finish_refused")
                return
            for result in batch:
                self._write([result])
        finally:
            self._ended(batch)

    def _until_written(self, batch: Sequence[Finished]) -> None:
        pause_s = 0.05
        while not self._giving_up.is_set():
            try:
                return self._end(batch)
            except psycopg.OperationalError as error:
                log.warning("finish_waits_for_postgres", error=type(error).__name__)
                self._giving_up.wait(pause_s)
                pause_s = min(1.0, pause_s * 2)
        return None


class ResultCommit:
    """One commit that ends attempts, posts their prices and claims the next jobs; and what follows it."""

    def __init__(
        self,
        pipeline: Pipeline,
        store: Objects,
        queue: JobQueue,
        publisher: LiveAudioPublisher,
        rows: HeldJobs,
        slots: SlotAllocator,
        begin: Callable[[Sequence[HeldJob]], None],
    ) -> None:
        self._pipeline = pipeline
        self._store = store
        self._queue = queue
        self._publisher = publisher
        self._rows = rows
        self._slots = slots
        self._begin = begin

    def end(self, ends: Sequence[Finished]) -> None:
        """End the attempts; begin the jobs that their commit claimed. Raises psycopg.Error."""
        with self._slots.reservation() as reserved:
            results, jobs = self._queue.finish(ends, claim_max=reserved)
            rows = self._rows.add(jobs)
        if len(jobs) == reserved:  # more may wait
            self._slots.is_due = True
        self._publisher.ended(ends, results, self._rows.live())
        if rows:
            with self._slots.claiming:
                self._begin(rows)
        for end in ends:
            self._log_outcome(end, results[end.id, end.attempt])
        correct(self._queue.link, ends, results, self._rows)
        self._delete_objects(ends, results)

    def ended(self, ends: Sequence[Finished]) -> None:
        """Let go of attempts whose results are written, or can never be."""
        attempts = [(end.id, end.attempt) for end in ends]
        self._rows.forget(attempts)
        self._publisher.forget(attempts)

    def _log_outcome(self, end: Finished, result: str) -> None:
        """Log one event per attempt, once: writing a finish again adds nothing."""
        row = self._rows.get((end.id, end.attempt))
        if row is None or row.is_logged:
            return
        row.is_logged = True
        engine = self._pipeline.capabilities.engine
        metrics.ended(engine, row, end, result)
        attempt_done(
            engine=engine, result=result, code=end.code, **row.log_fields(), audio_ms=end.duration_ms
        )

    def _delete_objects(self, ends: Sequence[Finished], results: Mapping[Attempt, str]) -> None:
        """Delete fenced attempts' objects, unless the database names them: then only the reply was lost."""
        keys = [end.object for end in ends if end.object and results[end.id, end.attempt] == "fenced"]
        settled = [end for end in ends if results[end.id, end.attempt] in ("completed", "failed")]
        try:
            if keys:
                named = self._queue.link.run(jobs_worker.named_objects, keys)
                self._store.delete(key for key in keys if key not in named)
            self._pipeline.settled(settled)
        except StoreError as error:
            log.warning("objects_not_deleted", error=str(error))
