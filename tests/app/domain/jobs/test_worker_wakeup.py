"""Wake-ups are sent before the response, whatever Redis does; none is lost with a connection."""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable

import pytest
import redis

from app.domain.jobs.worker_wakeup import WorkerWakeup
from db.redis import worker_wakeup

ENGINE = "owl"
QUEUE = f"dramatiq:{worker_wakeup.queue_name(ENGINE)}"
Client = redis.Redis


@pytest.fixture
def client(redis_url: str) -> Client:
    client = redis.Redis.from_url(redis_url)
    client.delete(QUEUE)
    return client


@pytest.fixture
async def wakeup(redis_url: str, client: Client) -> AsyncGenerator[WorkerWakeup]:
    wakeup = WorkerWakeup(redis_url)
    yield wakeup
    wakeup.close()
    client.close()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.005)


async def settled(wakeup: WorkerWakeup) -> None:
    await until(lambda: not wakeup._is_busy)  # pyright: ignore[reportPrivateUsage]


async def test_a_wake_up_is_sent_within_the_call(wakeup: WorkerWakeup, client: Client) -> None:
    wakeup.wake(ENGINE)
    assert client.brpop([QUEUE], timeout=5)  # while the event loop is blocked


async def test_wake_ups_within_a_pause_become_one(wakeup: WorkerWakeup, client: Client) -> None:
    wakeup.wake(ENGINE)
    await until(lambda: client.llen(QUEUE) == 1)
    await settled(wakeup)
    for _ in range(50):
        wakeup.wake(ENGINE)
    await settled(wakeup)
    assert client.llen(QUEUE) == 3  # one at once, and one for all requested meanwhile


async def test_a_wake_up_lost_with_its_connection_is_sent_again(wakeup: WorkerWakeup, client: Client) -> None:
    wakeup.wake(ENGINE)
    await until(lambda: client.llen(QUEUE) == 1)
    await settled(wakeup)
    client.delete(QUEUE)
    client.client_kill_filter(_type="normal", skipme=True)
    wakeup.wake(ENGINE)
    await until(lambda: client.llen(QUEUE) > 0)
    assert client.llen(QUEUE) == 1


async def test_the_script_is_loaded_again_after_redis_forgot_it(wakeup: WorkerWakeup, client: Client) -> None:
    wakeup.wake(ENGINE)
    await until(lambda: client.llen(QUEUE) == 1)
    await settled(wakeup)
    client.script_flush()
    wakeup.wake(ENGINE)
    await until(lambda: client.llen(QUEUE) > 1)
    assert client.llen(QUEUE) == 2


async def test_unread_wake_ups_do_not_pile_up(wakeup: WorkerWakeup, client: Client) -> None:
    for _ in range(40):
        wakeup.wake(ENGINE)
        await settled(wakeup)
    assert client.llen(QUEUE) == 17
    client.delete(QUEUE)  # a worker took them
    wakeup.wake(ENGINE)
    await until(lambda: client.llen(QUEUE) == 1)


async def test_a_redis_that_does_not_respond_blocks_neither_the_caller_nor_later_wake_ups(
    wakeup: WorkerWakeup, client: Client
) -> None:
    client.client_pause(1500)
    began = time.monotonic()
    wakeup.wake(ENGINE)
    assert time.monotonic() - began < 0.5
    client.client_unpause()
    await until(lambda: client.llen(QUEUE) > 0)
