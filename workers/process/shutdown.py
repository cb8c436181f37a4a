"""Why and when a worker process ends: a signal, its device lost, grown too large."""

import os
import signal
import threading
from types import FrameType

import structlog

from workers.engines.protocol import Engine, ReportsMemory
from workers.engines.transcriber import Transcriber
from workers.jobs.runner import Runner
from workers.process.exit_codes import Exit
from workers.settings import WorkerSettings

log = structlog.get_logger()
_POLL_S = 0.2
_RECYCLE_S_MAX = 600.0  # for running jobs to end, before they are returned
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


class Memory:
    """The memory of the process and its engine, against the configured limits."""

    def __init__(self, engine: Engine | Transcriber, settings: WorkerSettings) -> None:
        self._device = engine if isinstance(engine, ReportsMemory) else None
        self._process_mb_max = settings.worker_memory_max_mb
        self._device_mb_max = settings.worker_device_memory_max_mb

    def excess(self) -> str:
        """Which limit is exceeded, with both figures; empty if none is."""
        with open("/proc/self/statm", "rb") as file:
            process_mb = int(file.read().split()[1]) * _PAGE_BYTES >> 20
        if 0 < self._process_mb_max < process_mb:
            return f"CODEVOICE_WORKER_MEMORY_MAX_MB={self._process_mb_max}, in use {process_mb}"
        device_mb = self._device.device_bytes() >> 20 if self._device else 0
        if 0 < self._device_mb_max < device_mb:
            return f"CODEVOICE_WORKER_DEVICE_MEMORY_MAX_MB={self._device_mb_max}, in use {device_mb}"
        return ""


class ShutdownSignal:
    """Records shutdown signals: stop (TERM, INT), or let the jobs end and be replaced (USR1)."""

    def __init__(self) -> None:
        self.to_stop = threading.Event()
        self.to_renew = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1):
            signal.signal(number, self._on_signal)

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        (self.to_renew if number == signal.SIGUSR1 else self.to_stop).set()


def wait(shutdown: ShutdownSignal, runner: Runner, memory: Memory) -> Exit:
    """Return the reason when the process must end; nothing is claimed any more.

    A process that is to be replaced first lets its jobs end.
    """
    while not shutdown.to_stop.wait(_POLL_S):
        if runner.device_lost.is_set():
            log.error("device_lost")
            return Exit.DEVICE_LOST
        if excess := memory.excess():
            log.info("memory_high", excess=excess)
            return _emptied(shutdown.to_stop, runner)
        if shutdown.to_renew.is_set():
            return _emptied(shutdown.to_stop, runner)
    return Exit.DRAINED


def _emptied(stopping: threading.Event, runner: Runner) -> Exit:
    runner.stop_claiming()
    for _ in range(int(_RECYCLE_S_MAX / _POLL_S)):
        if runner.device_lost.is_set():
            return Exit.DEVICE_LOST
        if not runner.rows.held():
            break
        if stopping.wait(_POLL_S):
            return Exit.DRAINED
    return Exit.RECYCLED
