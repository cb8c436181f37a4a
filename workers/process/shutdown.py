"""How a worker process notices that it should end: told to, its device lost, grown too large."""

import os
import signal
import threading
from types import FrameType

import structlog

from workers.engines import Engine, TellsMemory
from workers.engines.transcriber import Transcriber
from workers.jobs.runner import Runner
from workers.process.exit_codes import Exit
from workers.settings import WorkerSettings

log = structlog.get_logger()
_LOOK_S = 0.2
_RECYCLE_S_MAX = 600.0  # for what runs to end, before it is handed back
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


class Memory:
    """How much the process and its engine hold, against the limits set."""

    def __init__(self, engine: Engine | Transcriber, settings: WorkerSettings) -> None:
        self._device = engine if isinstance(engine, TellsMemory) else None
        self._process_mb_max = settings.worker_memory_max_mb
        self._device_mb_max = settings.worker_device_memory_max_mb

    def excess(self) -> str:
        """Which limit is passed, with both figures; empty where none is."""
        with open("/proc/self/statm", "rb") as file:
            process_mb = int(file.read().split()[1]) * _PAGE_BYTES >> 20
        if 0 < self._process_mb_max < process_mb:
            return f"CODEVOICE_WORKER_MEMORY_MAX_MB={self._process_mb_max}, in use {process_mb}"
        device_mb = self._device.device_bytes() >> 20 if self._device else 0
        if 0 < self._device_mb_max < device_mb:
            return f"CODEVOICE_WORKER_DEVICE_MEMORY_MAX_MB={self._device_mb_max}, in use {device_mb}"
        return ""


class ShutdownSignal:
    """What signals ask of the process: to end (TERM, INT), or to let its jobs end and be replaced (USR1)."""

    def __init__(self) -> None:
        self.to_stop = threading.Event()
        self.to_renew = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1):
            signal.signal(number, self._hear)

    def _hear(self, number: int, _frame: FrameType | None) -> None:
        (self.to_renew if number == signal.SIGUSR1 else self.to_stop).set()


def wait(asked: ShutdownSignal, runner: Runner, memory: Memory) -> Exit:
    """Return when the process is to end, with nothing claimed any more, and why.

    One that is to be replaced first lets its jobs end.
    """
    while not asked.to_stop.wait(_LOOK_S):
        if runner.device_lost.is_set():
            log.error("device_lost")
            return Exit.DEVICE_LOST
        if excess := memory.excess():
            log.info("memory_high", excess=excess)
            return _emptied(asked.to_stop, runner)
        if asked.to_renew.is_set():
            return _emptied(asked.to_stop, runner)
    return Exit.DRAINED


def _emptied(stopping: threading.Event, runner: Runner) -> Exit:
    runner.stop_claiming()
    for _ in range(int(_RECYCLE_S_MAX / _LOOK_S)):
        if runner.device_lost.is_set():
            return Exit.DEVICE_LOST
        if not runner.rows.held():
            break
        if stopping.wait(_LOOK_S):
            return Exit.DRAINED
    return Exit.RECYCLED
