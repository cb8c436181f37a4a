"""Notifies workers of new jobs after the commit, without blocking the responses."""

import asyncio
from concurrent.futures import ThreadPoolExecutor

import redis
import structlog
from dramatiq.errors import DramatiqError

from db.redis import worker_wakeup

log = structlog.get_logger()
_PAUSE_S = 0.002
_CROWDED_PAUSE_S = 0.02
_UNREAD_MAX = 16  # wake-ups that no worker has read: all are busy, or none is running


class WorkerWakeup:
    """`wake(engine)` returns at once and never fails. Calls during a send and the pause after it become one
    message. A lost one costs latency: workers poll as well.
    """

    def __init__(self, redis_url: str) -> None:
        self._broker = worker_wakeup.producer(redis_url)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="worker-wakeup")
        self._waiting: set[str] = set()
        self._is_busy = False  # sending or pausing
        self._is_closed = False

    def close(self) -> None:
        """Stop sending; the workers find the jobs of unsent wake-ups by polling."""
        self._is_closed = True
        self._thread.shutdown(wait=False, cancel_futures=True)
        self._broker.client.close()

    def wake(self, engine: str) -> None:
        """Notify the engine's workers that there is work. Call it from the event loop."""
        self._waiting.add(engine)
        if not self._is_busy:
            self._send_waiting()

    def _send_waiting(self) -> None:
        self._is_busy = bool(self._waiting) and not self._is_closed
        if self._is_busy:
            engines, self._waiting = self._waiting, set()
            sending = asyncio.get_running_loop().run_in_executor(self._thread, self._send, engines)
            sending.add_done_callback(self._sent)

    def _sent(self, sending: "asyncio.Future[float]") -> None:
        if not sending.cancelled():  # by `close`
            asyncio.get_running_loop().call_later(sending.result(), self._send_waiting)

    def _send(self, engines: set[str]) -> float:
        """Send the wake-ups; return how long to pause. Blocking.

        Many unread messages suffice: they will be read after the commit.
        """
        pause_s = _PAUSE_S
        try:
            for engine in engines:
                if worker_wakeup.unread(self._broker, engine) > _UNREAD_MAX:
                    pause_s = _CROWDED_PAUSE_S
                elif not self._is_closed:
                    worker_wakeup.send_wakeup(self._broker, engine)
        except (redis.RedisError, DramatiqError, OSError, ValueError) as error:  # the last: closed
            log.warning("wakeup_failed", engines=sorted(engines), reason=type(error).__name__)
        return pause_s
