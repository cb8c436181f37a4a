"""Calls a Lua script in Redis over one connection; calls during a round trip are batched into the next."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from functools import cache
from hashlib import sha1
from pathlib import Path
from typing import Any, cast

import redis
import structlog
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import NoScriptError

_TIMEOUT_S = 1.0  # a caller may stop waiting earlier; the script's effect still counts
_BATCH_MAX = 128
_WAITING_MAX = 10_000
Arguments = Sequence[str | int | float]


class _Call:
    __slots__ = ("answer", "arguments", "keys")

    def __init__(self, keys: Sequence[str], arguments: Arguments) -> None:
        self.keys = keys
        self.arguments = arguments
        self.answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()


class ScriptAway(Exception):
    """Redis is out of reach, or refused the call: it is unknown whether the script ran."""


class ScriptCalls:
    """Calls `lua/<name>.lua`, in order."""

    def __init__(self, redis_url: str, name: str) -> None:
        self._name = name
        self._redis = Redis.from_url(
            redis_url,
            socket_timeout=_TIMEOUT_S,
            socket_connect_timeout=_TIMEOUT_S,
            retry=Retry(NoBackoff(), 0),
        )
        self._waiting: list[_Call] = []
        self._sent: list[_Call] = []
        self._sending: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Connect and load the script ahead of the first call; if Redis is out of reach, do nothing."""
        with suppress(redis.RedisError, OSError):
            await self._redis.script_load(_script(self._name))

    async def call(self, keys: Sequence[str], arguments: Arguments) -> Any:
        """What the script returns. Raises ScriptAway."""
        if len(self._waiting) >= _WAITING_MAX:
            raise ScriptAway("too many are waiting")
        call = _Call(keys, arguments)
        self._waiting.append(call)
        if self._sending is None:
            self._sending = asyncio.create_task(self._send_all())
        return await call.answer

    async def close(self) -> None:
        """Close the connection; waiting calls raise ScriptAway."""
        if self._sending is not None:
            self._sending.cancel()
            await asyncio.wait({self._sending})
        for call in (*self._sent, *self._waiting):
            _fail(call, ScriptAway("closed"))
        await self._redis.aclose()

    async def _send_all(self) -> None:
        try:
            while self._waiting:
                self._sent, self._waiting = self._waiting[:_BATCH_MAX], self._waiting[_BATCH_MAX:]
                await self._send(self._sent)
        finally:
            self._sending = None

    async def _send(self, batch: Sequence[_Call]) -> None:
        for call, found in zip(batch, await self._answers(batch), strict=True):
            if isinstance(found, Exception):
                _fail(call, ScriptAway(type(found).__name__))
            elif not call.answer.done():
                call.answer.set_result(found)

    async def _answers(self, batch: Sequence[_Call]) -> list[Any]:
        """A response or an error for each call."""
        try:
            return await self._evaluate(batch)
        except (redis.RedisError, OSError) as error:
            return [error] * len(batch)
        except Exception as error:  # a bug of ours: the calls of this batch fail, the next is sent
            structlog.get_logger().exception("script_failed", script=self._name)
            return [error] * len(batch)

    async def _evaluate(self, batch: Sequence[_Call]) -> list[Any]:
        answers = await self._pipelined(batch)
        if any(isinstance(answer, NoScriptError) for answer in answers):  # Redis was restarted
            await self._redis.script_load(_script(self._name))
            again = [n for n, answer in enumerate(answers) if isinstance(answer, NoScriptError)]
            for n, answer in zip(again, await self._pipelined([batch[n] for n in again]), strict=True):
                answers[n] = answer
        return answers

    async def _pipelined(self, batch: Sequence[_Call]) -> list[Any]:
        pipeline, digest = self._redis.pipeline(transaction=False), _digest(self._name)
        for call in batch:
            given = cast("tuple[str, ...]", (*call.keys, *call.arguments))
            pipeline.evalsha(digest, len(call.keys), *given)
        return await pipeline.execute(raise_on_error=False)


def _fail(call: _Call, error: ScriptAway) -> None:
    if not call.answer.done():
        call.answer.set_exception(error)


@cache
def _script(name: str) -> str:
    return Path(__file__).with_name("lua").joinpath(f"{name}.lua").read_text(encoding="utf-8")


@cache
def _digest(name: str) -> str:
    return sha1(_script(name).encode(), usedforsecurity=False).hexdigest()
