"""Nudges workers after a commit, from a thread beside the requests, which never wait for it."""

import asyncio
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor

import redis
import structlog
from dramatiq.errors import DramatiqError

from db import nudge

_PAUSE_S = 0.002
_CROWDED_PAUSE_S = 0.05  # where nudges lie unread, another look is worth little
_UNREAD_MAX = 16  # nudges of an engine that nobody takes: no worker is there


class Nudger:
    """`nudge(engine)` returns at once; many nudges while one is under way become one message."""

    def __init__(self, redis_url: str) -> None:
        self._broker = nudge.producer(redis_url)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="nudger")
        self._waiting: set[str] = set()
        self._crowded: set[str] = set()
        self._sending: asyncio.Future[None] | None = None

    def close(self) -> None:
        """Send no more; what was not sent, the workers find by themselves."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    def nudge(self, engine: str) -> None:
        """Tell the engine's workers that there is work. To be called from the event loop."""
        self._waiting.add(engine)
        if self._sending is None:
            self._start()

    def _start(self) -> None:
        engines, self._waiting = self._waiting, set()
        self._sending = asyncio.get_running_loop().run_in_executor(self._thread, self._send, engines)
        self._sending.add_done_callback(self._sent)

    def _sent(self, _done: "asyncio.Future[None]") -> None:
        """A pause follows, or under load the thread would take the requests' time from them."""
        pause_s = _CROWDED_PAUSE_S if self._crowded else _PAUSE_S
        asyncio.get_running_loop().call_later(pause_s, self._go_on)

    def _go_on(self) -> None:
        self._sending = None
        if self._waiting:
            self._start()

    def _send(self, engines: Iterable[str]) -> None:
        for engine in engines:
            try:
                self._send_one(engine)
            except (redis.RedisError, DramatiqError, OSError) as error:
                structlog.get_logger().warning("nudge_failed", engine=engine, reason=type(error).__name__)

    def _send_one(self, engine: str) -> None:
        """Looks at the queue after sending, not before: an idle worker is to hear soon."""
        if engine in self._crowded and nudge.unread(self._broker, engine):
            return  # whoever takes what waits there, claims later than this commit
        nudge.send(self._broker, engine)
        crowd = (
            self._crowded.add if nudge.unread(self._broker, engine) > _UNREAD_MAX else self._crowded.discard
        )
        crowd(engine)
