"""Loops that survive unexpected errors: what a step raises is logged and counted, and the loop continues."""

import asyncio
import threading
from collections.abc import Awaitable, Callable

import structlog
from prometheus_client import Counter

log = structlog.get_logger()
FAILED = Counter("codevoice_loop_failures", "Steps of a loop that ended in an unexpected error.", ["loop"])
_PAUSE_S_MIN, _PAUSE_S_MAX = 0.5, 30.0


class _Pause:
    """The wait after a step: with exponential backoff while steps fail."""

    def __init__(self, name: str, every_s: float) -> None:
        self._name = name
        self._every_s = every_s
        self._failed_s = 0.0
        FAILED.labels(name)  # starts at zero, so that the first failure is seen as an increase

    def after_success(self) -> float:
        self._failed_s = 0.0
        return self._every_s

    def after_failure(self) -> float:
        """Log and count a failure. Call it in the except block: the log contains the error's stack."""
        log.exception("loop_failed", loop=self._name)
        FAILED.labels(self._name).inc()
        self._failed_s = min(_PAUSE_S_MAX, max(_PAUSE_S_MIN, 2 * self._failed_s))
        return max(self._every_s, self._failed_s)


def thread(
    name: str, step: Callable[[], None], stopping: threading.Event, *, every_s: float = 0.0
) -> threading.Thread:
    """A daemon thread, not started yet, that calls `step` repeatedly until `stopping` is set.

    `every_s` passes before each step. `step` handles the errors it expects; any other is logged and counted,
    and delays the next step.
    """

    def run() -> None:
        pause = _Pause(name, every_s)
        wait_s = every_s
        while not (stopping.wait(wait_s) if wait_s else stopping.is_set()):
            try:
                step()
                wait_s = pause.after_success()
            except Exception:
                wait_s = pause.after_failure()

    return threading.Thread(target=run, name=name, daemon=True)


async def task(name: str, step: Callable[[], Awaitable[None]], *, every_s: float = 0.0) -> None:
    """As `thread`, in the event loop and until cancelled; the first step runs at once."""
    pause = _Pause(name, every_s)
    while True:
        try:
            await step()
            wait_s = pause.after_success()
        except Exception:
            wait_s = pause.after_failure()
        await asyncio.sleep(wait_s)
