"""Token buckets in Redis, shared by all processes; an atomic script takes tokens."""

import secrets

from msgspec import Struct

from db.redis.script_calls import ScriptAway, ScriptCalls


class BucketsAway(Exception):
    """Redis is out of reach, or refused the call: the state of the bucket is unknown."""


class Ask(Struct, frozen=True, kw_only=True):
    """A request for up to `want` tokens of a bucket that holds `burst` and is refilled by `per_s` a second.

    `held` tokens of the process's current lease are not spent yet; they are leased again, with the new ones,
    for `lease_s`. A negative `want` returns that many.
    """

    bucket: str
    per_s: float
    burst: int
    want: int
    held: int = 0
    lease_s: float


class Grant(Struct, frozen=True, kw_only=True):
    """Tokens granted, how many of those `held` are still valid, and how many are left in the bucket."""

    granted: int
    held: int
    left: float


class Buckets:
    """Takes tokens over one connection; calls during a round trip share the next one."""

    def __init__(self, redis_url: str) -> None:
        self._calls = ScriptCalls(redis_url, "take")
        self._holder = secrets.token_hex(8)

    async def open(self) -> None:
        """Connect and load the script ahead of the first request; if Redis is out of reach, do nothing."""
        await self._calls.open()

    async def take(self, ask: Ask) -> Grant:
        """Take tokens. Raises BucketsAway."""
        numbers = (ask.per_s, ask.burst, ask.want, self._holder, ask.held, int(ask.lease_s * 1_000_000))
        try:
            granted, held, left = await self._calls.call([f"codevoice:limit:{ask.bucket}"], numbers)
        except ScriptAway as error:
            raise BucketsAway(str(error)) from error
        return Grant(granted=granted, held=held, left=float(left))

    async def close(self) -> None:
        """Close the connection; waiting calls raise BucketsAway."""
        await self._calls.close()
