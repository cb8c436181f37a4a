"""Token buckets in Redis: shared by all processes, taken from by one atomic script."""

import secrets

from msgspec import Struct

from db.redis.script_calls import ScriptAway, ScriptCalls


class BucketsAway(Exception):
    """Redis is out of reach, or refuses: nobody knows what is in a bucket."""


class Ask(Struct, frozen=True, kw_only=True):
    """Up to `want` tokens of a bucket that holds `burst` and gets `per_s` a second.

    `held` of the process's present lease are not spent yet; all is leased anew for `lease_s`. `want` below 0
    gives so many back.
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
        self._calls = ScriptCalls(redis_url, "take")
        self._holder = secrets.token_hex(8)

    async def open(self) -> None:
        """Connect and bring the script, so that the first request need not; without Redis, do nothing."""
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
        """Close the connection; whoever waits is told that Redis is away."""
        await self._calls.close()
