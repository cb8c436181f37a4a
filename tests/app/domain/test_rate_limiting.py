"""Token leases under a fake clock: which requests pass, which calls reach the store, and what is reported."""

import asyncio
from collections.abc import Callable
from typing import Literal

import pytest

from app.domain.errors import Unavailable
from app.domain.rate_limiting import Breaker, Limit, Limiter, Standing
from db.redis.token_buckets import Ask, BucketsAway, Grant

POSTS = Limit(name="post", per_s=10.0, burst=300)
LOGINS = Limit(name="login", per_s=10 / 900, burst=10, exact=True)


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Shelf:
    """The buckets of several processes, in memory. `is_away` and `hold` make them fail and hang."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._tokens: dict[str, tuple[float, float]] = {}
        self.asks: list[Ask] = []
        self.is_away = False
        self.hold: asyncio.Event | None = None

    async def take(self, ask: Ask) -> Grant:
        self.asks.append(ask)
        await asyncio.sleep(0)
        if self.hold is not None:
            await self.hold.wait()
        if self.is_away:
            raise BucketsAway("test")
        tokens, at = self._tokens.get(ask.bucket, (float(ask.burst), self._clock()))
        tokens = min(ask.burst, tokens + (self._clock() - at) * ask.per_s)
        granted = min(ask.want, int(tokens))
        self._tokens[ask.bucket] = tokens - granted, self._clock()
        return Grant(granted=granted, held=ask.held, left=tokens - granted)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def shelf(clock: Clock) -> Shelf:
    return Shelf(clock)


Make = Callable[..., Limiter]


@pytest.fixture
def make(clock: Clock, shelf: Shelf) -> Make:
    """A process's limiter over the shared shelf."""

    def make(limit: Limit = POSTS, without_store: Literal["open", "closed"] = "open") -> Limiter:
        breaker = Breaker(clock, wait_s=0.02)
        return Limiter(limit, shelf, breaker, without_store=without_store, clock=clock)

    return make


async def settle() -> None:
    """Let what runs in the background end."""
    for _ in range(10):
        await asyncio.sleep(0)


async def passing(limiter: Limiter, who: str, times: int) -> int:
    """How many of `times` sequential requests pass."""
    passed = 0
    for _ in range(times):
        passed += (await limiter.take(who)).retry_after_s == 0
        await settle()
    return passed


async def test_the_burst_passes_and_no_more(make: Make) -> None:
    assert await passing(make(), "ann", 400) == 300


async def test_after_the_burst_requests_pass_at_the_rate(make: Make, clock: Clock) -> None:
    limiter = make()
    await passing(limiter, "ann", 400)
    clock.now += 2

    assert await passing(limiter, "ann", 100) == 20


async def test_four_processes_together_pass_burst_and_rate_and_hardly_less(make: Make, clock: Clock) -> None:
    processes, passed = [make() for _ in range(4)], 0
    for _ in range(600):
        clock.now += 0.05
        passed += sum([(await one.take("ann")).retry_after_s == 0 for one in processes])
        await settle()

    most = 300 + 10 * 600 * 0.05
    assert 0.9 * most <= passed <= most


async def test_concurrent_requests_share_one_call_to_the_store(make: Make, shelf: Shelf) -> None:
    limiter = make()
    standings = await asyncio.gather(*(limiter.take("ann") for _ in range(400)))

    assert sum(standing.retry_after_s == 0 for standing in standings) == 300
    assert len(shelf.asks) <= 3


async def test_a_lease_is_spent_without_a_call_to_the_store_and_renewed_ahead(
    make: Make, shelf: Shelf
) -> None:
    limiter = make()
    await passing(limiter, "ann", 50)
    shelf.hold, requests_before = asyncio.Event(), len(shelf.asks)
    while len(shelf.asks) == requests_before:
        await limiter.take("ann")
        await asyncio.sleep(0)
    passed = [(await limiter.take("ann")).retry_after_s == 0 for _ in range(7)]  # none waits
    took_again = len(shelf.asks) > requests_before + 1
    shelf.hold.set()
    await settle()

    assert (passed, took_again) == ([True] * 7, False)


async def test_blocks_grow_with_demand_and_shrink_without(make: Make, shelf: Shelf, clock: Clock) -> None:
    limiter = make()
    await passing(limiter, "ann", 100)
    most = max(ask.want for ask in shelf.asks)
    for _ in range(40):
        clock.now += 2
        await passing(limiter, "ann", 1)
        await settle()

    assert (most, shelf.asks[-1].want) == (15, 8)


async def test_the_rest_of_an_expired_lease_is_not_spent(make: Make, shelf: Shelf, clock: Clock) -> None:
    limiter = make()
    await passing(limiter, "ann", 30)
    requests_before = len(shelf.asks)
    clock.now += 60
    await limiter.take("ann")

    assert shelf.asks[requests_before].held == 0


async def test_tokens_unknown_to_the_store_are_not_spent(make: Make, shelf: Shelf, clock: Clock) -> None:
    class Forgetful(Shelf):
        async def take(self, ask: Ask) -> Grant:
            self.asks.append(ask)
            return Grant(granted=1 if ask.held == 0 else 0, held=0, left=0)

    forgetful = Forgetful(clock)
    limiter = Limiter(POSTS, forgetful, Breaker(clock, wait_s=0.02), without_store="open", clock=clock)

    assert await passing(limiter, "ann", 10) == 1


async def test_callers_have_separate_buckets(make: Make) -> None:
    limiter = make()
    await passing(limiter, "ann", 300)

    assert await passing(limiter, "bob", 400) == 300


async def test_an_exact_limit_calls_the_store_each_time_and_leases_nothing(make: Make, shelf: Shelf) -> None:
    assert await passing(make(LOGINS), "ann", 9) == 9
    assert [(ask.want, ask.held) for ask in shelf.asks] == [(1, 0)] * 9
    assert await passing(make(LOGINS), "ann", 3) == 1


async def test_a_refusal_is_remembered_until_a_token_can_be_available(
    make: Make, shelf: Shelf, clock: Clock
) -> None:
    limiter = make(LOGINS)
    await passing(limiter, "ann", 11)
    requests_before = len(shelf.asks)
    clock.now += 89
    before = await passing(limiter, "ann", 50), len(shelf.asks) - requests_before
    clock.now += 1.1

    assert before == (0, 0)
    assert await passing(limiter, "ann", 2) == 1


async def test_a_standing_has_limit_remaining_reset_and_retry_after(make: Make, clock: Clock) -> None:
    limiter = make(LOGINS)
    first = await limiter.take("ann")
    await passing(limiter, "ann", 9)
    clock.now += 10.5
    refused = await limiter.take("ann")

    assert first == Standing(limit=10, remaining=9, full_in_s=90)
    assert refused == Standing(limit=10, remaining=0, full_in_s=890, retry_after_s=80)


async def test_remaining_includes_leased_tokens(make: Make) -> None:
    limiter, found = make(), list[int]()
    for _ in range(300):
        found.append((await limiter.take("ann")).remaining)
        await settle()

    assert found == list(range(299, -1, -1))


async def test_without_the_store_a_process_goes_on_alone_with_the_same_numbers(
    make: Make, shelf: Shelf, clock: Clock
) -> None:
    shelf.is_away = True
    limiter = make()
    at_once = await passing(limiter, "ann", 400)
    clock.now += 3

    assert (at_once, await passing(limiter, "ann", 100)) == (300, 30)


async def test_a_caller_without_tokens_gains_none_while_the_store_is_away(make: Make, shelf: Shelf) -> None:
    limiter = make()
    await passing(limiter, "ann", 295)
    shelf.is_away = True

    assert await passing(limiter, "ann", 100) <= 5


async def test_without_the_store_a_closed_limit_refuses(make: Make, shelf: Shelf) -> None:
    shelf.is_away = True
    with pytest.raises(Unavailable):
        await make(LOGINS, "closed").take("ann")


async def test_an_unavailable_store_is_tried_once_a_second(make: Make, shelf: Shelf, clock: Clock) -> None:
    shelf.is_away = True
    limiter = make()
    for who in range(100):
        await passing(limiter, f"caller {who}", 2)
    early = len(shelf.asks)
    clock.now += 1
    await passing(limiter, "ann", 10)

    assert (early, len(shelf.asks)) == (1, 2)


async def test_a_recovered_store_counts_again(make: Make, shelf: Shelf, clock: Clock) -> None:
    shelf.is_away = True
    limiter, other = make(), make()
    await passing(limiter, "ann", 1)
    shelf.is_away = False
    clock.now += 1
    await passing(limiter, "ann", 300)

    assert await passing(other, "ann", 300) <= 2


async def test_a_slow_store_is_waited_for_once_and_briefly(make: Make, shelf: Shelf) -> None:
    shelf.hold = asyncio.Event()
    limiter, loop = make(), asyncio.get_running_loop()
    began = loop.time()
    first = await limiter.take("ann")
    between = loop.time()
    others = [await limiter.take(f"caller {n}") for n in range(100)]
    ended = loop.time()
    shelf.hold.set()
    await settle()

    assert {standing.retry_after_s for standing in (first, *others)} == {0}
    assert 0.015 < between - began < 1
    assert ended - between < 0.5  # 2 s, if each waited


async def test_a_late_response_does_not_mark_the_store_as_recovered(
    make: Make, shelf: Shelf, clock: Clock
) -> None:
    shelf.hold = asyncio.Event()
    limiter = make()
    await limiter.take("ann")
    clock.now += 0.5
    shelf.hold.set()
    await settle()
    shelf.asks.clear()
    await limiter.take("bob")

    assert shelf.asks == []


async def test_a_bug_in_the_store_is_not_hidden(clock: Clock) -> None:
    class Broken:
        async def take(self, ask: Ask) -> Grant:
            raise ZeroDivisionError

    limiter = Limiter(POSTS, Broken(), Breaker(clock, wait_s=0.02), without_store="open", clock=clock)
    with pytest.raises(ZeroDivisionError):
        await limiter.take("ann")


async def test_memory_is_bounded(make: Make, shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.domain.rate_limiting._REMEMBERED_MAX", 3)
    limiter = make()
    for who in "abcabdab":
        await limiter.take(who)
    await settle()

    assert len(limiter._known) == 3
    assert {"a", "b"} <= set(limiter._known)  # the latest


async def test_a_cancelled_caller_takes_no_token(make: Make, shelf: Shelf) -> None:
    limiter = make(LOGINS)
    shelf.hold = asyncio.Event()
    leaving = asyncio.create_task(limiter.take("ann"))
    await settle()
    leaving.cancel()
    await asyncio.wait({leaving})
    shelf.hold.set()
    shelf.hold = None
    await settle()

    assert await passing(limiter, "ann", 12) == 10
