"""`python -m workers`: one process, one engine, one device. SIGTERM drains it; SIGUSR1 lets its jobs finish
first. The exit status gives the reason why it ended.
"""

import os
import sys
import threading

import structlog

from db.logging import configure
from db.metrics import MetricsSettings, serve
from db.readiness import notify_ready
from db.settings import DbSettings, SettingsError, read
from workers.engines.protocol import DeviceLost, Engine
from workers.engines.registry import LOADED_LATER, TRANSCRIBERS, load
from workers.engines.transcriber import Transcriber
from workers.models.needed import needed
from workers.models.store import models_folder, wait_for
from workers.process import devices, launcher, licence
from workers.process.exit_codes import Exit
from workers.process.processor_shares import share_processor
from workers.process.shutdown import Memory, ShutdownSignal, wait
from workers.process.warmup import warm_up
from workers.settings import WorkerSettings

_GRACE_S = 3.0  # on top of the drain time
_LOST_GRACE_S = 8.0  # nobody waits for this exit, and returning the jobs must not fail for lack of time


def main() -> int:
    """Run until SIGINT or SIGTERM, until the device is lost, or until the process has grown too large."""
    shutdown = ShutdownSignal()
    try:
        settings, places = read(WorkerSettings, os.environ), read(DbSettings, os.environ)
        share_processor(settings.engine, settings.processor_shares)
        devices.pin(settings.device)
        licence.require(settings.engine, declared=settings.xtts_licence, environ=os.environ)
        _show_metrics()
        configure(settings.log_level)
        if not _has_models(settings, shutdown):
            return Exit.RECYCLED if shutdown.to_renew.is_set() else Exit.DRAINED
        return _run(_ready_engine(settings), settings, places, shutdown)
    except SettingsError as error:
        print(f"worker: {error}", file=sys.stderr)
        return Exit.SETTING
    except DeviceLost as error:  # during the warm-up
        print(f"worker: device lost: {error}", file=sys.stderr)
        return Exit.DEVICE_LOST


def _show_metrics() -> None:
    try:
        serve(read(MetricsSettings, os.environ))
    except OSError as error:
        raise SettingsError(f"CODEVOICE_METRICS_PORT cannot be listened on: {error}") from None


def _has_models(settings: WorkerSettings, shutdown: ShutdownSignal) -> bool:
    """Wait until another process has installed the models the engine needs; False: a shutdown came first."""
    folder, log = models_folder(os.environ), structlog.get_logger()

    def stop_requested(seconds: float) -> bool:
        return shutdown.to_stop.wait(seconds) or shutdown.to_renew.is_set()

    def report(reason: str) -> None:
        log.warning("model_awaited", engine=settings.engine, reason=reason)

    return all(wait_for(name, folder, stop_requested, report) for name in needed(settings))


def _ready_engine(settings: WorkerSettings) -> Engine | Transcriber:
    """The engine, loaded and warm. Only then is it announced to the database."""
    if not (settings.engine == "whisper" and settings.whisper_download):
        licence.stay_offline(os.environ)
    launcher.log_missing()
    if settings.engine == "xtts":
        structlog.get_logger().warning("licence_non_commercial", terms=licence.XTTS_TERMS)
    if settings.engine in TRANSCRIBERS:
        engine = TRANSCRIBERS[settings.engine](settings)
    else:
        engine = load(settings.engine)
        if settings.engine not in LOADED_LATER:
            warm_up(engine)
    if excess := Memory(engine, settings).excess():
        raise SettingsError(f"{excess}, before the first job")
    return engine


def _run(
    engine: Engine | Transcriber, settings: WorkerSettings, places: DbSettings, shutdown: ShutdownSignal
) -> Exit:
    os.environ.setdefault("dramatiq_restart_delay", "500")  # read when dramatiq is imported
    from workers.worker import Worker

    worker = Worker(engine, settings, places)
    worker.start(shutdown.to_stop)
    notify_ready(settings.ready_fd)
    why = wait(shutdown, worker.runner, Memory(engine, settings))
    is_lost = why is Exit.DEVICE_LOST
    drain_s = 0.0 if is_lost else settings.drain_s
    _end_for_certain(_LOST_GRACE_S if is_lost else drain_s + _GRACE_S, why or Exit.FAILED)
    worker.stop(drain_s)
    if is_lost:
        os._exit(why)  # destroying a lost device's context may hang or crash
    worker.close()
    return why


def _end_for_certain(seconds: float, status: int) -> None:
    """A store or database that hangs must not keep this process alive: other workers take its leases over."""
    watchdog = threading.Timer(seconds, os._exit, (status,))
    watchdog.daemon = True
    watchdog.start()


if __name__ == "__main__":
    sys.exit(main())
