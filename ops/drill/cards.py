"""A simulated GPU, exported like a real one."""

from collections.abc import Generator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

from prometheus_client import CollectorRegistry, start_http_server

from ops import collectors
from ops.exporter import ExportedPart, Exporter

_POLL_S = 0.5


class FakeGpu:
    """Imitates NVIDIA's library with one card; `used` of its 100 bytes are in use."""

    class NVMLError(Exception):
        """The library's error class."""

    class NVMLError_NotSupported(NVMLError):
        """The library's error class."""

    def __init__(self) -> None:
        self.used = 40

    def nvmlInit(self) -> None:
        """Always succeeds."""

    def nvmlDeviceGetCount(self) -> int:
        """One card."""
        return 1

    def nvmlDeviceGetHandleByIndex(self, n: int) -> int:
        """The card's number."""
        return n

    def nvmlDeviceGetMemoryInfo(self, _device: int) -> Any:
        """The configured use."""
        return SimpleNamespace(used=self.used, total=100)

    def nvmlDeviceGetUtilizationRates(self, _device: int) -> Any:
        """Always half."""
        return SimpleNamespace(gpu=50)


@contextmanager
def shown(card: FakeGpu) -> Generator[str]:
    """Export the card's metrics during the block; yields their address."""
    see = collectors.gpus(card)
    assert see is not None
    registry, exporter = CollectorRegistry(), Exporter([ExportedPart("gpus", _POLL_S, see)])
    registry.register(exporter)
    exporter.start()
    server, thread = start_http_server(0, "127.0.0.1", registry)
    try:
        yield f"http://127.0.0.1:{server.server_port}/metrics"
    finally:
        exporter.stop()
        server.shutdown()
        server.server_close()
        thread.join()
