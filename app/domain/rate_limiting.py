"""Rate limits: token buckets shared by all processes, leased in blocks and spent locally.

A process leases a block of tokens from the shared bucket and spends it locally; when it runs low, the next
block is fetched in the background. Without the store, a process either enforces the same limits alone
(`open`), or refuses requests (`closed`).
"""

import asyncio
import math
from collections import OrderedDict
from collections.abc import Callable
from typing import Literal, Protocol

import structlog
from msgspec import Struct

from app.domain.errors import Unavailable
from db.redis.token_buckets import Ask, BucketsAway, Grant

_LEASE_S = 60.0  # long enough for an occasional caller to spend a block; a dead process holds one as long
_BLOCK_S = 1.0  # a block that lasted less than this was too small
_BLOCK_MIN = 8  # unless the limit allows less: rare requests must not cost a round trip to the store each
_BLOCKS_A_BURST = 20
_PAUSE_S = 1.0  # between attempts to reach a store that is away
_REMEMBERED_MAX = 10_000  # buckets of a limit kept in this process; an evicted one loses at most a block


class Limit(Struct, frozen=True, kw_only=True):
    """`burst` requests at once, and a sustained rate of `per_s`. An exact limit asks the store each time."""

    name: str
    per_s: float
    burst: int
    exact: bool = False

    @property
    def block_max(self) -> int:
        """The most tokens leased ahead of demand."""
        return 0 if self.exact else max(1, self.burst // _BLOCKS_A_BURST)


class Standing(Struct, frozen=True):
    """A caller's state under a limit after a request; `retry_after_s` is 0 unless it was refused."""

    limit: int
    remaining: int
    full_in_s: int
    retry_after_s: int = 0


class BucketStore(Protocol):
    """The shared buckets. `take` raises BucketsAway."""

    async def take(self, ask: Ask) -> Grant: ...


class Breaker:
    """A circuit breaker: while the store is away, no request waits for it; one call a second retries."""

    def __init__(self, clock: Callable[[], float], *, wait_s: float) -> None:
        self._clock = clock
        self._retry_at = 0.0
        self.wait_s = wait_s
        self.is_away = False

    def trip(self, reason: str) -> None:
        """Record that the store did not respond, or not in time."""
        self._retry_at = self._clock() + _PAUSE_S
        if not self.is_away:
            self.is_away = True
            structlog.get_logger().warning("limits_store_away", reason=reason)

    def record_response(self, took_s: float) -> None:
        """Record a response of the store: it counts as back if the response took at most `wait_s`."""
        if self.is_away and took_s <= self.wait_s:
            self.is_away = False
            structlog.get_logger().info("limits_store_back")

    def may_retry(self) -> bool:
        """Whether to retry the store now: true for one caller a second."""
        now = self._clock()
        if now < self._retry_at:
            return False
        self._retry_at = now + _PAUSE_S
        return True


class Limiter:
    """Enforces one limit, for each caller separately."""

    def __init__(
        self,
        limit: Limit,
        store: BucketStore,
        breaker: Breaker,
        *,
        without_store: Literal["open", "closed"],
        clock: Callable[[], float],
    ) -> None:
        self._limit = limit
        self._store = store
        self._breaker = breaker
        self._without_store = without_store
        self._clock = clock
        self._known: OrderedDict[str, _Bucket] = OrderedDict()

    async def take(self, who: str) -> Standing:
        """Count one request of `who` and return whether it may pass.

        Raises Unavailable if the store is away and the limit is `closed` without it.
        """
        bucket = self._known.get(who)
        if bucket is None:
            bucket = self._add_bucket(who)
        else:
            self._known.move_to_end(who)
        now = self._clock()
        if not bucket.spend(now):
            return await self._wait(bucket)
        if bucket.is_low(now) and not self._limit.exact and not self._breaker.is_away:
            self._start_fetch(bucket)
        return bucket.passed(now)

    async def give_back(self, who: str) -> None:
        """Undo a `take` that let a request pass, as if the request had not been counted."""
        bucket = self._known.get(who) or self._add_bucket(who)
        bucket.regain(self._clock())
        if not self._breaker.is_away:
            try:
                await self._store.take(bucket.return_one())
            except BucketsAway as error:
                self._breaker.trip(str(error))

    def _add_bucket(self, who: str) -> "_Bucket":
        if len(self._known) >= _REMEMBERED_MAX:
            self._known.popitem(last=False)
        bucket = self._known[who] = _Bucket(f"{self._limit.name}:{who}", self._limit, self._clock())
        return bucket

    async def _wait(self, bucket: "_Bucket") -> Standing:
        bucket.waiting += 1
        try:
            while True:
                now = self._clock()
                if bucket.spend(now):
                    return bucket.passed(now)
                if self._breaker.is_away:
                    return self._take_alone(bucket, now)
                if now < bucket.empty_until:
                    return bucket.refused(now)
                await self._await_fetch(bucket)
        finally:
            bucket.waiting -= 1

    async def _await_fetch(self, bucket: "_Bucket") -> None:
        """Wait up to `wait_s` for the store. In two halves: a stall of our own loop is not the store's."""
        fetching = bucket.fetching or self._start_fetch(bucket)
        for _ in range(2):
            await asyncio.wait({fetching}, timeout=self._breaker.wait_s / 2)
            if fetching.done():
                return fetching.result()
        return self._breaker.trip("slow")

    def _take_alone(self, bucket: "_Bucket", now: float) -> Standing:
        if bucket.fetching is None and self._breaker.may_retry():
            self._start_fetch(bucket)
        if self._without_store == "closed":
            raise Unavailable("The limits cannot be checked just now. Please try again in a moment.")
        return bucket.spend_alone(now)

    def _start_fetch(self, bucket: "_Bucket") -> "asyncio.Task[None]":
        bucket.fetching = asyncio.create_task(self._fetch(bucket))
        return bucket.fetching

    async def _fetch(self, bucket: "_Bucket") -> None:
        sent = self._clock()
        ask = bucket.next_ask(sent)
        try:
            grant = await self._store.take(ask)
        except BucketsAway as error:
            self._breaker.trip(str(error))
            return
        finally:
            bucket.fetching = None
        now = self._clock()
        bucket.receive(ask, grant, sent=sent, now=now)
        self._breaker.record_response(now - sent)


class _Bucket:
    """The tokens this process has leased from one bucket, and the last known count of the rest."""

    __slots__ = (
        "_at", "_block", "_left", "_limit", "_name", "_tokens", "_until",
        "empty_until", "fetching", "waiting",
    )  # fmt: skip

    def __init__(self, name: str, limit: Limit, now: float) -> None:
        self._name = name
        self._limit = limit
        self._tokens = 0  # leased and not spent yet
        self._until = now  # the lease's end
        self._left = float(limit.burst)  # in the store, at `_at`
        self._at = now
        self._block = 1
        self.empty_until = now  # until then the store has no token
        self.waiting = 0  # requests that wait for tokens
        self.fetching: asyncio.Task[None] | None = None

    def spend(self, now: float) -> bool:
        if self._tokens <= 0 or now >= self._until:
            return False
        self._tokens -= 1
        return True

    def is_low(self, now: float) -> bool:
        return self._tokens <= self._block // 2 and self.fetching is None and now >= self.empty_until

    def next_ask(self, now: float) -> Ask:
        """A request for as many tokens as are waited for, and as many more as last about a second."""
        if now >= self._until:
            self._tokens = 0
        lasted_s, most = now - self._at, self._limit.block_max
        wanted = self._block * 2 if lasted_s < _BLOCK_S else self._block // 2
        self._block = min(most, max(_BLOCK_MIN, wanted))
        return Ask(
            bucket=self._name,
            per_s=self._limit.per_s,
            burst=self._limit.burst,
            want=self.waiting + self._block,
            held=self._tokens,
            lease_s=_LEASE_S,
        )

    def return_one(self) -> Ask:
        limit = self._limit
        return Ask(bucket=self._name, per_s=limit.per_s, burst=limit.burst, want=-1, lease_s=_LEASE_S)

    def regain(self, now: float) -> None:
        self._left, self._at = min(self._rest(now) + 1, float(self._limit.burst)), now
        self.empty_until = now

    def receive(self, ask: Ask, grant: Grant, *, sent: float, now: float) -> None:
        lost = ask.held - grant.held
        self._tokens = max(0, self._tokens - lost) + grant.granted
        self._until = sent + _LEASE_S  # the store counts from a later time: it never ends sooner there
        self._left, self._at = grant.left, now
        self.empty_until = now + max(0.0, 1 - grant.left) / self._limit.per_s

    def spend_alone(self, now: float) -> Standing:
        """Spend from the last known count, as if this were the only process."""
        self._left, self._at = self._rest(now), now
        if self._left < 1:
            self.empty_until = now + (1 - self._left) / self._limit.per_s
            return self.refused(now)
        self._left -= 1
        return self.passed(now)

    def passed(self, now: float) -> Standing:
        return self._standing(now, retry_after_s=0)

    def refused(self, now: float) -> Standing:
        return self._standing(now, retry_after_s=max(1, math.ceil(self.empty_until - now)))

    def _standing(self, now: float, *, retry_after_s: int) -> Standing:
        burst = self._limit.burst
        held = self._tokens if now < self._until else 0
        remaining = min(float(burst), held + self._rest(now))
        full_in_s = math.ceil((burst - remaining) / self._limit.per_s)
        return Standing(burst, 0 if retry_after_s else int(remaining), full_in_s, retry_after_s)

    def _rest(self, now: float) -> float:
        return min(float(self._limit.burst), self._left + (now - self._at) * self._limit.per_s)
