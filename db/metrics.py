"""Serves Prometheus metrics on a port, for one process or for all processes of a group.

Processes on one machine are served together if PROMETHEUS_MULTIPROC_DIR names the same empty folder for all
of them. It must be in their environment before they start: prometheus_client reads it when imported.
"""

import os
import sys
from collections.abc import Iterable
from pathlib import Path

from msgspec import Struct
from prometheus_client import REGISTRY, CollectorRegistry, Counter, Metric, start_http_server
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead
from prometheus_client.registry import Collector

LATENCY_S = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)
FOLDER = "PROMETHEUS_MULTIPROC_DIR"
_HEAD_BYTES = 8  # of prometheus_client's files: the first four are the used size
_FILE_BYTES = {"counter": 1 << 20, "gauge_livesum": 1 << 20, "histogram": 4 << 20}


def _allocate(folder: str) -> None:
    """Allocate all the space this process's files will need, before they are mapped.

    prometheus_client creates them sparse, and writing to a hole when the disk is full is a SIGBUS, which
    kills the process. Raises OSError if the disk is full already.
    """
    for kind, size_bytes in _FILE_BYTES.items():
        with Path(folder, f"{kind}_{os.getpid()}.db").open("ab") as file:
            os.posix_fallocate(file.fileno(), 0, size_bytes)


def _truncate(folder: Path, pid: str) -> None:
    """Truncate a dead process's files to their used size, since recycled processes leave many."""
    for path in folder.glob(f"*_{pid}.db"):
        with path.open("r+b") as file:
            used_bytes = int.from_bytes(file.read(4), sys.byteorder)
            file.truncate(max(used_bytes, _HEAD_BYTES))


# At import, since metrics map their files when they are created.
if os.environ.get(FOLDER):
    _allocate(os.environ[FOLDER])

# Both the API server and the workers end jobs. No label may identify a user, a key, a job or a cloned voice.
JOBS = Counter("codevoice_jobs", "Jobs that ended.", ["kind", "status"])
STORE_FAILURES = Counter("codevoice_store_failures", "Times the object store failed us.", ["operation"])
JOB_ENDS = ("completed", "failed", "cancelled", "expired")


class MetricsSettings(Struct, frozen=True, kw_only=True):
    """Where a process serves metrics, if it does."""

    metrics_host: str = "127.0.0.1"
    metrics_port: int | None = None  # None: another process serves them; 0: any free port


def serve(settings: MetricsSettings, *more: Collector) -> int | None:
    """Serve scrapes from a thread, with the metrics of `more` too; return the port. Raises OSError."""
    if settings.metrics_port is None:
        return None
    registry = REGISTRY
    if folder := os.environ.get(FOLDER):
        registry = CollectorRegistry()
        registry.register(_AllProcesses(Path(folder)))
    for collector in more:
        registry.register(collector)
    server, _ = start_http_server(settings.metrics_port, settings.metrics_host, registry)
    return int(server.server_port)


def empty(folder: Path) -> None:
    """Create the processes' folder, and delete files of an earlier run, whose counts would reappear."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for path in folder.glob("*.db"):
        path.unlink()


class _AllProcesses(Collector):
    """Counters and histograms of all processes, dead ones included; gauges of live processes only."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def collect(self) -> Iterable[Metric]:
        for pid in {path.stem.rpartition("_")[2] for path in self._folder.glob("gauge_live*.db")}:
            if not Path("/proc", pid).exists():
                _truncate(self._folder, pid)
                mark_process_dead(int(pid), str(self._folder))
        return MultiProcessCollector.merge([str(path) for path in self._folder.glob("*.db")])
