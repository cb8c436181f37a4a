"""The machine room's loop: claim → begin → work (which ends in the store) → finish."""

import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

import psycopg
import structlog

from db import work
from db.log import attempt_done, hashed
from db.objects import Objects, StoreError
from db.rows import Claimed, Finished
from workers import metrics
from workers.airing import Airing
from workers.batcher import Load, Plan, plan
from workers.connections import Link
from workers.craft import Craft, Task, ended
from workers.engines import DeviceLost, Interrupted, Refused
from workers.finisher import Finisher
from workers.rows import Attempt, Row, Rows
from workers.settings import WorkerSettings

log = structlog.get_logger()
_BREAK_OFF_S = 1.0
_WRITE_S = 2.0  # for the last ends, where Postgres is away
_LOSSES_MAX = 10  # a job that itself breaks the device must not break it for ever
Started = dict[Attempt, Task | Finished]  # what the engine made of a claim


class Links(Protocol):
    """Makes a way to Postgres for one thread."""

    def __call__(self, name: str) -> Link: ...


class Runner:
    """Runs one engine's jobs. `drain` may be called from any thread; the rest is its consequence.

    `store_lost` is set where a put failed; no claims until somebody clears it. With `device_lost` the process
    is to end.
    """

    def __init__(
        self,
        craft: Craft,
        store: Objects,
        settings: WorkerSettings,
        links: Links,
        worker: str,
        airing: Airing,
    ) -> None:
        self._craft = craft
        self._store = store
        self._settings = settings
        self._worker = worker
        self._airing = airing
        self._claims = links("claims")
        self._endings = links("endings")
        self._pool = ThreadPoolExecutor(craft.slots + 1, thread_name_prefix="row")  # one writes ends
        self._closing = threading.Event()  # what breaks off now is handed back, not tried again
        self._finisher = Finisher(self._end, self._ended)
        self._turn = threading.Lock()  # who claims
        self._asked = False
        self._missed = False  # a claim found no room
        self._reserved = 0  # slots for what the commit under way claims
        self._turn_began = 0.0
        # Who writes an end fills the slot, too. Where a claim may linger for a batch, the ends do not wait.
        self._refills = not craft.batched
        self.rows = Rows()
        self.store_lost = threading.Event()
        self.device_lost = threading.Event()

    def drain(self, after: int | None = None) -> None:
        """Claim into the free slots until there is no work or no room. `after`: the mark of the nudge.

        One thread claims at a time; a call that comes meanwhile makes it look once more.
        """
        self._asked = True
        while self._asked and self._turn.acquire(blocking=False):
            try:
                self._asked = False
                self._fill(after)
                after = None
            finally:
                self._turn.release()

    def has_room(self) -> bool:
        """Whether a claim could bring anything now."""
        return not self._closing.is_set() and self._plan().limit > 0

    def rest(self) -> None:
        """Claim no more. What runs may end; where it breaks off, it is handed back."""
        self._closing.set()

    def _fill(self, after: int | None) -> None:
        while not self._closing.is_set() and not self.store_lost.is_set():
            wanted = self._plan()
            if wanted.linger_ms:
                time.sleep(wanted.linger_ms / 1000)
                wanted = self._plan()
            if not wanted.limit:
                self._missed = True  # first: whoever keeps a slot looks here once it has let go of it
                if self._reserved or not self._plan().limit:
                    return
                continue
            started: Started = {}
            jobs = self._claim(wanted.limit, started, lane=wanted.lane, any_lane=wanted.any_lane, after=after)
            after = None
            if wanted.fill and 0 < len(jobs) < wanted.limit:
                # Into nowhere: engines that fill are those that batch, and begin none early.
                jobs += self._claim(wanted.limit - len(jobs), {}, lane=None, any_lane=True)
            if jobs:
                self._begin(self.rows.add(jobs), started or self._start(jobs))
            if len(jobs) < wanted.limit:
                return

    def _plan(self) -> Plan:
        lanes = [row.job.lane for row in self.rows.working()]
        if not lanes:
            self._turn_began = time.monotonic()
        reserved = 0 if self._finisher.is_stuck() else self._reserved
        load = Load(
            slots=self._craft.slots - reserved,
            mixed=self._craft.mixed_lanes,
            batched=self._craft.batched,
            lanes=lanes,
            turn_s=time.monotonic() - self._turn_began,
        )
        return plan(load, linger_ms=self._settings.linger_ms, turn_s=self._settings.turn_s)

    def _claim(
        self, limit: int, started: Started, *, lane: str | None, any_lane: bool, after: int | None = None
    ) -> list[Claimed]:
        """Where nothing else runs, the engine begins before the claim's commit, into `started`: it is heard
        only after it.
        """
        is_alone = not self._craft.batched and not self.rows.working()
        try:
            return self._claims.run(
                work.claim,
                engine=self._craft.capabilities.engine,
                params=self._craft.params,
                lane=lane,
                mixed=any_lane,
                limit=limit,
                worker=self._worker,
                lease_s=self._settings.lease_s,
                after=after,
                early=(lambda jobs: started.update(self._start(jobs))) if is_alone else None,
            )
        except psycopg.Error as error:
            log.warning("claim_failed", error=type(error).__name__)
            for task in started.values():
                if not isinstance(task, Finished):
                    task.close()
            return []  # the timer asks again

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

    def _begin(self, rows: Sequence[Row], started: Started) -> None:
        begun: list[Row] = []
        for row in rows:
            task = started[row.attempt]
            if isinstance(task, Finished):
                self._finish(row, task)
            else:
                begun.append(row)
                self.rows.begun(row, task)
                self._pool.submit(self._work, row, task)
        if begun:
            metrics.begun(self._craft.capabilities.engine, begun, len(self.rows.working()))

    def _work(self, row: Row, task: Task) -> None:
        result = ended(row.job, "retry", "internal_error")
        try:
            result = self._result(row, task)
        except Exception:
            log.exception("job_failed", **_told(row))
        finally:  # whatever happens, the slot is free again and the attempt ends
            self.rows.ended(row)
            (self._finisher.write if self._refills else self._finisher.add)(result)
        if not self._refills or self._finisher.is_stuck():
            self.drain()

    def _result(self, row: Row, task: Task) -> Finished:
        """Do the row's work and say how that went; one bad job fails alone."""
        try:
            result = self._craft.work(row, task)
            row.done_at = row.done_at or time.monotonic()
            return result
        except Refused as refusal:
            return ended(row.job, "refuse", refusal.code)
        except DeviceLost:
            return self._after_loss(row.job)
        except Interrupted:
            return ended(row.job, "hand_back" if self._closing.is_set() else "retry", "engine_interrupted")
        except StoreError as error:
            self.store_lost.set()
            log.warning("store_lost", error=str(error))
            return ended(row.job, "hand_back", "store_lost")
        finally:
            task.close()

    def _after_loss(self, job: Claimed) -> Finished:
        """All that runs is lost with the device: handed back, unless the job was there at many losses."""
        self.rest()
        self.device_lost.set()
        return ended(job, "hand_back" if job.attempt < _LOSSES_MAX else "retry", "device_lost")

    def _finish(self, row: Row, result: Finished) -> None:
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
                self.drain()
        for end in ends:
            self._tell(end, results[end.id, end.attempt])
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
            self._reserved = wanted.limit if wanted.any_lane else 0
            return self._reserved
        finally:
            self._turn.release()

    def _written(self, ends: Sequence[Finished], room: int) -> tuple[dict[Attempt, str], list[Claimed]]:
        worker, tries_max, keep_s = self._worker, self._settings.tries_max, self._craft.keep_s
        if not room:
            run = self._endings.run
            return run(work.finish, ends, worker=worker, tries_max=tries_max, keep_s=keep_s), []
        return self._endings.run(
            work.finish_and_claim,
            ends,
            worker=worker,
            tries_max=tries_max,
            keep_s=keep_s,
            engine=self._craft.capabilities.engine,
            params=self._craft.params,
            limit=room,
            lease_s=self._settings.lease_s,
        )

    def _take(self, rows: Sequence[Row]) -> None:
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
        named = self._endings.run(work.named_objects, keys)
        self._store.delete(key for key in keys if key not in named)

    def stop(self, drain_s: float) -> None:
        """Claim no more; let what runs end within `drain_s`, hand the rest back, write all results."""
        self.rest()
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

    def _left_behind(self) -> list[Row]:
        """Rows that do not even break off, handed back: a thread may hang for ever in a lost device."""
        deadline = time.monotonic() + _BREAK_OFF_S
        while self.rows.working() and time.monotonic() < deadline:
            time.sleep(0.02)
        stuck = self.rows.working()
        for row in stuck:
            self._finisher.add(self._after_loss(row.job))
        return stuck


def _told(row: Row) -> dict[str, str | int | None]:
    """What the log may have of an attempt."""
    job, done_at = row.job, row.done_at
    return {
        "job": hashed(job.id),
        "kind": job.kind,
        "attempt": job.attempt,
        "request_id": job.request_id,
        "queue_ms": round(1000 * job.waited_s),
        "engine_ms": None if done_at is None else round(1000 * (done_at - row.claimed_at)),
    }
