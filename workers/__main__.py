"""`python -m workers`: one process, one engine, one device. TERM drains it."""

import os
import secrets
import signal
import socket
import sys
import threading
from functools import partial

from db.log import configure
from db.metrics import MetricsSettings, serve
from db.settings import DbSettings, SettingsError, read
from workers.settings import WorkerSettings

_GRACE_S = 3.0  # beyond the drain


def main() -> int:
    """Run until INT or TERM; 0 when drained, 2 when a setting is wrong."""
    try:
        settings, places = read(WorkerSettings, os.environ), read(DbSettings, os.environ)
        serve(read(MetricsSettings, os.environ))
    except (SettingsError, OSError) as error:  # the metrics' address is taken
        print(f"worker: {error}", file=sys.stderr)
        return 2
    _pin(settings.device)
    os.environ.setdefault("dramatiq_restart_delay", "500")  # read when dramatiq is imported
    stopping = threading.Event()

    def stop(_number: int, _frame: object) -> None:
        stopping.set()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    _run(settings, places, stopping)
    return 0


def _pin(device: str) -> None:
    """One process sees one device; to be set before torch is imported."""
    os.environ["CUDA_VISIBLE_DEVICES"] = device.removeprefix("cuda:") if device != "cpu" else ""


def _run(settings: WorkerSettings, places: DbSettings, stopping: threading.Event) -> None:
    import dramatiq
    import structlog

    from db.objects import open_store
    from workers import actors, engines, metrics, wake
    from workers.connections import Link
    from workers.keeper import Keeper
    from workers.runner import Runner
    from workers.speaking import Speaking
    from workers.timer import Timer

    configure(settings.log_level)
    worker = f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(3)}"
    links = partial(Link, places.database_url)
    store = open_store(places.objects)
    craft = Speaking(engines.load(settings.engine), store, settings)
    runner = Runner(craft, store, settings, links, worker)
    timer = Timer(runner, craft, store, settings, links("timer"), worker)
    keeper = Keeper(runner.rows, links("keeper"), worker=worker, lease_s=settings.lease_s)
    broker = wake.broker(places.redis_url)
    actors.declare(broker, settings.engine, runner)
    consumer = dramatiq.Worker(broker, worker_threads=1, worker_timeout=200)
    timer.start(stopping)
    keeper.start()
    if settings.wake:
        consumer.start()
    metrics.ready(settings.engine, craft.slots)
    structlog.get_logger().info("worker_ready", engine=settings.engine, slots=craft.slots, worker=worker)
    stopping.wait()
    _end_for_certain(settings.drain_s + _GRACE_S)
    if settings.wake:
        consumer.stop(timeout=2000)
    runner.stop(settings.drain_s)
    timer.stop()
    keeper.stop()
    craft.close()


def _end_for_certain(seconds: float) -> None:
    """A store or a database that hangs must not keep us: others take our leases over."""
    watchdog = threading.Timer(seconds, os._exit, (1,))
    watchdog.daemon = True
    watchdog.start()


if __name__ == "__main__":
    sys.exit(main())
