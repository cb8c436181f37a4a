"""Counts each caller's open streams in Redis, for all API processes together."""

import secrets
from collections.abc import Sequence

from msgspec import Struct

from db.redis.script_calls import ScriptAway, ScriptCalls


class StreamsAway(Exception):
    """Redis is out of reach, or refused the call: the counts of other processes are unknown."""


class OpenStreams(Struct, frozen=True):
    """A caller's open streams in this process, and the limit over all processes; 0: no limit is checked."""

    caller: str
    streams: int
    most: int = 0


class StreamCounts:
    """This process's counts, and the limits over all processes. A count expires after `lease_s`."""

    def __init__(self, redis_url: str, *, lease_s: float) -> None:
        self._calls = ScriptCalls(redis_url, "open_streams")
        self._holder = secrets.token_hex(8)
        self._lease_us = int(lease_s * 1_000_000)

    async def open(self) -> None:
        """Connect ahead of the first stream; if Redis is out of reach, do nothing."""
        await self._calls.open()

    async def note(self, wanted: Sequence[OpenStreams]) -> OpenStreams | None:
        """Store all counts; if one exceeds its limit, store none and return that one. Raises StreamsAway."""
        numbers = [number for each in wanted for number in (each.streams, each.most)]
        keys = [f"codevoice:streams:{each.caller}" for each in wanted]
        try:
            full = await self._calls.call(keys, [self._holder, self._lease_us, *numbers])
        except ScriptAway as error:
            raise StreamsAway(str(error)) from error
        return wanted[full - 1] if full else None

    async def close(self) -> None:
        """Close the connection."""
        await self._calls.close()
