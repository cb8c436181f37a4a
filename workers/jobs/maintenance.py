"""Periodic maintenance: the engine's heartbeat, expired leases, missed jobs, retention."""

import threading
import time
from collections.abc import Callable

import psycopg
import structlog

from db import supervised
from db.logging import hashed
from db.postgres import jobs_worker
from db.storage.objects import Objects, StoreError
from workers import metrics
from workers.jobs.connection import WorkerLink
from workers.jobs.orphaned_uploads import sweep_uploads
from workers.jobs.runner import Runner
from workers.pipelines.live_publisher import LiveAudioPublisher
from workers.pipelines.protocol import Pipeline
from workers.settings import WorkerSettings

log = structlog.get_logger()
_FORGET_S_MAX = 2.0  # per beat
_FORGET_AT_ONCE = 50
_SWEEP_MAX = 200


class Maintenance:
    """A thread that runs every `sweep_s`. A step that fails is retried by itself at the next beat."""

    def __init__(
        self,
        runner: Runner,
        pipeline: Pipeline,
        store: Objects,
        settings: WorkerSettings,
        link: WorkerLink,
        worker: str,
        publisher: LiveAudioPublisher,
    ) -> None:
        self._runner = runner
        self._pipeline = pipeline
        self._store = store
        self._settings = settings
        self._link = link
        self._worker = worker
        self._publisher = publisher
        self._stopping = threading.Event()
        self._uploads_due = 0.0
        self._thread = supervised.thread("timer", self._beat, self._stopping, every_s=settings.sweep_s)

    def start(self, giving_up: threading.Event) -> None:
        """Announce the engine, waiting for Postgres until `giving_up` if necessary, and start."""
        while not self._step(self._publish) and not giving_up.wait(0.5):
            pass
        self._thread.start()

    def stop(self) -> None:
        """Stop, and remove this worker from the list of live workers."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()
        self._step(self._retire)
        self._link.close()

    def _beat(self) -> None:
        for step in (
            self._publish,
            self._sweep,
            self._forget_audio,
            self._forget_texts,
            self._forget_keys,
            self._probe_store,
            self._sweep_uploads,
            self._drain,
        ):
            self._step(step)

    def _step(self, step: Callable[[], None]) -> bool:
        name = getattr(step, "__name__", "step").lstrip("_")
        try:
            step()
        except (psycopg.Error, StoreError) as error:
            log.warning("beat_failed", step=name, error=type(error).__name__)
        except Exception:
            log.exception("beat_failed", step=name)
        else:
            return True
        metrics.beat_failed(name)
        return False

    def _drain(self) -> None:
        """Find jobs whose wake-up was lost. The step's name is a metric's label."""
        self._runner.claims.claim_available()

    def _publish(self) -> None:
        self._link.run(jobs_worker.publish, self._pipeline.capabilities, worker=self._worker)

    def _retire(self) -> None:
        self._link.run(jobs_worker.retire, engine=self._pipeline.capabilities.engine, worker=self._worker)

    def _sweep(self) -> None:
        swept = self._link.run(jobs_worker.sweep, tries_max=self._settings.tries_max, limit=_SWEEP_MAX)
        for job, engine, result, kind in swept:
            metrics.swept(engine, kind, result)
            log.info("job_swept", job=hashed(job), engine=engine, result=result)
        self._publisher.done((job, result) for job, _, result, _ in swept)

    def _forget_audio(self) -> None:
        """Delete first, then forget: an object that could not be deleted is found again."""
        deadline = time.monotonic() + _FORGET_S_MAX
        while time.monotonic() < deadline:
            old = self._link.run(jobs_worker.expired_audio, limit=_FORGET_AT_ONCE)
            if not old:
                return
            self._store.delete(key for _, key in old)
            self._link.run(jobs_worker.forget_audio, [job for job, _ in old])

    def _forget_texts(self) -> None:
        self._link.run(jobs_worker.forget_texts, keep_s=self._settings.audio_keep_s, limit=_SWEEP_MAX)

    def _forget_keys(self) -> None:
        self._link.run(jobs_worker.forget_keys, limit=_SWEEP_MAX)

    def _sweep_uploads(self) -> None:
        """Rarely, and only on transcription workers: listing a large store takes long."""
        now = time.monotonic()
        if self._pipeline.capabilities.kind == "transcription" and now >= self._uploads_due:
            self._uploads_due = now + self._settings.upload_sweep_s
            swept = sweep_uploads(self._store, self._link, keep_s=self._settings.upload_keep_s)
            if swept:
                log.info("uploads_swept", uploads=swept)

    def _probe_store(self) -> None:
        if self._runner.store_lost.is_set():
            self._store.probe()
            log.info("store_back")
            self._runner.store_lost.clear()
