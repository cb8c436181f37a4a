"""`python -m ops.exporter`: gauges that no request could update (queues, credits, stores, GPUs), for
Prometheus.

Collects periodically, not at a scrape, and each part separately: a slow database does not slow a scrape down,
and values that can no longer be read are no longer exported.
"""

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable, Sequence

import structlog
from msgspec import Struct
from prometheus_client import Metric
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from db.logging import configure
from db.metrics import MetricsSettings, serve
from db.settings import DbSettings, SettingsError, read
from ops import collectors
from workers.jobs.connection import WorkerLink

log = structlog.get_logger()
_STUCK_TIMES = 5  # a run that takes this many times its interval counts as failed
_SHARE_MAX = 0.05  # of the time is spent collecting, at most: a slow part is collected less often


class ExporterSettings(Struct, frozen=True, kw_only=True):
    """How often the exporter collects."""

    look_s: float = 5.0  # between runs for queues, credits, stores and GPUs
    look_ledger_s: float = 60.0  # between audits


class ExportedPart(Struct, frozen=True):
    """One exported part: how to collect it, and how often."""

    part: str
    every_s: float
    see: Callable[[], Sequence[Metric]]


class Exporter(Collector):
    """Keeps the last result of each part."""

    def __init__(self, parts: Iterable[ExportedPart]) -> None:
        self._parts = tuple(parts)
        self._seen: dict[str, Sequence[Metric]] = {}
        self._up: dict[str, bool] = {}
        self._began: dict[str, float] = {}  # runs under way
        self._stopping = threading.Event()

    def start(self) -> None:
        """Start collecting, with one thread per part."""
        for look in self._parts:
            threading.Thread(target=self._repeat, args=(look,), name=look.part, daemon=True).start()

    def stop(self) -> None:
        """Stop collecting."""
        self._stopping.set()

    def collect(self) -> Iterable[Metric]:
        """The metrics of a scrape."""
        up = GaugeMetricFamily(
            "codevoice_part_up", "1 where the exporter could look at the part just now.", labels=["part"]
        )
        stuck = {look.part for look in self._parts if self._is_stuck(look)}
        for part, is_up in sorted((dict.fromkeys(stuck, False) | self._up).items()):
            up.add_metric([part], float(is_up and part not in stuck))
        yield up
        for part in sorted(self._seen.keys() - stuck):
            yield from self._seen[part]

    def _is_stuck(self, look: ExportedPart) -> bool:
        """Whether a run does not return, for example because Postgres is frozen."""
        began = self._began.get(look.part)
        return began is not None and time.monotonic() - began > _STUCK_TIMES * look.every_s

    def collect_once(self, look: ExportedPart) -> float:
        """Collect once; returns the seconds it took."""
        began = self._began[look.part] = time.monotonic()
        try:
            seen, is_up = look.see(), True
        except Exception as error:  # whatever it is, the other parts must still be collected
            seen, is_up = (), False
            if self._up.get(look.part, True):
                log.warning("look_failed", part=look.part, error=type(error).__name__)
        del self._began[look.part]
        self._seen[look.part], self._up[look.part] = seen, is_up
        return time.monotonic() - began

    def _repeat(self, look: ExportedPart) -> None:
        took_s = self.collect_once(look)
        while not self._stopping.wait(pause_s(look.every_s, took_s)):
            took_s = self.collect_once(look)


def pause_s(every_s: float, took_s: float) -> float:
    """How long to wait after a run that took `took_s`."""
    return max(every_s, took_s / _SHARE_MAX)


def parts(places: DbSettings, settings: ExporterSettings) -> list[ExportedPart]:
    """All parts that exist here."""

    def link(name: str) -> WorkerLink:
        return WorkerLink(places.database_url, f"exporter-{name}")

    found = [
        ExportedPart("postgres", settings.look_s, collectors.queues(link("queues"))),
        ExportedPart("credits", settings.look_s, collectors.credits(link("credits"))),
        ExportedPart("refunds", settings.look_s, collectors.refunds(link("refunds"))),
        ExportedPart("ledger", settings.look_ledger_s, collectors.ledger(link("ledger"))),
        ExportedPart("imbalance", settings.look_ledger_s, collectors.imbalance(link("imbalance"))),
        ExportedPart("redis", settings.look_s, collectors.redis(places.redis_url)),
        ExportedPart("objects", settings.look_s, collectors.objects(places)),
    ]
    gpus = collectors.gpus()
    return [*found, ExportedPart("gpus", settings.look_s, gpus)] if gpus else found


def main() -> int:
    """Export until SIGINT or SIGTERM; returns 2 if a setting is wrong."""
    ends = {signal.SIGTERM, signal.SIGINT}
    signal.pthread_sigmask(signal.SIG_BLOCK, ends)  # before threads exist that would receive them
    try:
        places, shown = read(DbSettings, os.environ), read(MetricsSettings, os.environ)
        exporter = Exporter(parts(places, read(ExporterSettings, os.environ)))
        port = serve(shown, exporter)
        if port is None:
            raise SettingsError("CODEVOICE_METRICS_PORT is not set")
    except (SettingsError, collectors.StoreError, OSError) as error:
        print(f"exporter: {error}", file=sys.stderr)
        return 2
    configure()
    log.info("exporter_ready", host=shown.metrics_host, port=port)
    exporter.start()
    signal.sigwait(ends)
    exporter.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
