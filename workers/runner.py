"""The machine room's loop: claim → engine → encode → put → finish. The whole of a job's work is here."""

import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from typing import Protocol
from uuid import UUID

import psycopg
import structlog
from msgspec import Struct

from db import work
from db.objects import Objects, StoreError
from db.rows import Claimed, Finished, Outcome
from workers.batcher import Load, Plan, plan
from workers.connections import Link
from workers.encode import Audio, TooLong, WavSpool
from workers.engines import Engine, Interrupted, Refused, Speech, Utterance
from workers.finisher import Finisher
from workers.settings import WorkerSettings

log = structlog.get_logger()


class Links(Protocol):
    """Makes a way to Postgres for one thread."""

    def __call__(self, name: str) -> Link: ...


class Row(Struct, eq=False):
    """A claimed job while this worker has it: speaking, then waiting for its finish to be written."""

    job: Claimed
    speech: Speech
    begun: float
    speaking: bool = True


class Runner:
    """Runs one engine's jobs. `drain` may be called from any thread; the rest is its consequence."""

    def __init__(
        self, engine: Engine, store: Objects, settings: WorkerSettings, links: Links, worker: str
    ) -> None:
        self._engine = engine
        self._store = store
        self._settings = settings
        self._worker = worker
        self._claims = links("claims")
        self._endings = links("endings")
        self._pool = ThreadPoolExecutor(engine.slots, thread_name_prefix="row")
        self._finisher = Finisher(self._end, self._forget)
        self._rows: dict[UUID, Row] = {}
        self._lock = threading.Lock()  # of _rows
        self._turn = threading.Lock()  # who claims
        self._asked = False
        self._turn_began = 0.0
        self._closing = False
        self.store_lost = threading.Event()  # no claims while it is set; the timer probes and clears it

    def drain(self) -> None:
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

    def _fill(self) -> None:
        while not self._closing and not self.store_lost.is_set():
            wanted = self._plan()
            if wanted.linger_ms:
                time.sleep(wanted.linger_ms / 1000)
                wanted = self._plan()
            if not wanted.limit:
                return
            jobs = self._claim(wanted)
            if jobs:
                self._begin(jobs)
            if len(jobs) < wanted.limit:
                return

    def _plan(self) -> Plan:
        with self._lock:
            lanes = [row.job.lane for row in self._rows.values() if row.speaking]
        if not lanes:
            self._turn_began = time.monotonic()
        load = Load(
            slots=self._engine.slots,
            mixed=self._engine.mixed_lanes,
            lanes=lanes,
            turn_s=time.monotonic() - self._turn_began,
        )
        return plan(load, linger_ms=self._settings.linger_ms, turn_s=self._settings.turn_s)

    def _claim(self, wanted: Plan) -> list[Claimed]:
        try:
            return self._claims.run(
                work.claim,
                engine=self._engine.capabilities.engine,
                lane=wanted.lane,
                mixed=self._engine.mixed_lanes,
                limit=wanted.limit,
                worker=self._worker,
                lease_s=self._settings.lease_s,
            )
        except psycopg.OperationalError as error:
            log.warning("claim_failed", error=type(error).__name__)
            return []  # the timer asks again

    def _begin(self, jobs: Sequence[Claimed]) -> None:
        try:
            speeches = self._engine.begin([_utterance(job) for job in jobs])
        except Exception:
            log.exception("begin_failed", jobs=len(jobs))
            for job in jobs:
                self._finisher.add(_ended(job, "retry", "engine_failed"))
            return
        for job, speech in zip(jobs, speeches, strict=True):
            row = Row(job=job, speech=speech, begun=time.monotonic())
            with self._lock:
                self._rows[job.id] = row
            self._pool.submit(self._speak, row)

    def _speak(self, row: Row) -> None:
        result = self._result(row)
        row.speaking = False
        self._finisher.add(result)
        self.drain()

    def _result(self, row: Row) -> Finished:
        """How the attempt ended; never raises, so that one bad job fails alone."""
        try:
            return self._spoken(row)
        except Refused as refusal:
            return _ended(row.job, "refuse", refusal.code)
        except TooLong:
            return _ended(row.job, "refuse", "audio_too_long")
        except Interrupted:
            return _ended(row.job, "hand_back" if self._closing else "retry", "engine_interrupted")
        except StoreError as error:
            log.warning("store_lost", error=str(error).partition("\n")[0])
            self.store_lost.set()
            return _ended(row.job, "hand_back", "store_lost")
        except Exception:
            log.exception("job_failed", job=_short(row.job.id), attempt=row.job.attempt)
            return _ended(row.job, "retry", "internal_error")
        finally:
            row.speech.close()

    def _spoken(self, row: Row) -> Finished:
        spool = WavSpool(
            rate_hz=self._engine.capabilities.sample_rate_hz,
            memory_bytes=self._settings.spool_memory_bytes,
            audio_bytes_max=self._settings.audio_bytes_max,
        )
        try:
            for pcm in row.speech:
                spool.write(pcm)
            audio = spool.finish()
            if audio.duration_ms == 0:
                raise Refused("nothing_to_say")
            return self._stored(row, audio)
        finally:
            spool.close()

    def _stored(self, row: Row, audio: Audio) -> Finished:
        job = row.job
        key = f"jobs/{job.id}/{job.attempt}.{job.params.format}"
        self._store.put(key, audio.file)
        log.info(
            "job_spoken",
            job=_short(job.id),
            attempt=job.attempt,
            synth_ms=round(1000 * (time.monotonic() - row.begun)),
            audio_ms=audio.duration_ms,
        )
        return Finished(
            id=job.id,
            attempt=job.attempt,
            outcome="done",
            object=key,
            content_type=audio.content_type,
            audio_bytes=audio.audio_bytes,
            duration_ms=audio.duration_ms,
            sha256=audio.sha256,
        )

    def _end(self, ended: Sequence[Finished]) -> None:
        results = self._endings.run(
            work.finish,
            ended,
            worker=self._worker,
            tries_max=self._settings.tries_max,
            keep_s=self._settings.audio_keep_s,
        )
        for end in ended:
            if results[end.id] == "fenced":
                log.info("attempt_fenced", job=_short(end.id), attempt=end.attempt)

    def _forget(self, ended: Sequence[Finished]) -> None:
        with self._lock:
            for end in ended:
                self._rows.pop(end.id, None)

    def held(self) -> list[tuple[UUID, int]]:
        """(id, attempt) of every job whose lease this worker must renew."""
        with self._lock:
            return [(row.job.id, row.job.attempt) for row in self._rows.values()]

    def lose(self, jobs: Sequence[UUID]) -> None:
        """Stop speaking jobs that are no longer ours: cancelled, or swept."""
        with self._lock:
            rows = [self._rows[job] for job in jobs if job in self._rows]
        for row in rows:
            row.speech.close()

    def stop(self, drain_s: float) -> None:
        """Claim no more; let what runs end within `drain_s`, hand the rest back, write all results."""
        self._closing = True
        deadline = time.monotonic() + drain_s
        while self.held() and time.monotonic() < deadline:
            time.sleep(0.02)
        self.lose([job for job, _ in self.held()])
        self._pool.shutdown(wait=True)
        self._finisher.stop(timeout_s=2.0)
        with self._turn:
            self._claims.close()
        self._endings.close()


def _utterance(job: Claimed) -> Utterance:
    params = job.params
    return Utterance(
        job_id=job.id,
        text=params.text,
        voice=params.voice,
        language=params.language,
        speed=params.speed,
        pitch=params.pitch,
    )


def _ended(job: Claimed, outcome: Outcome, code: str) -> Finished:
    return Finished(id=job.id, attempt=job.attempt, outcome=outcome, code=code)


def _short(job: UUID) -> str:
    """What logs may show of a job's id, which is a capability."""
    return sha256(job.bytes).hexdigest()[:12]
