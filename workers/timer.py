"""What happens by the clock: leases renewed, lost jobs swept, the engine shown, old audio forgotten."""

import threading
import time

import psycopg
import structlog

from db import work
from db.objects import Objects, StoreError
from workers.connections import Link
from workers.engines import Engine
from workers.runner import Runner
from workers.settings import WorkerSettings

log = structlog.get_logger()
_FORGET_EVERY_S = 60.0
_FORGET_MAX = 500
_SWEEP_MAX = 200


class Timer:
    """A thread that beats each `sweep_s`. A beat that fails is tried again at the next."""

    def __init__(
        self,
        runner: Runner,
        engine: Engine,
        store: Objects,
        settings: WorkerSettings,
        link: Link,
        worker: str,
    ) -> None:
        self._runner = runner
        self._engine = engine
        self._store = store
        self._settings = settings
        self._link = link
        self._worker = worker
        self._stopping = threading.Event()
        self._forgot_at = 0.0
        self._thread = threading.Thread(target=self._run, name="timer", daemon=True)

    def start(self, giving_up: threading.Event) -> None:
        """Make the engine known, waiting for Postgres until `giving_up` where need be, and begin."""
        while not self._beat() and not giving_up.wait(0.5):
            pass
        self._thread.start()

    def stop(self) -> None:
        """End the beats, so that leases are no longer renewed, and take this worker off the list."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()
        try:
            self._link.run(work.retire, engine=self._engine.capabilities.engine, worker=self._worker)
        except psycopg.Error as error:
            log.warning("retire_failed", error=type(error).__name__)
        self._link.close()

    def _run(self) -> None:
        while not self._stopping.wait(self._settings.sweep_s):
            self._beat()

    def _beat(self) -> bool:
        try:
            self._renew()
            self._link.run(work.publish, self._engine.capabilities, worker=self._worker)
            self._sweep()
            self._forget_audio()
        except psycopg.Error as error:
            log.warning("beat_failed", error=type(error).__name__)
            return False
        except Exception:
            log.exception("beat_failed")
            return False
        self._probe_store()
        self._runner.drain()  # finds what no message told of
        return True

    def _renew(self) -> None:
        held = self._runner.held()
        if held:
            ours = self._link.run(work.renew, held, worker=self._worker, lease_s=self._settings.lease_s)
            self._runner.lose([job for job, _ in held if job not in ours])

    def _sweep(self) -> None:
        for _, engine, result in self._link.run(
            work.sweep, tries_max=self._settings.tries_max, limit=_SWEEP_MAX
        ):
            log.info("job_swept", engine=engine, result=result)

    def _forget_audio(self) -> None:
        if time.monotonic() - self._forgot_at < _FORGET_EVERY_S:
            return
        self._forgot_at = time.monotonic()
        keys = self._link.run(work.forget_audio, limit=_FORGET_MAX)
        try:
            self._store.delete(keys)
        except StoreError as error:
            log.warning("audio_not_deleted", keys=len(keys), error=str(error).partition("\n")[0])

    def _probe_store(self) -> None:
        if not self._runner.store_lost.is_set():
            return
        try:
            self._store.probe()
        except StoreError:
            return
        log.info("store_back")
        self._runner.store_lost.clear()
