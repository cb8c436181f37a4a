"""Nudges workers after a commit: one sender beside the requests, which never wait for it."""

import asyncio
from contextlib import suppress

import redis
import structlog
from dramatiq.errors import DramatiqError

from db import nudge


class Nudger:
    """`nudge(engine)` only sets a flag; many nudges of one engine become one message."""

    def __init__(self, redis_url: str) -> None:
        self._broker = nudge.producer(redis_url)
        self._engines: set[str] = set()
        self._wake = asyncio.Event()
        self._sender: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to send."""
        self._sender = asyncio.create_task(self._send_forever())

    async def stop(self) -> None:
        """Stop sending; what was not sent, the workers find by themselves."""
        if self._sender is not None:
            self._sender.cancel()
            with suppress(asyncio.CancelledError):
                await self._sender

    def nudge(self, engine: str) -> None:
        """Tell the engine's workers, soon, that there is work."""
        self._engines.add(engine)
        self._wake.set()

    async def _send_forever(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            engines, self._engines = self._engines, set()
            for engine in engines:
                await self._send(engine)

    async def _send(self, engine: str) -> None:
        try:
            await asyncio.to_thread(nudge.send, self._broker, engine)
        except (redis.RedisError, DramatiqError, OSError) as error:
            structlog.get_logger().warning("nudge_failed", engine=engine, reason=type(error).__name__)
