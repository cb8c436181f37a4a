"""The buckets' script, raced from several connections: never more than burst + rate x time."""

import asyncio
import secrets
import socket
from collections.abc import AsyncGenerator, Callable

import msgspec
import pytest
from redis import Redis

from db.redis.token_buckets import Ask, Buckets, BucketsAway, Grant

Open = Callable[[], Buckets]


@pytest.fixture
async def open_buckets(redis_url: str) -> AsyncGenerator[Open]:
    """Connections of holders of their own."""
    opened: list[Buckets] = []

    def one() -> Buckets:
        opened.append(Buckets(redis_url))
        return opened[-1]

    yield one
    for buckets in opened:
        await buckets.close()


@pytest.fixture
def bucket() -> str:
    return f"test:{secrets.token_hex(6)}"


def ask(bucket: str, want: int, **other: object) -> Ask:
    plain = Ask(bucket=bucket, per_s=0.001, burst=100, want=want, lease_s=60)
    return msgspec.structs.replace(plain, **other)  # type: ignore[arg-type]


def now_s(redis: "Redis[bytes]") -> float:
    seconds, micro = redis.time()
    return seconds + micro / 1_000_000


async def test_a_new_bucket_is_full(open_buckets: Open, bucket: str) -> None:
    assert await open_buckets().take(ask(bucket, 7)) == Grant(granted=7, held=0, left=93)


async def test_no_holder_gets_more_than_the_bucket_has(open_buckets: Open, bucket: str) -> None:
    holder = open_buckets()
    grants = [await holder.take(ask(bucket, 1)) for _ in range(102)]

    assert [grant.granted for grant in grants] == [1] * 100 + [0] * 2
    assert 0 <= grants[-1].left < 0.1


async def test_the_last_tokens_do_not_all_go_to_one(open_buckets: Open, bucket: str) -> None:
    holder = open_buckets()

    assert [(await holder.take(ask(bucket, 100))).granted for _ in range(4)] == [25, 19, 14, 11]


async def test_racing_holders_share_the_burst(open_buckets: Open, bucket: str) -> None:
    holders = [open_buckets() for _ in range(8)]
    asks = [holder.take(ask(bucket, 3)) for holder in holders for _ in range(40)]
    grants = await asyncio.gather(*asks)

    assert sum(grant.granted for grant in grants) == 100


async def test_racing_over_time_only_the_rate_is_added(
    open_buckets: Open, bucket: str, redis_url: str
) -> None:
    fast = {"per_s": 200.0, "burst": 20}
    with Redis.from_url(redis_url) as clock:
        began = now_s(clock)

        async def hammer(holder: Buckets) -> int:
            taken = 0
            while now_s(clock) < began + 1:
                taken += (await holder.take(ask(bucket, 3, **fast))).granted
            return taken

        taken = sum(await asyncio.gather(*(hammer(open_buckets()) for _ in range(5))))
        lasted = now_s(clock) - began

    assert (
        20 + 60 <= taken <= 20 + 200 * lasted
    )  # a full bucket gets no more, while its takers have no processor


async def test_leased_tokens_keep_the_bucket_from_filling(open_buckets: Open, bucket: str) -> None:
    one, other = open_buckets(), open_buckets()
    quick = {"per_s": 1e6, "burst": 40}  # full again at once

    assert (await one.take(ask(bucket, 10, **quick))).granted == 10
    assert (await other.take(ask(bucket, 0, **quick))).left == 30
    assert (await one.take(ask(bucket, 0, held=4, **quick))) == Grant(granted=0, held=4, left=36)
    assert (await other.take(ask(bucket, 0, **quick))).left == 36


async def test_a_lease_expires(open_buckets: Open, bucket: str) -> None:
    one, other = open_buckets(), open_buckets()
    quick = {"per_s": 1e6, "burst": 40}
    await one.take(ask(bucket, 10, lease_s=0.002, **quick))

    async with asyncio.timeout(5):
        while (await other.take(ask(bucket, 0, **quick))).left < 40:
            pass
    assert (await one.take(ask(bucket, 0, held=10, **quick))).held == 0


async def test_a_slow_rate_is_not_lost_in_rounding(open_buckets: Open, bucket: str, redis_url: str) -> None:
    holder, slow = open_buckets(), {"per_s": 10 / 900, "burst": 10}
    with Redis.from_url(redis_url) as clock:
        started = now_s(clock)
        first, began = (await holder.take(ask(bucket, 1, **slow))).left, now_s(clock)
        grants = await asyncio.gather(*(holder.take(ask(bucket, 0, **slow)) for _ in range(2000)))
        ended = now_s(clock)
        last, lasted = (await holder.take(ask(bucket, 0, **slow))).left, now_s(clock) - started

    assert first <= grants[0].left <= grants[-1].left <= last
    # Redis counts from one moment of the first call to one of the last.
    assert (ended - began) * 10 / 900 * 0.95 <= last - first <= lasted * 10 / 900 * 1.05


async def test_keys_expire(open_buckets: Open, bucket: str, redis_url: str) -> None:
    await open_buckets().take(ask(bucket, 20, per_s=2.0, lease_s=5))

    with Redis.from_url(redis_url) as redis:
        assert 290_000 < redis.pttl(f"codevoice:limit:{bucket}") <= 300_000  # longer than live audio


async def test_the_script_is_loaded_into_a_restarted_redis(
    open_buckets: Open, bucket: str, redis_url: str
) -> None:
    holder = open_buckets()
    await holder.take(ask(bucket, 1))
    with Redis.from_url(redis_url) as redis:
        redis.script_flush()
    grants = await asyncio.gather(*(holder.take(ask(bucket, 1)) for _ in range(3)))

    assert [grant.granted for grant in grants] == [1, 1, 1]


async def test_without_redis_every_call_raises_buckets_away() -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        holder = Buckets(f"redis://127.0.0.1:{nobody.getsockname()[1]}")
        asks = [holder.take(ask("b", 1)) for _ in range(3)]
        answers = await asyncio.gather(*asks, return_exceptions=True)
        await holder.close()

    assert [type(answer) for answer in answers] == [BucketsAway] * 3


async def test_closing_fails_every_waiting_call() -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        holder = Buckets(f"redis://127.0.0.1:{silent.getsockname()[1]}")
        waiting = [asyncio.ensure_future(holder.take(ask("b", 1))) for _ in range(3)]
        await asyncio.sleep(0)
        await holder.close()
        answers = await asyncio.gather(*waiting, return_exceptions=True)

    assert [type(answer) for answer in answers] == [BucketsAway] * 3
