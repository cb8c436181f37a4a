"""Nudges leave before the answers they come with, whatever Redis does; none is lost with a connection."""

import asyncio
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
async def nudger(redis_url: str, client: Client) -> AsyncGenerator[WorkerWakeup]:
    nudger = WorkerWakeup(redis_url)
    yield nudger
    nudger.close()
    client.close()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.005)


async def settled(nudger: WorkerWakeup) -> None:
    await until(lambda: not nudger._is_pausing)  # pyright: ignore[reportPrivateUsage]


async def test_a_nudge_is_sent_within_the_call(nudger: WorkerWakeup, client: Client) -> None:
    nudger.wake(ENGINE)  # the first one has to connect
    await until(lambda: client.llen(QUEUE) == 1)
    await settled(nudger)
    client.delete(QUEUE)
    nudger.wake(ENGINE)
    assert client.brpop([QUEUE], timeout=5)  # while the loop stands still


async def test_many_within_a_pause_become_one(nudger: WorkerWakeup, client: Client) -> None:
    nudger.wake(ENGINE)
    await until(lambda: client.llen(QUEUE) == 1)
    await settled(nudger)
    for _ in range(50):
        nudger.wake(ENGINE)
    await settled(nudger)
    assert client.llen(QUEUE) == 3  # one at once, and one for all that came meanwhile


async def test_what_a_lost_connection_swallowed_is_sent_again(nudger: WorkerWakeup, client: Client) -> None:
    nudger.wake(ENGINE)
    await until(lambda: client.llen(QUEUE) == 1)
    await settled(nudger)
    client.delete(QUEUE)
    client.client_kill_filter(_type="normal", skipme=True)
    nudger.wake(ENGINE)
    await until(lambda: client.llen(QUEUE) > 0)
    assert client.llen(QUEUE) == 1


async def test_a_redis_that_forgot_our_script_is_told_again(nudger: WorkerWakeup, client: Client) -> None:
    nudger.wake(ENGINE)
    await until(lambda: client.llen(QUEUE) == 1)
    await settled(nudger)
    client.script_flush()
    nudger.wake(ENGINE)
    await until(lambda: client.llen(QUEUE) > 1)
    assert client.llen(QUEUE) == 2


async def test_nudges_nobody_takes_do_not_pile_up(nudger: WorkerWakeup, client: Client) -> None:
    for _ in range(40):
        nudger.wake(ENGINE)
        await settled(nudger)
    assert 17 <= client.llen(QUEUE) <= 18
    client.delete(QUEUE)  # somebody took them
    nudger.wake(ENGINE)
    await until(lambda: client.llen(QUEUE) == 1)


def test_a_redis_that_does_not_answer_is_not_written_to_for_ever(redis_url: str, client: Client) -> None:
    sender = worker_wakeup.WakeupSender(redis_url)
    sender.open()
    client.client_pause(2000)
    try:
        for _ in range(16):
            sender.send(ENGINE)
        with pytest.raises(redis.TimeoutError):
            sender.send(ENGINE)
        assert not sender.is_open
    finally:
        client.client_unpause()
        client.close()
