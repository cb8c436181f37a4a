"""The worker's loop: claim → begin → work (which ends in the store) → finish."""

import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

import structlog

from db.logging import attempt_done
from db.postgres import jobs_worker
from db.storage.objects import Objects, StoreError
from db.types import Claimed, Finished
from workers import metrics
from workers.engines.protocol import DeviceLost, Interrupted, Refused
from workers.jobs.batching import BatchPlan, Load, beyond, plan
from workers.jobs.claiming import Claims, UnservedAccountPoller
from workers.jobs.connection import WorkerLink
from workers.jobs.held import Attempt, HeldJob, HeldJobs, Task
from workers.jobs.measured_costs import correct
from workers.jobs.result_writer import ResultWriter
from workers.jobs.storage_failures import StorageFailures
from workers.pipelines.live_publisher import LiveAudioPublisher
from workers.pipelines.protocol import Pipeline, ended
from workers.settings import WorkerSettings

log = structlog.get_logger()
_BREAK_OFF_S = 1.0
_WRITE_S = 2.0  # for the last results, if Postgres is unreachable
_LOSSES_MAX = 10  # a job that itself breaks the device must not do so for ever
Started = dict[Attempt, Task | Finished]  # per attempt, its task or its failure to start


class Links(Protocol):
    """Opens a Postgres connection for one thread."""

    def __call__(self, name: str) -> WorkerLink: ...


class Runner:
    """Runs one engine's jobs. `claim_available` may be called from any thread and starts everything else.

    `store_lost` is set when a put failed; nothing is claimed until it is cleared. Once `device_lost` is set,
    the process must end.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        store: Objects,
        settings: WorkerSettings,
        links: Links,
        worker: str,
        publisher: LiveAudioPublisher,
    ) -> None:
        self._pipeline = pipeline
        self._store = store
        self._settings = settings
        self._worker = worker
        self._publisher = publisher
        self._claims = Claims(pipeline, settings, links("claims"), worker)
        self._endings = links("endings")
        rows = pipeline.slots + pipeline.extra_slots
        self._pool = ThreadPoolExecutor(rows + 1, thread_name_prefix="row")  # one writes results
        self._closing = threading.Event()  # interrupted attempts are now returned, not retried
        self._result_writer = ResultWriter(self._end, self._ended)
        self._claim_lock = threading.Lock()  # held by the thread that claims
        self._claim_requested = False
        self._missed = False  # a claim found no room
        self._unstored = StorageFailures()
        self._reserved = 0  # slots for the jobs that the commit under way claims
        self._turn_began = 0.0
        # The thread that writes a result also claims the next job, unless claims may linger for a batch.
        self._refills = not pipeline.batched
        self.rows = HeldJobs()
        self.store_lost = threading.Event()
        self.device_lost = threading.Event()
        self._lookout = UnservedAccountPoller(self._is_full, lambda: self.rows.forgotten, self._claim_beyond)

    def claim_available(self) -> None:
        """Claim into the free slots until there is no work or no room.

        One thread claims at a time; a concurrent call makes that thread claim once more.
        """
        self._claim_requested = True
        while self._claim_requested and self._claim_lock.acquire(blocking=False):
            try:
                self._claim_requested = False
                self._fill()
            finally:
                self._claim_lock.release()

    def can_claim(self) -> bool:
        """Whether a claim could return jobs now."""
        return not self._closing.is_set() and self._plan().limit > 0

    def stop_claiming(self) -> None:
        """Stop claiming. Running attempts may end; if interrupted, they are returned to the queue."""
        self._closing.set()

    def _fill(self) -> None:
        while not self._closing.is_set() and not self.store_lost.is_set():
            wanted = self._plan()
            if wanted.linger_ms:
                time.sleep(wanted.linger_ms / 1000)
                wanted = self._plan()
            if self._pipeline.extra_slots and (not wanted.limit or wanted.live_only):
                self._lookout.want()
            if not wanted.limit:
                self._missed = True  # set first: a thread with a reservation checks it after releasing that
                if self._reserved or not self._plan().limit:
                    return
                continue
            jobs = self._claims.take(wanted)
            if jobs:
                self._begin(self.rows.add(jobs), self._start(jobs))
            if len(jobs) < wanted.limit:
                return

    def _is_full(self) -> bool:
        """Whether a job could start beyond the slots, and none within them."""
        if self._closing.is_set() or self.store_lost.is_set():
            return False
        wanted = self._plan()
        return (not wanted.limit or wanted.live_only) and beyond(self._load()).limit > 0

    def _claim_beyond(self) -> None:
        with self._claim_lock:
            if self._is_full() and (jobs := self._claims.take_beyond(beyond(self._load()))):
                self._begin(self.rows.add(jobs), self._start(jobs))
        if self._claim_requested:  # a concurrent call was refused the lock meanwhile
            self.claim_available()

    def _plan(self) -> BatchPlan:
        return plan(self._load(), linger_ms=self._settings.linger_ms, turn_s=self._settings.turn_s)

    def _load(self) -> Load:
        rows = self.rows.working()
        lanes = [row.job.lane for row in rows]
        if not lanes:
            self._turn_began = time.monotonic()
        reserved = 0 if self._result_writer.is_stuck() else self._reserved
        return Load(
            slots=self._pipeline.slots - reserved,
            mixed=self._pipeline.mixed_lanes,
            batched=self._pipeline.batched,
            lanes=lanes,
            turn_s=time.monotonic() - self._turn_began,
            files=sum(not row.live for row in rows),
            live_slots=self._pipeline.live_slots,
            extra_slots=self._pipeline.extra_slots,
        )

    def _start(self, jobs: Sequence[Claimed]) -> Started:
        """Have the engine begin the jobs: each attempt's task, or its failure if it has none."""
        readable = [job for job in jobs if job.readable]
        ends = [ended(job, "refuse", "params_not_understood") for job in jobs if not job.readable]
        begun: Started = {}
        try:
            tasks = self._pipeline.begin(readable) if readable else []
            begun |= {(job.id, job.attempt): task for job, task in zip(readable, tasks, strict=True)}
        except DeviceLost:
            ends += [self._after_loss(job) for job in readable]
        except Exception:
            log.exception("begin_failed", jobs=len(readable))
            ends += [ended(job, "retry", "engine_failed") for job in readable]
        return begun | {(end.id, end.attempt): end for end in ends}

    def _begin(self, rows: Sequence[HeldJob], started: Started) -> None:
        begun: list[HeldJob] = []
        for row in rows:
            task = started[row.attempt]
            if isinstance(task, Finished):
                self._finish(row, task)
            else:
                begun.append(row)
                self.rows.begun(row, task)
                self._pool.submit(self._work, row, task)
        if begun:
            metrics.begun(self._pipeline.capabilities.engine, begun, self.rows.working())

    def _work(self, row: HeldJob, task: Task) -> None:
        result = ended(row.job, "retry", "internal_error")
        try:
            result = self._result(row, task)
        except Exception:
            log.exception("job_failed", **row.log_fields())
        finally:  # whatever happens, the slot is released and the attempt ends
            self.rows.ended(row)
            (self._result_writer.write if self._refills else self._result_writer.add)(result)
        if not self._refills or self._result_writer.is_stuck():
            self.claim_available()

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

    def _finish(self, row: HeldJob, result: Finished) -> None:
        self.rows.ended(row)
        self._result_writer.add(result)

    def _end(self, ends: Sequence[Finished]) -> None:
        room = self._reserve()
        try:
            results, jobs = self._written(ends, room)
            rows = self.rows.add(jobs)
        finally:
            self._reserved = 0
        self._publisher.ended(ends, results, self.rows.live())
        if self._refills:
            self._take(rows)
            is_due = self._missed or self._claim_requested or len(rows) == room
            if is_due and not self._result_writer.has_more():  # else the next commit claims
                self._missed = False
                self.claim_available()
        for end in ends:
            self._log_outcome(end, results[end.id, end.attempt])
        correct(self._endings, ends, results, self.rows)
        fenced = [end for end in ends if results[end.id, end.attempt] == "fenced"]
        try:
            self._drop_objects([end.object for end in fenced if end.object])
            self._pipeline.settled(
                [end for end in ends if results[end.id, end.attempt] in ("completed", "failed")]
            )
        except StoreError as error:
            log.warning("objects_not_deleted", error=str(error))

    def _reserve(self) -> int:
        """Reserve the free slots for the jobs the next commit claims; none while another thread claims."""
        if not self._refills or self._closing.is_set() or self.store_lost.is_set():
            return 0
        if not self._claim_lock.acquire(blocking=False):
            return 0
        try:
            wanted = self._plan()
            self._reserved = wanted.limit if wanted.any_lane and not wanted.live_only else 0
            return self._reserved
        finally:
            self._claim_lock.release()

    def _written(self, ends: Sequence[Finished], room: int) -> tuple[dict[Attempt, str], list[Claimed]]:
        worker, tries_max, keep_s = self._worker, self._settings.tries_max, self._pipeline.keep_s
        if not room:
            run = self._endings.run
            return run(jobs_worker.finish, ends, worker=worker, tries_max=tries_max, keep_s=keep_s), []
        return self._endings.run(
            jobs_worker.finish_and_claim,
            ends,
            worker=worker,
            tries_max=tries_max,
            keep_s=keep_s,
            engine=self._pipeline.capabilities.engine,
            params=self._pipeline.params,
            limit=room,
            lease_s=self._settings.lease_s,
            shares=self._claims.shares,
        )

    def _take(self, rows: Sequence[HeldJob]) -> None:
        """Begin the jobs that were claimed with a result."""
        if self._closing.is_set():  # closed meanwhile
            for row in rows:
                self._finish(row, ended(row.job, "hand_back", "engine_interrupted"))
        elif rows:
            with self._claim_lock:
                self._begin(rows, self._start([row.job for row in rows]))

    def _ended(self, ends: Sequence[Finished]) -> None:
        attempts = [(end.id, end.attempt) for end in ends]
        self.rows.forget(attempts)
        self._publisher.forget(attempts)

    def _log_outcome(self, end: Finished, result: str) -> None:
        """Log one event per attempt, once: writing a finish again adds nothing."""
        row = self.rows.get((end.id, end.attempt))
        if row is None or row.is_logged:
            return
        row.is_logged = True
        engine = self._pipeline.capabilities.engine
        metrics.ended(engine, row, end, result)
        attempt_done(
            engine=engine, result=result, code=end.code, **row.log_fields(), audio_ms=end.duration_ms
        )

    def _drop_objects(self, keys: Sequence[str]) -> None:
        """Delete a fenced attempt's objects, unless the database names them: then only the reply was lost."""
        if not keys:
            return
        named = self._endings.run(jobs_worker.named_objects, keys)
        self._store.delete(key for key in keys if key not in named)

    def stop(self, drain_s: float) -> None:
        """Stop claiming; let attempts end within `drain_s`, return the rest, write all results."""
        self.stop_claiming()
        self._lookout.stop()
        with self._claim_lock:  # a claim under way starts its jobs first
            self._claims.close()
        deadline = time.monotonic() + drain_s
        while self.rows.held() and time.monotonic() < deadline:
            time.sleep(0.02)
        self.rows.lose(self.rows.held())
        stuck = self._left_behind() if self.device_lost.is_set() else []
        giving_up = threading.Timer(_WRITE_S, self._result_writer.give_up)
        giving_up.start()
        self._pool.shutdown(wait=not stuck)
        self._result_writer.stop(_WRITE_S)
        giving_up.cancel()
        self._endings.close()

    def _left_behind(self) -> list[HeldJob]:
        """Return rows that do not react to an interruption: a lost device may hang a thread for ever."""
        deadline = time.monotonic() + _BREAK_OFF_S
        while self.rows.working() and time.monotonic() < deadline:
            time.sleep(0.02)
        stuck = self.rows.working()
        for row in stuck:
            self._result_writer.add(self._after_loss(row.job))
        return stuck
