"""`python -m workers`: one process, one engine, one device. TERM drains it, USR1 lets its jobs end first; its
status says why it ended.
"""

import os
import secrets
import socket
import sys
import threading
from functools import partial

import structlog

from db.logging import configure
from db.metrics import MetricsSettings, serve
from db.readiness import tell_ready
from db.settings import DbSettings, SettingsError, read
from workers.engines import LOADED_LATER, DeviceLost, Engine, load
from workers.engines.transcriber import TRANSCRIBERS, Transcriber
from workers.models.needed import needed
from workers.models.store import models_folder, wait_for
from workers.process import devices, launcher, licence
from workers.process.exit_codes import Exit
from workers.process.processor_shares import share_processor
from workers.process.shutdown import Memory, ShutdownSignal, wait
from workers.process.warmup import warm_up
from workers.settings import WorkerSettings

_GRACE_S = 3.0  # beyond the drain
_LOST_GRACE_S = 8.0  # nobody waits for it, and handing back must not fail for want of time


def main() -> int:
    """Run until INT or TERM, until the device is lost or the process has grown too large."""
    asked = ShutdownSignal()
    try:
        settings, places = read(WorkerSettings, os.environ), read(DbSettings, os.environ)
        share_processor(settings.engine, settings.processor_shares)
        devices.pin(settings.device)
        licence.require(settings.engine, declared=settings.xtts_licence, environ=os.environ)
        _show_metrics()
        configure(settings.log_level)
        if not _has_models(settings, asked):
            return Exit.RECYCLED if asked.to_renew.is_set() else Exit.DRAINED
        return _run(_ready_engine(settings), settings, places, asked)
    except SettingsError as error:
        print(f"worker: {error}", file=sys.stderr)
        return Exit.SETTING
    except DeviceLost as error:  # while it warmed up
        print(f"worker: device lost: {error}", file=sys.stderr)
        return Exit.DEVICE_LOST


def _show_metrics() -> None:
    try:
        serve(read(MetricsSettings, os.environ))
    except OSError as error:
        raise SettingsError(f"CODEVOICE_METRICS_PORT cannot be listened on: {error}") from None


def _has_models(settings: WorkerSettings, asked: ShutdownSignal) -> bool:
    """Wait for the models the engine needs, which others bring; false: asked to end meanwhile."""
    folder, log = models_folder(os.environ), structlog.get_logger()

    def asked_within(seconds: float) -> bool:
        return asked.to_stop.wait(seconds) or asked.to_renew.is_set()

    def report(reason: str) -> None:
        log.warning("model_awaited", engine=settings.engine, reason=reason)

    return all(wait_for(name, folder, asked_within, report) for name in needed(settings))


def _ready_engine(settings: WorkerSettings) -> Engine | Transcriber:
    """The engine, loaded and warm: only then does anybody hear of it."""
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
    engine: Engine | Transcriber, settings: WorkerSettings, places: DbSettings, asked: ShutdownSignal
) -> Exit:
    os.environ.setdefault("dramatiq_restart_delay", "500")  # read when dramatiq is imported
    import dramatiq

    from db.redis import live_audio
    from db.storage.disk import floor_of
    from db.storage.objects import open_store
    from workers import metrics
    from workers.jobs import actors
    from workers.jobs import broker as wake
    from workers.jobs.connection import WorkerLink
    from workers.jobs.control_channel import ControlChannel
    from workers.jobs.lease_renewer import LeaseRenewer
    from workers.jobs.maintenance import Maintenance
    from workers.jobs.orphaned_audio import OrphanedAudio
    from workers.jobs.runner import Runner
    from workers.pipelines.live_publisher import LiveAudioPublisher
    from workers.pipelines.protocol import open_pipeline

    worker = f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(3)}"
    links = partial(WorkerLink, places.database_url)
    store = open_store(places.objects, floor=floor_of(places))
    airing = LiveAudioPublisher(
        live_audio.connect(places.redis_url),
        keep_s=settings.live_keep_s,
        audio_bytes_max=settings.live_bytes_max,
    )
    craft = open_pipeline(engine, store, settings, airing)
    runner = Runner(craft, store, settings, links, worker, airing)
    timer = Maintenance(runner, craft, store, settings, links("timer"), worker, airing)
    calls = ControlChannel(live_audio.connect(places.redis_url), runner.rows)
    keeper = LeaseRenewer(runner.rows, links("keeper"), worker=worker, lease_s=settings.lease_s)
    orphans = OrphanedAudio(store, links("orphans"), settings)
    broker = wake.broker(places.redis_url)
    actors.declare(broker, craft.capabilities.engine, runner)
    consumer = dramatiq.Worker(broker, worker_threads=1, worker_timeout=200)
    airing.start()
    timer.start(asked.to_stop)
    keeper.start()
    orphans.start()
    calls.start()
    if settings.wake:
        consumer.start()
    metrics.ready(craft.capabilities.engine, craft.capabilities.kind, craft.slots)
    structlog.get_logger().info(
        "worker_ready",
        engine=engine.capabilities.engine,
        device=settings.device,
        visible=os.environ["CUDA_VISIBLE_DEVICES"],
        slots=craft.slots,
        worker=worker,
    )
    tell_ready(settings.ready_fd)
    why = wait(asked, runner, Memory(engine, settings))
    is_lost = why is Exit.DEVICE_LOST
    drain_s = 0.0 if is_lost else settings.drain_s
    _end_for_certain(_LOST_GRACE_S if is_lost else drain_s + _GRACE_S, why or Exit.FAILED)
    runner.stop_claiming()
    if settings.wake:
        consumer.stop(timeout=2000)
    runner.stop(drain_s)
    orphans.stop()
    timer.stop()
    keeper.stop()
    calls.stop()
    airing.stop()
    if is_lost:
        os._exit(why)  # taking a lost device's context down may hang, or crash
    craft.close()
    return why


def _end_for_certain(seconds: float, status: int) -> None:
    """A store or a database that hangs must not keep us: others take our leases over."""
    watchdog = threading.Timer(seconds, os._exit, (status,))
    watchdog.daemon = True
    watchdog.start()


if __name__ == "__main__":
    sys.exit(main())
