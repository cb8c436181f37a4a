"""The machine room's loop: claim → begin → work (which ends in the store) → finish."""

import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

import structlog

from db.logging import attempt_done, hashed
from db.postgres import jobs_worker
from db.storage.objects import Objects, StoreError
from db.types import Claimed, Finished
from workers import metrics
from workers.engines import DeviceLost, Interrupted, Refused
from workers.jobs.batching import BatchPlan, Load, beyond, plan
from workers.jobs.claiming import Claims, Lookout
from workers.jobs.connection import WorkerLink
from workers.jobs.held import Attempt, HeldJob, HeldJobs
from workers.jobs.measured_costs import correct
from workers.jobs.result_writer import ResultWriter
from workers.jobs.storage_failures import StorageFailures
from workers.pipelines.live_publisher import LiveAudioPublisher
from workers.pipelines.protocol import Pipeline, Task, ended
from workers.settings import WorkerSettings

log = structlog.get_logger()
_BREAK_OFF_S = 1.0
_WRITE_S = 2.0  # for the last ends, where Postgres is away
_LOSSES_MAX = 10  # a job that itself breaks the device must not break it for ever
Started = dict[Attempt, Task | Finished]  # what the engine made of a claim


class Links(Protocol):
    """Makes a way to Postgres for one thread."""

    def __call__(self, name: str) -> WorkerLink: ...


class Runner:
    """Runs one engine's jobs. `drain` may be called from any thread; the rest is its consequence.

    `store_lost` is set where a put failed; no claims until somebody clears it. With `device_lost` the process
    is to end.
    """

    def __init__(
        self,
        craft: Pipeline,
        store: Objects,
        settings: WorkerSettings,
        links: Links,
        worker: str,
        airing: LiveAudioPublisher,
    ) -> None:
        self._craft = craft
        self._store = store
        self._settings = settings
        self._worker = worker
        self._airing = airing
        self._claims = Claims(craft, settings, links("claims"), worker)
        self._endings = links("endings")
        rows = craft.slots + craft.extra_slots
        self._pool = ThreadPoolExecutor(rows + 1, thread_name_prefix="row")  # one writes ends
        self._closing = threading.Event()  # what breaks off now is handed back, not tried again
        self._finisher = ResultWriter(self._end, self._ended)
        self._turn = threading.Lock()  # who claims
        self._asked = False
        self._missed = False  # a claim found no room
        self._unstored = StorageFailures()
        self._reserved = 0  # slots for what the commit under way claims
        self._turn_began = 0.0
        # Who writes an end fills the slot, too. Where a claim may linger for a batch, the ends do not wait.
        self._refills = not craft.batched
        self.rows = HeldJobs()
        self.store_lost = threading.Event()
        self.device_lost = threading.Event()
        self._lookout = Lookout(self._is_full, lambda: self.rows.forgotten, self._claim_beyond)

    def claim_available(self) -> None:
        """Claim into the free slots until there is no work or no room.

        One thread claims at a time; a call that comes meanwhile makes it look once more.
        """
        self._asked = True
        while self._asked and self._turn.acquire(blocking=False):
            try:
                self._asked = False
                self._fill()
            finally:
                self._turn.release()

    def has_room(self) -> bool:
        """Whether a claim could bring anything now."""
        return not self._closing.is_set() and self._plan().limit > 0

    def stop_claiming(self) -> None:
        """Claim no more. What runs may end; where it breaks off, it is handed back."""
        self._closing.set()

    def _fill(self) -> None:
        while not self._closing.is_set() and not self.store_lost.is_set():
            wanted = self._plan()
            if wanted.linger_ms:
                time.sleep(wanted.linger_ms / 1000)
                wanted = self._plan()
            if self._craft.extra_slots and (not wanted.limit or wanted.live_only):
                self._lookout.want()
            if not wanted.limit:
                self._missed = True  # first: whoever keeps a slot looks here once it has let go of it
                if self._reserved or not self._plan().limit:
                    return
                continue
            jobs = self._claims.take(wanted)
            if jobs:
                self._begin(self.rows.add(jobs), self._start(jobs))
            if len(jobs) < wanted.limit:
                return

    def _is_full(self) -> bool:
        """Whether a job could be begun beyond the slots, and in none of them."""
        if self._closing.is_set() or self.store_lost.is_set():
            return False
        wanted = self._plan()
        return (not wanted.limit or wanted.live_only) and beyond(self._load()).limit > 0

    def _claim_beyond(self) -> None:
        with self._turn:
            if self._is_full() and (jobs := self._claims.take_beyond(beyond(self._load()))):
                self._begin(self.rows.add(jobs), self._start(jobs))
        if self._asked:  # by somebody who was refused the turn meanwhile
            self.claim_available()

    def _plan(self) -> BatchPlan:
        return plan(self._load(), linger_ms=self._settings.linger_ms, turn_s=self._settings.turn_s)

    def _load(self) -> Load:
        rows = self.rows.working()
        lanes = [row.job.lane for row in rows]
        if not lanes:
            self._turn_began = time.monotonic()
        reserved = 0 if self._finisher.is_stuck() else self._reserved
        return Load(
            slots=self._craft.slots - reserved,
            mixed=self._craft.mixed_lanes,
            batched=self._craft.batched,
            lanes=lanes,
            turn_s=time.monotonic() - self._turn_began,
            files=sum(not row.live for row in rows),
            live_slots=self._craft.live_slots,
            extra_slots=self._craft.extra_slots,
        )

    def _start(self, jobs: Sequence[Claimed]) -> Started:
        """Have the engine begin: of each attempt its task, or, where it has none, its end."""
        readable = [job for job in jobs if job.readable]
        ends = [ended(job, "refuse", "params_not_understood") for job in jobs if not job.readable]
        begun: Started = {}
        try:
            tasks = self._craft.begin(readable) if readable else []
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
            metrics.begun(self._craft.capabilities.engine, begun, self.rows.working())

    def _work(self, row: HeldJob, task: Task) -> None:
        result = ended(row.job, "retry", "internal_error")
        try:
            result = self._result(row, task)
        except Exception:
            log.exception("job_failed", **_told(row))
        finally:  # whatever happens, the slot is free again and the attempt ends
            self.rows.ended(row)
            (self._finisher.write if self._refills else self._finisher.add)(result)
        if not self._refills or self._finisher.is_stuck():
            self.claim_available()

    def _result(self, row: HeldJob, task: Task) -> Finished:
        """Do the row's work and say how that went; one bad job fails alone."""
        try:
            self._unstored.check(row, self._store)
            result = self._craft.work(row, task)
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
            if self._unstored.knows(row):  # the store took others meanwhile
                return ended(row.job, "retry", "store_lost")
            self._unstored.add(row)
            self.store_lost.set()
            return ended(row.job, "hand_back", "store_lost")
        finally:
            task.close()

    def _after_loss(self, job: Claimed) -> Finished:
        """All that runs is lost with the device: handed back, unless the job was there at many losses."""
        self.stop_claiming()
        self.device_lost.set()
        return ended(job, "hand_back" if job.attempt < _LOSSES_MAX else "retry", "device_lost")

    def _finish(self, row: HeldJob, result: Finished) -> None:
        self.rows.ended(row)
        self._finisher.add(result)

    def _end(self, ends: Sequence[Finished]) -> None:
        room = self._reserve()
        try:
            results, jobs = self._written(ends, room)
            rows = self.rows.add(jobs)
        finally:
            self._reserved = 0
        self._airing.ended(ends, results, self.rows.live())
        if self._refills:
            self._take(rows)
            is_due = self._missed or self._asked or len(rows) == room
            if is_due and not self._finisher.has_more():  # else the next commit claims
                self._missed = False
                self.claim_available()
        for end in ends:
            self._tell(end, results[end.id, end.attempt])
        correct(self._endings, ends, results, self.rows)
        fenced = [end for end in ends if results[end.id, end.attempt] == "fenced"]
        try:
            self._drop_objects([end.object for end in fenced if end.object])
            self._craft.settled(
                [end for end in ends if results[end.id, end.attempt] in ("completed", "failed")]
            )
        except StoreError as error:
            log.warning("objects_not_deleted", error=str(error))

    def _reserve(self) -> int:
        """Keep the free slots for what the next commit claims; none while others claim."""
        if not self._refills or self._closing.is_set() or self.store_lost.is_set():
            return 0
        if not self._turn.acquire(blocking=False):
            return 0
        try:
            wanted = self._plan()
            self._reserved = wanted.limit if wanted.any_lane and not wanted.live_only else 0
            return self._reserved
        finally:
            self._turn.release()

    def _written(self, ends: Sequence[Finished], room: int) -> tuple[dict[Attempt, str], list[Claimed]]:
        worker, tries_max, keep_s = self._worker, self._settings.tries_max, self._craft.keep_s
        if not room:
            run = self._endings.run
            return run(jobs_worker.finish, ends, worker=worker, tries_max=tries_max, keep_s=keep_s), []
        return self._endings.run(
            jobs_worker.finish_and_claim,
            ends,
            worker=worker,
            tries_max=tries_max,
            keep_s=keep_s,
            engine=self._craft.capabilities.engine,
            params=self._craft.params,
            limit=room,
            lease_s=self._settings.lease_s,
            shares=self._claims.shares,
        )

    def _take(self, rows: Sequence[HeldJob]) -> None:
        """Begin what an end brought along."""
        if self._closing.is_set():  # meanwhile
            for row in rows:
                self._finish(row, ended(row.job, "hand_back", "engine_interrupted"))
        elif rows:
            with self._turn:
                self._begin(rows, self._start([row.job for row in rows]))

    def _ended(self, ends: Sequence[Finished]) -> None:
        attempts = [(end.id, end.attempt) for end in ends]
        self.rows.forget(attempts)
        self._airing.forget(attempts)

    def _tell(self, end: Finished, result: str) -> None:
        """One event an attempt, once: a finish that is written again brings nothing new."""
        row = self.rows.get((end.id, end.attempt))
        if row is None or row.told:
            return
        row.told = True
        engine = self._craft.capabilities.engine
        metrics.ended(engine, row, end, result)
        attempt_done(engine=engine, result=result, code=end.code, **_told(row), audio_ms=end.duration_ms)

    def _drop_objects(self, keys: Sequence[str]) -> None:
        """Delete what a fenced attempt had put, unless the record names it: then only the answer was lost."""
        if not keys:
            return
        named = self._endings.run(jobs_worker.named_objects, keys)
        self._store.delete(key for key in keys if key not in named)

    def stop(self, drain_s: float) -> None:
        """Claim no more; let what runs end within `drain_s`, hand the rest back, write all results."""
        self.stop_claiming()
        self._lookout.stop()
        with self._turn:  # a claim under way is begun first
            self._claims.close()
        deadline = time.monotonic() + drain_s
        while self.rows.held() and time.monotonic() < deadline:
            time.sleep(0.02)
        self.rows.lose(self.rows.held())
        stuck = self._left_behind() if self.device_lost.is_set() else []
        giving_up = threading.Timer(_WRITE_S, self._finisher.give_up)
        giving_up.start()
        self._pool.shutdown(wait=not stuck)
        self._finisher.stop(_WRITE_S)
        giving_up.cancel()
        self._endings.close()

    def _left_behind(self) -> list[HeldJob]:
        """Rows that do not even break off, handed back: a thread may hang for ever in a lost device."""
        deadline = time.monotonic() + _BREAK_OFF_S
        while self.rows.working() and time.monotonic() < deadline:
            time.sleep(0.02)
        stuck = self.rows.working()
        for row in stuck:
            self._finisher.add(self._after_loss(row.job))
        return stuck


def _told(row: HeldJob) -> dict[str, str | int | None]:
    """What the log may have of an attempt."""
    job, engine_s = row.job, row.engine_s
    return {
        "job": hashed(job.id),
        "kind": job.kind,
        "attempt": job.attempt,
        "request_id": job.request_id,
        "queue_ms": round(1000 * job.waited_s),
        "engine_ms": None if engine_s is None else round(1000 * engine_s),
    }
