"""Notifies workers after a commit, before its requests are answered, without blocking them."""

import asyncio
from concurrent.futures import ThreadPoolExecutor

import redis
import structlog
from dramatiq.errors import DramatiqError

from db.redis import worker_wakeup as nudge

_PAUSE_S = 0.002
_CROWDED_PAUSE_S = 0.02
_FAILED_PAUSE_S = 0.05
_UNREAD_MAX = 16  # nudges that nobody takes: all workers are busy, or none is there


class WorkerWakeup:
    """`nudge(engine)` returns at once and never fails; many nudges within a pause become one message."""

    def __init__(self, redis_url: str) -> None:
        self._sender = nudge.WakeupSender(redis_url)
        self._opener = ThreadPoolExecutor(1, thread_name_prefix="nudger")
        self._waiting: set[str] = set()
        self._sent: set[str] = set()  # not answered yet
        self._doubted: set[str] = set()  # whether they need a nudge: a count will say
        self._is_pausing = False  # or connecting
        self._is_closed = False

    def close(self) -> None:
        """Send no more; what was not sent, the workers find by themselves."""
        self._is_closed = True
        self._opener.shutdown(wait=False, cancel_futures=True)
        self._sender.close()

    def wake(self, engine: str) -> None:
        """Tell the engine's workers that there is work. To be called from the event loop."""
        self._waiting.add(engine)
        if not (self._is_pausing or self._is_closed):
            self._send()

    def _send(self) -> None:
        """Nudge all who wait; where many nudges lay unread, have them counted again first."""
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
        """What still lay unread after a commit will be taken after it: that needs no other nudge."""
        self._is_pausing = False
        if self._is_closed:
            return None
        try:
            if self._sender.look():
                self._waiting |= {each for each in self._doubted if self._sender.unread(each) <= _UNREAD_MAX}
                self._sent.clear()
                self._doubted.clear()
        except (redis.RedisError, DramatiqError, OSError) as error:
            return self._lost(error)
        if self._waiting or self._doubted:
            return self._send()
        return self._pause(_PAUSE_S) if self._sent else None  # what is lost shows in the answers

    def _lost(self, error: BaseException) -> None:
        """Perhaps with what was sent last: that goes again."""
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
