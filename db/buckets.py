"""Token buckets in Redis: shared by all processes, taken from by one atomic script."""

import asyncio
import secrets
from collections.abc import Sequence
from contextlib import suppress
from functools import cache
from hashlib import sha1
from pathlib import Path
from typing import Any, cast

import redis
from msgspec import Struct
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import NoScriptError

_TIMEOUT_S = 1.0  # a caller that cannot wait so long gives up sooner; the answer still counts
_BATCH_MAX = 128
_WAITING_MAX = 10_000
_Question = tuple["Ask", "asyncio.Future[Grant]"]


class BucketsAway(Exception):
    """Redis is out of reach, or refuses: nobody knows what is in a bucket."""


class Ask(Struct, frozen=True, kw_only=True):
    """Up to `want` tokens of a bucket that holds `burst` and gets `per_s` a second.

    `held` of the process's present lease are not spent yet; all is leased anew for `lease_s`.
    """

    bucket: str
    per_s: float
    burst: int
    want: int
    held: int = 0
    lease_s: float


class Grant(Struct, frozen=True, kw_only=True):
    """What was given, how many of those `held` are still good, and what is left in the bucket."""

    granted: int
    held: int
    left: float


class Buckets:
    """Asks Redis over one connection; whoever asks while an answer is under way shares the next trip."""

    def __init__(self, redis_url: str) -> None:
        self._redis = Redis.from_url(
            redis_url,
            socket_timeout=_TIMEOUT_S,
            socket_connect_timeout=_TIMEOUT_S,
            retry=Retry(NoBackoff(), 0),
        )
        self._holder = secrets.token_hex(8)
        self._waiting: list[_Question] = []
        self._sent: list[_Question] = []
        self._sending: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Connect and bring the script, so that the first request need not; without Redis, do nothing."""
        with suppress(redis.RedisError, OSError):
            await self._redis.script_load(_script())

    async def take(self, ask: Ask) -> Grant:
        """Take tokens. Raises BucketsAway."""
        if len(self._waiting) >= _WAITING_MAX:
            raise BucketsAway("too many are waiting")
        answer: asyncio.Future[Grant] = asyncio.get_running_loop().create_future()
        self._waiting.append((ask, answer))
        if self._sending is None:
            self._sending = asyncio.create_task(self._send_all())
        return await answer

    async def close(self) -> None:
        """Close the connection; whoever waits is told that Redis is away."""
        if self._sending is not None:
            self._sending.cancel()
            await asyncio.wait({self._sending})
        for _, answer in (*self._sent, *self._waiting):
            _fail(answer, BucketsAway("closed"))
        await self._redis.aclose()

    async def _send_all(self) -> None:
        try:
            while self._waiting:
                self._sent, self._waiting = self._waiting[:_BATCH_MAX], self._waiting[_BATCH_MAX:]
                await self._send(self._sent)
        finally:
            self._sending = None

    async def _send(self, batch: Sequence[_Question]) -> None:
        answers = await self._answers([ask for ask, _ in batch])
        for (_, answer), found in zip(batch, answers, strict=True):
            if isinstance(found, Exception):
                _fail(answer, BucketsAway(type(found).__name__))
            elif not answer.done():
                granted, held, left = found
                answer.set_result(Grant(granted=granted, held=held, left=float(left)))

    async def _answers(self, asks: Sequence[Ask]) -> list[Any]:
        """An answer or an error for each."""
        try:
            return await self._evaluate(asks)
        except (redis.RedisError, OSError) as error:
            return [error] * len(asks)

    async def _evaluate(self, asks: Sequence[Ask]) -> list[Any]:
        answers = await self._pipelined(asks)
        if any(isinstance(answer, NoScriptError) for answer in answers):  # Redis was started anew
            await self._redis.script_load(_script())
            again = [n for n, answer in enumerate(answers) if isinstance(answer, NoScriptError)]
            for n, answer in zip(again, await self._pipelined([asks[n] for n in again]), strict=True):
                answers[n] = answer
        return answers

    async def _pipelined(self, asks: Sequence[Ask]) -> list[Any]:
        pipeline = self._redis.pipeline(transaction=False)
        for ask in asks:
            numbers = (ask.per_s, ask.burst, ask.want, self._holder, ask.held, int(ask.lease_s * 1_000_000))
            pipeline.evalsha(_digest(), 1, f"codevoice:limit:{ask.bucket}", *cast("tuple[str, ...]", numbers))
        return await pipeline.execute(raise_on_error=False)


def _fail(answer: "asyncio.Future[Grant]", error: BucketsAway) -> None:
    if not answer.done():
        answer.set_exception(error)


@cache
def _script() -> str:
    return Path(__file__).with_name("lua").joinpath("take.lua").read_text(encoding="utf-8")


@cache
def _digest() -> str:
    return sha1(_script().encode(), usedforsecurity=False).hexdigest()
