"""Limits on concurrent streams per key, account and address, counted by all processes together.

Without Redis each process counts by itself, with the same limits.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import suppress
from typing import Protocol

from msgspec import Struct

from app.domain.errors import TooManyStreams
from app.domain.identity.principals import Principal
from app.domain.rate_limiting import Breaker
from db import supervised
from db.redis.open_streams import OpenStreams, StreamsAway
from db.settings import PositiveInt

LEASE_S = 30.0
_RENEW_S = 10.0
_AT_ONCE = 100  # callers in one call of the store


class StreamLimits(Struct, frozen=True, kw_only=True):
    """The operator's limits on concurrent streams."""

    streams_max: PositiveInt = 64  # at once, for one key (for the account, if a token is used)
    account_streams_max: PositiveInt = 128  # at once, for one account with all of its keys
    address_streams_max: PositiveInt = 64  # at once, for one address without the owner's credential


class CountStore(Protocol):
    """The counts of all processes. `note` returns a caller whose limit is reached; it raises StreamsAway."""

    async def open(self) -> None:
        """Connect ahead of the first stream."""
        ...

    async def close(self) -> None:
        """Close the connection."""
        ...

    async def note(self, wanted: Sequence[OpenStreams]) -> OpenStreams | None:
        """Store all counts; if one exceeds its limit, store none and return that one. Raises StreamsAway."""
        ...


class StreamSlot:
    """One stream's slot, until it is closed."""

    def __init__(self, streams: "ConcurrentStreams", callers: Sequence[str]) -> None:
        self._streams = streams
        self._callers = callers

    def close(self) -> None:
        """Release the slot. Idempotent; never waits."""
        callers, self._callers = self._callers, ()
        self._streams.give_back(callers)


class ConcurrentStreams:
    """Gives out slots for streams; raises TooManyStreams at a limit."""

    def __init__(self, store: CountStore, limits: StreamLimits, *, wait_s: float) -> None:
        self._store = store
        self._limits = limits
        self._open: Counter[str] = Counter()
        self._stale: set[str] = set()  # callers whose ended streams were not reported to the store yet
        self._reporting: asyncio.Task[None] | None = None
        self._renewing: asyncio.Task[None] | None = None
        self._breaker = Breaker(time.monotonic, wait_s=wait_s)

    async def open(self) -> None:
        """Connect to the store, if it can be reached, and start renewing the counts."""
        await self._store.open()
        self._renewing = asyncio.create_task(supervised.task("streams", self._renew, every_s=_RENEW_S))

    async def close(self) -> None:
        """Stop renewing, and report to the other processes that no stream is open here."""
        for task in (self._renewing, self._reporting):
            if task is not None:
                task.cancel()
        callers = list(self._open)
        self._open.clear()
        with suppress(StreamsAway, TimeoutError):
            await asyncio.wait_for(self._report(callers), self._breaker.wait_s)
        await self._store.close()

    async def take(self, who: Principal) -> StreamSlot:
        """A slot under the limits of the caller's key and account. Raises TooManyStreams."""
        mine = f"key:{(who.key or who.account).hex}"
        limits = self._limits
        return await self._take(
            {mine: limits.streams_max, f"account:{who.account.hex}": limits.account_streams_max}
        )

    async def take_for_address(self, address: str) -> StreamSlot:
        """A slot under an address's limit, for a listener of another account's job. Raises TooManyStreams."""
        return await self._take({f"address:{address}": self._limits.address_streams_max})

    def give_back(self, callers: Iterable[str]) -> None:
        """Record that a stream of these callers has ended."""
        for caller in callers:
            self._open[caller] -= 1
            if not self._open[caller]:
                del self._open[caller]
            self._stale.add(caller)
        if self._stale and self._reporting is None:
            self._reporting = asyncio.create_task(self._report_ends())

    async def _take(self, most: dict[str, int]) -> StreamSlot:
        wanted: list[OpenStreams] = []
        for caller, limit in most.items():
            wanted.append(OpenStreams(caller, self._open[caller] + 1, limit))
            if wanted[-1].streams > limit:
                raise _refusal(wanted[-1])
        self._open.update(most.keys())
        place = StreamSlot(self, list(most))
        try:
            full = await self._response(lambda: self._store.note(wanted))
        except BaseException:
            place.close()
            raise
        if full is not None:
            place.close()
            raise _refusal(full)
        return place

    async def _response(self, note: Callable[[], Awaitable[OpenStreams | None]]) -> OpenStreams | None:
        """The store's response; None if it is away, or does not respond in time."""
        if self._breaker.is_away and not self._breaker.may_retry():
            return None
        began = time.monotonic()
        try:
            async with asyncio.timeout(self._breaker.wait_s):
                full = await note()
        except (StreamsAway, TimeoutError) as error:
            self._breaker.trip(str(error) or "slow")
            return None
        self._breaker.record_response(time.monotonic() - began)
        return full

    async def _report_ends(self) -> None:
        try:
            while self._stale:
                ended, self._stale = self._stale, set()
                with suppress(StreamsAway):  # then the renewal reports it, or the lease expires
                    await self._report(list(ended))
        finally:
            self._reporting = None

    async def _renew(self) -> None:
        with suppress(StreamsAway):
            await self._report(list(self._open))

    async def _report(self, callers: Sequence[str]) -> None:
        """Report how many streams each caller has open in this process."""
        for start in range(0, len(callers), _AT_ONCE):
            part = callers[start : start + _AT_ONCE]
            await self._store.note([OpenStreams(caller, self._open[caller]) for caller in part])


def _refusal(full: OpenStreams) -> TooManyStreams:
    whose = full.caller.partition(":")[0]
    return TooManyStreams(
        f"At most {full.most} streams at once are allowed for one {whose}. Wait for one to end.",
        limit=full.most,
    )
