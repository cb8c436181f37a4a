"""A GPU that is not there, shown as the exporter shows real ones."""

from collections.abc import Generator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

from prometheus_client import CollectorRegistry, start_http_server

from ops import collectors
from ops.exporter import Exporter, Look

_LOOK_S = 0.5


class Card:
    """NVIDIA's library with one card; `used` of its 100 bytes are in use."""

    class NVMLError(Exception):
        """The library's."""

    class NVMLError_NotSupported(NVMLError):
        """The library's."""

    def __init__(self) -> None:
        self.used = 40

    def nvmlInit(self) -> None:
        """Always well."""

    def nvmlDeviceGetCount(self) -> int:
        """One."""
        return 1

    def nvmlDeviceGetHandleByIndex(self, n: int) -> int:
        """Its number."""
        return n

    def nvmlDeviceGetMemoryInfo(self, _device: int) -> Any:
        """As set."""
        return SimpleNamespace(used=self.used, total=100)

    def nvmlDeviceGetUtilizationRates(self, _device: int) -> Any:
        """Half."""
        return SimpleNamespace(gpu=50)


@contextmanager
def shown(card: Card) -> Generator[str]:
    """The address of its metrics, for the block."""
    see = collectors.gpus(card)
    assert see is not None
    registry, exporter = CollectorRegistry(), Exporter([Look("gpus", _LOOK_S, see)])
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
