"""Job notifications between the API server and the workers over Redis: listening, cancelled, ended.

Any notification may be lost, so every wait also polls once a second.
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
_POLL_S = 1.0
_RETRY_S = 0.5  # between attempts to reach Redis
_PUBLISH_S = 1.0
_SILENT_S = 5.0  # a subscription without a response to its pings for so long is renewed
_PING_S = 1.0
_ANSWER_S = 2.5  # to connect, or to respond: longer than the longest blocking read
_CONNECTIONS_MAX = 4096  # each waiting reader of a live stream holds one; the client's default bound is 100
_CLOSE_S = 1.0


class JobNotifications:
    """One subscription a process wakes the requests that wait for a job; publishes in the background."""

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
        self._subscribing: asyncio.Task[None] | None = None
        self.closing = False

    def start(self) -> None:
        """Start the subscription. Call it from the event loop."""
        self._subscribing = asyncio.create_task(supervised.task("signals", self._subscribe, every_s=_RETRY_S))

    def end_waits(self) -> None:
        """End all waits with Unavailable, since the process is about to stop."""
        self.closing = True
        self._wake_all()

    async def close(self) -> None:
        """Stop the subscription; background tasks get a second to end."""
        self.end_waits()
        if self._subscribing is not None:
            self._subscribing.cancel()
            await asyncio.gather(self._subscribing, return_exceptions=True)
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=_CLOSE_S)
        with suppress(redis.RedisError, OSError):
            await self.redis.aclose()

    async def until(self, job: UUID, poll: Callable[[], Awaitable[T | None]], *, within_s: float) -> T | None:
        """The first result of `poll` that is not None; None if there is none within `within_s`.

        `poll` is called at once, at each notification about the job, and every second. If it raises
        Unavailable, it is called again, so it must return a failed job, not raise its error. Raises
        Unavailable when the process is about to stop.
        """
        deadline = time.monotonic() + within_s
        with self.waiting(job) as notified:
            while True:
                notified.clear()
                with suppress(Unavailable):
                    if (found := await poll()) is not None:
                        return found
                if (left_s := deadline - time.monotonic()) <= 0:
                    return None
                await self.pause(notified, min(left_s, _POLL_S))

    @contextmanager
    def waiting(self, job: UUID) -> Generator[asyncio.Event]:
        """An event that is set at each notification about the job, and when the process is about to stop."""
        notified = asyncio.Event()
        events = self._waiting.setdefault(job, set())
        events.add(notified)
        try:
            yield notified
        finally:
            events.discard(notified)
            if not events:
                self._waiting.pop(job, None)

    async def pause(self, notified: asyncio.Event, seconds: float) -> None:
        """Wait for the event, `seconds` at most. Raises Unavailable when the process is about to stop."""
        if not self.closing:
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await notified.wait()
        self.check_open()

    def check_open(self) -> None:
        """Raise Unavailable when the process is about to stop."""
        if self.closing:
            raise Unavailable("This server is about to stop. Please send the request again.")

    def notify_listening(self, job: UUID) -> None:
        """Notify the workers that a client listens to a job. Never waits, never fails, as the next two."""
        self.run_in_background(self._publish(LISTEN, job.hex))

    def notify_cancelled(self, job: UUID) -> None:
        """Notify the workers and all waiting requests that a job was cancelled. Call it after the commit."""
        self.run_in_background(self._publish(CANCEL, job.hex))
        self.run_in_background(self._publish(DONE, done_message(job, "cancelled")))

    def run_in_background(self, act: Coroutine[Any, Any, None]) -> None:
        """Run `act` in the background, so that the caller's disconnect cannot cancel it."""
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

    async def _subscribe(self) -> None:
        try:
            await self._listen()
        except (redis.RedisError, OSError) as error:
            structlog.get_logger().warning("signals_away", reason=type(error).__name__)

    async def _listen(self) -> None:
        """Dispatch messages until the connection is lost. Pings reveal a Redis that is frozen or vanished."""
        async with self.redis.pubsub(ignore_subscribe_messages=True) as subscription:
            await subscription.subscribe(DONE)
            self._wake_all()  # messages published before were not received
            received_at = pinged_at = time.monotonic()
            while (now := time.monotonic()) - received_at < _SILENT_S:
                if now - pinged_at >= _PING_S:
                    await subscription.ping()
                    pinged_at = now
                message = await subscription.get_message(timeout=_PING_S)
                if message is None:
                    continue
                received_at = time.monotonic()
                if message["type"] == "message" and isinstance(message["data"], bytes):
                    self._wake(message["data"])
        raise redis.TimeoutError("Redis does not answer")

    def _wake(self, message: bytes) -> None:
        if (done := read_done(message)) is not None:
            for event in self._waiting.get(done[0], ()):
                event.set()

    def _wake_all(self) -> None:
        for events in self._waiting.values():
            for event in events:
                event.set()
