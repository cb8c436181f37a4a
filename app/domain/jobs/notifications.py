"""What the rooms tell each other over Redis of a job: somebody listens, it is cancelled, it has ended.

Every signal may be lost: whoever waits also looks by itself, once a second.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine, Generator
from contextlib import contextmanager, suppress
from typing import Any, TypeVar
from uuid import UUID

import redis
import structlog
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from app.domain.errors import Unavailable
from db import supervised
from db.redis.live_audio import CANCEL, DONE, LISTEN, done_message, read_done

T = TypeVar("T")
_LOOK_S = 1.0
_AGAIN_S = 0.5  # between tries to reach Redis
_PUBLISH_S = 1.0
_SILENT_S = 5.0  # a subscription that brings no answer to a ping for so long is made anew
_PING_S = 1.0
_ANSWER_S = 2.5  # to connect, or to answer: longer than the longest blocking read
_CONNECTIONS_MAX = 4096  # whoever listens has one while it waits; the client's own bound is 100
_CLOSE_S = 1.0


class JobNotifications:
    """One subscriber a process wakes whoever waits for a job; what is told goes out beside the requests."""

    def __init__(self, redis_url: str) -> None:
        self.redis = Redis.from_url(
            redis_url,
            socket_connect_timeout=_ANSWER_S,
            socket_timeout=_ANSWER_S,
            max_connections=_CONNECTIONS_MAX,
            retry=Retry(NoBackoff(), 0),
        )
        self._waiting: dict[UUID, set[asyncio.Event]] = {}
        self._tasks: set[asyncio.Task[Any]] = set()
        self._hearing: asyncio.Task[None] | None = None
        self.closing = False

    def start(self) -> None:
        """Begin to hear; to be called in the event loop."""
        self._hearing = asyncio.create_task(supervised.task("signals", self._hear, every_s=_AGAIN_S))

    def end_waits(self) -> None:
        """The process is about to end: whoever waits is told so now."""
        self.closing = True
        self._wake_all()

    async def close(self) -> None:
        """Hear no more; what runs beside the requests gets a moment to end."""
        self.end_waits()
        if self._hearing is not None:
            self._hearing.cancel()
            await asyncio.gather(self._hearing, return_exceptions=True)
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=_CLOSE_S)
        with suppress(redis.RedisError, OSError):
            await self.redis.aclose()

    async def until(self, job: UUID, look: Callable[[], Awaitable[T | None]], *, within_s: float) -> T | None:
        """What `look` finds: asked at once, when the job is heard of, and each second. None: not in time.

        Raises Unavailable when the process ends. A record out of reach (`look` raises Unavailable) is asked
        again: a job that failed is for `look` to find, not to raise.
        """
        deadline = time.monotonic() + within_s
        with self.waiting(job) as heard:
            while True:
                heard.clear()
                with suppress(Unavailable):
                    if (found := await look()) is not None:
                        return found
                if (left_s := deadline - time.monotonic()) <= 0:
                    return None
                await self.pause(heard, min(left_s, _LOOK_S))

    @contextmanager
    def waiting(self, job: UUID) -> Generator[asyncio.Event]:
        """An event that is set whenever the job is heard of, and when the process ends."""
        heard = asyncio.Event()
        events = self._waiting.setdefault(job, set())
        events.add(heard)
        try:
            yield heard
        finally:
            events.discard(heard)
            if not events:
                self._waiting.pop(job, None)

    async def pause(self, heard: asyncio.Event, seconds: float) -> None:
        """Wait for the event, so long at most. Raises Unavailable when the process ends."""
        if not self.closing:
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await heard.wait()
        self.check_open()

    def check_open(self) -> None:
        """Raise Unavailable when the process is about to end."""
        if self.closing:
            raise Unavailable("This server is about to stop. Please send the request again.")

    def listened(self, job: UUID) -> None:
        """Tell the workers that somebody listens to a job. Never waits, never fails; nor do the others."""
        self.beside(self._publish(LISTEN, job.hex))

    def cancelled(self, job: UUID) -> None:
        """Tell the workers and whoever waits that a job was cancelled; to be called after the commit."""
        self.beside(self._publish(CANCEL, job.hex))
        self.beside(self._publish(DONE, done_message(job, "cancelled")))

    def beside(self, act: Coroutine[Any, Any, None]) -> None:
        """Run `act` beside the requests: no caller who leaves can cancel it."""
        task = asyncio.create_task(act)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()):
            structlog.get_logger().error("task_failed", exc_info=error)

    async def _publish(self, channel: str, message: str) -> None:
        try:
            async with asyncio.timeout(_PUBLISH_S):
                await self.redis.publish(channel, message)
        except (redis.RedisError, OSError) as error:  # TimeoutError is one
            structlog.get_logger().warning("signal_lost", channel=channel, reason=type(error).__name__)

    async def _hear(self) -> None:
        try:
            await self._listen()
        except (redis.RedisError, OSError) as error:
            structlog.get_logger().warning("signals_away", reason=type(error).__name__)

    async def _listen(self) -> None:
        """Until the connection is lost. A Redis that is frozen, or gone without a word, is asked in vain."""
        async with self.redis.pubsub(ignore_subscribe_messages=True) as subscription:
            await subscription.subscribe(DONE)
            self._wake_all()  # what was said before, nobody has heard
            heard_at = asked_at = time.monotonic()
            while (now := time.monotonic()) - heard_at < _SILENT_S:
                if now - asked_at >= _PING_S:
                    await subscription.ping()
                    asked_at = now
                message = await subscription.get_message(timeout=_PING_S)
                if message is None:
                    continue
                heard_at = time.monotonic()
                if message["type"] == "message" and isinstance(message["data"], bytes):
                    self._wake(message["data"])
        raise redis.TimeoutError("Redis does not answer")

    def _wake(self, told: bytes) -> None:
        if (known := read_done(told)) is not None:
            for event in self._waiting.get(known[0], ()):
                event.set()

    def _wake_all(self) -> None:
        for events in self._waiting.values():
            for event in events:
                event.set()
