"""Stream limits that several processes count together."""

import asyncio
import secrets
from collections.abc import AsyncGenerator, Callable, Sequence
from uuid import uuid4

import pytest

from app.domain import stream_limits as streams_module
from app.domain.errors import TooManyStreams
from app.domain.identity.principals import Principal
from app.domain.stream_limits import ConcurrentStreams, StreamLimits, StreamSlot
from db.redis.open_streams import OpenStreams, StreamCounts

LIMITS = StreamLimits(streams_max=3, account_streams_max=4, address_streams_max=2)
Open = Callable[..., ConcurrentStreams]


@pytest.fixture
async def process(redis_url: str) -> AsyncGenerator[Open]:
    """Streams of one more process; `lease_s`: how long its count stays valid without renewal."""
    opened: list[ConcurrentStreams] = []

    def one(*, lease_s: float = 60, url: str = redis_url) -> ConcurrentStreams:
        opened.append(ConcurrentStreams(StreamCounts(url, lease_s=lease_s), LIMITS, wait_s=5))
        return opened[-1]

    yield one
    for streams in opened:
        await streams.close()


def caller(key: bool = True) -> Principal:
    return Principal(
        account=uuid4(),
        user_type="registered",
        tier=1,
        admin=False,
        suspended=False,
        epoch=0,
        key=uuid4() if key else None,
    )


async def taken(streams: ConcurrentStreams, who: Principal, times: int) -> list[StreamSlot]:
    """The places it gets when it requests `times` at once."""
    found = await asyncio.gather(*(streams.take(who) for _ in range(times)), return_exceptions=True)
    assert {type(each) for each in found} <= {StreamSlot, TooManyStreams}
    return [each for each in found if isinstance(each, StreamSlot)]


@pytest.mark.parametrize("key", [True, False])
async def test_processes_together_give_a_key_no_more_than_it_may_have(process: Open, key: bool) -> None:
    here, there, who = process(), process(), caller(key)

    found = await asyncio.gather(taken(here, who, 5), taken(there, who, 5))

    assert sum(map(len, found)) == LIMITS.streams_max


async def test_the_limit_of_an_account_holds_across_its_keys(process: Open) -> None:
    here, there, first = process(), process(), caller()
    second = Principal(**{name: getattr(first, name) for name in first.__struct_fields__} | {"key": uuid4()})

    found = await asyncio.gather(taken(here, first, 3), taken(there, second, 3))

    assert sum(map(len, found)) == LIMITS.account_streams_max


async def test_a_released_place_is_available_to_another_process(process: Open) -> None:
    here, there, who = process(), process(), caller()
    places = await taken(here, who, LIMITS.streams_max)
    assert await taken(there, who, 1) == []

    places[0].close()
    places[0].close()  # counts once

    async with asyncio.timeout(10):
        while not (found := await taken(there, who, 1)):
            await asyncio.sleep(0.01)
    assert await taken(there, who, 1) == await taken(here, who, 1) == []
    assert len(found) == 1


async def test_a_process_that_died_holds_no_place(process: Open) -> None:
    dead, there, who = process(lease_s=0.2), process(), caller()
    await taken(dead, who, LIMITS.streams_max)

    async with asyncio.timeout(10):
        while not await taken(there, who, 1):
            await asyncio.sleep(0.02)


async def test_without_redis_each_process_counts_by_itself(process: Open) -> None:
    here, who = process(url="redis://127.0.0.1:1/0"), caller()

    places = await taken(here, who, 5)
    places[0].close()

    assert len(places) == LIMITS.streams_max
    assert len(await taken(here, who, 5)) == 1


async def test_an_address_is_counted_separately(process: Open) -> None:
    here, address = process(), secrets.token_hex(8)
    places = [await here.take_for_address(address) for _ in range(LIMITS.address_streams_max)]

    with pytest.raises(TooManyStreams, match="address"):
        await here.take_for_address(address)
    assert len(places) == 2
    assert await here.take_for_address(secrets.token_hex(8))


class Faulty:
    """A count store that fails once with an unexpected error when open streams are noted."""

    def __init__(self) -> None:
        self.noted = asyncio.Event()
        self._has_failed = False

    async def open(self) -> None: ...

    async def close(self) -> None: ...

    async def note(self, wanted: Sequence[OpenStreams]) -> OpenStreams | None:
        if any(each.most for each in wanted):  # a place taken
            return None
        if not self._has_failed:
            self._has_failed = True
            raise ZeroDivisionError
        self.noted.set()
        return None


async def test_an_unexpected_error_does_not_end_the_renewal_of_open_streams(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(streams_module, "_RENEW_S", 0.01)
    store = Faulty()
    streams = ConcurrentStreams(store, LIMITS, wait_s=5)
    await streams.open()
    await streams.take(caller())

    async with asyncio.timeout(60):
        await store.noted.wait()
    await streams.close()
