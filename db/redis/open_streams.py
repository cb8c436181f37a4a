"""How many streams each caller has open, counted in Redis by all API processes together."""

import secrets
from collections.abc import Sequence

from msgspec import Struct

from db.redis.script_calls import ScriptAway, ScriptCalls


class StreamsAway(Exception):
    """Redis is out of reach, or refuses: nobody knows what other processes have open."""


class OpenStreams(Struct, frozen=True):
    """What this process has open for one caller, and the most that all may have; 0: no limit is checked."""

    caller: str
    streams: int
    most: int = 0


class StreamCounts:
    """This process's counts beside those of the others. Each is good for `lease_s`, then forgotten."""

    def __init__(self, redis_url: str, *, lease_s: float) -> None:
        self._calls = ScriptCalls(redis_url, "open_streams")
        self._holder = secrets.token_hex(8)
        self._lease_us = int(lease_s * 1_000_000)

    async def open(self) -> None:
        """Connect, so that the first stream need not; without Redis, do nothing."""
        await self._calls.open()

    async def note(self, wanted: Sequence[OpenStreams]) -> OpenStreams | None:
        """Note all of them; where one would be too many, note none and return it. Raises StreamsAway."""
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
