"""Notifies workers of new jobs after the commit, without blocking the responses."""

import asyncio
from concurrent.futures import ThreadPoolExecutor

import redis
import structlog
from dramatiq.errors import DramatiqError

from db.redis.worker_wakeup import WakeupSender

_PAUSE_S = 0.002
_CROWDED_PAUSE_S = 0.02
_FAILED_PAUSE_S = 0.05
_UNREAD_MAX = 16  # wake-ups no worker has read: all are busy, or none is running


class WorkerWakeup:
    """`wake(engine)` returns at once and never fails; the calls within a pause become one message."""

    def __init__(self, redis_url: str) -> None:
        self._sender = WakeupSender(redis_url)
        self._opener = ThreadPoolExecutor(1, thread_name_prefix="worker-wakeup")
        self._waiting: set[str] = set()
        self._sent: set[str] = set()  # without a response yet
        self._doubted: set[str] = set()  # a count will say whether they need a wake-up
        self._is_pausing = False  # or connecting
        self._is_closed = False

    def close(self) -> None:
        """Stop sending; the workers find the jobs of unsent wake-ups by polling."""
        self._is_closed = True
        self._opener.shutdown(wait=False, cancel_futures=True)
        self._sender.close()

    def wake(self, engine: str) -> None:
        """Notify the engine's workers that there is work. Call it from the event loop."""
        self._waiting.add(engine)
        if not (self._is_pausing or self._is_closed):
            self._send()

    def _send(self) -> None:
        """Send all waiting wake-ups; for an engine with many unread ones, request a new count first."""
        if not self._sender.is_open:
            return self._open()
        try:
            for engine in self._waiting:
                is_crowded = self._sender.unread(engine) > _UNREAD_MAX
                (self._sender.count if is_crowded else self._sender.send)(engine)
                (self._doubted if is_crowded else self._sent).add(engine)
        except (redis.RedisError, DramatiqError, OSError) as error:
            return self._lost(error)
        self._waiting.clear()
        return self._pause(_CROWDED_PAUSE_S if self._doubted else _PAUSE_S)

    def _pause(self, seconds: float) -> None:
        self._is_pausing = True
        asyncio.get_running_loop().call_later(seconds, self._go_on)

    def _go_on(self) -> None:
        """Read responses, and continue. A message still unread after a commit covers the commit's jobs."""
        self._is_pausing = False
        if self._is_closed:
            return None
        try:
            if self._sender.read_responses():
                self._waiting |= {each for each in self._doubted if self._sender.unread(each) <= _UNREAD_MAX}
                self._sent.clear()
                self._doubted.clear()
        except (redis.RedisError, DramatiqError, OSError) as error:
            return self._lost(error)
        if self._waiting or self._doubted:
            return self._send()
        return self._pause(_PAUSE_S) if self._sent else None  # a lost message shows in the responses

    def _lost(self, error: BaseException) -> None:
        """Reconnect, and send again what may have been lost with the connection."""
        self._waiting |= self._sent | self._doubted
        self._sent.clear()
        self._doubted.clear()
        self._failed(error)
        self._open()

    def _open(self) -> None:
        self._is_pausing = True
        opening = asyncio.get_running_loop().run_in_executor(self._opener, self._sender.open)
        opening.add_done_callback(self._opened)

    def _opened(self, opening: "asyncio.Future[None]") -> None:
        if self._is_closed:
            return
        if (error := opening.exception()) is not None:
            self._failed(error)
            self._waiting.clear()
            self._pause(_FAILED_PAUSE_S)
        else:
            self._send()

    def _failed(self, error: BaseException) -> None:
        structlog.get_logger().warning(
            "nudge_failed", engines=sorted(self._waiting), reason=type(error).__name__
        )
