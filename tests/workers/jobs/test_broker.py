"""A wake-up is handled once: when it is received, or else by its actor."""

import threading
from collections.abc import Generator

import dramatiq
import pytest
import redis

from db.redis import worker_wakeup
from workers.jobs import actors
from workers.jobs import broker as wake

ENGINE = "lark"
QUEUE = worker_wakeup.queue_name(ENGINE)
KEYS = f"dramatiq:{QUEUE}", f"dramatiq:{QUEUE}.msgs"


class Runner:
    """Counts. `first` is called within the first drain."""

    def __init__(self) -> None:
        self.drains = 0
        self.drained = threading.Event()
        self.first = lambda: None

    def can_claim(self) -> bool:
        return True

    def claim_available(self) -> None:
        self.drains += 1
        if self.drains == 1:
            self.first()
        self.drained.set()


@pytest.fixture
def runner() -> Runner:
    return Runner()


@pytest.fixture
def broker(redis_url: str, runner: Runner) -> Generator[wake.BlockingBroker]:
    broker = wake.broker(redis_url)
    broker.client.delete(*KEYS)
    actors.declare(broker, ENGINE, runner)  # type: ignore[arg-type]
    yield broker
    broker.close()


def work(broker: wake.BlockingBroker) -> None:
    """Until every message is acknowledged, then no more."""
    worker = dramatiq.Worker(broker, worker_threads=1, worker_timeout=20)
    worker.start()
    try:
        broker.join(QUEUE, interval=5, timeout=20_000)
    finally:
        worker.stop()


def test_the_actor_does_not_claim_again_for_a_wake_up_already_seen(
    broker: wake.BlockingBroker, runner: Runner
) -> None:
    worker_wakeup.send_wakeup(broker, ENGINE)
    work(broker)
    assert runner.drains == 1


def test_a_wake_up_during_a_claim_causes_another_claim(broker: wake.BlockingBroker, runner: Runner) -> None:
    # The first drain has not seen the job this wake-up is for.
    runner.first = lambda: worker_wakeup.send_wakeup(broker, ENGINE)
    worker_wakeup.send_wakeup(broker, ENGINE)
    work(broker)
    assert runner.drains == 2


def test_a_wake_up_taken_by_another_worker_suppresses_no_later_one(
    broker: wake.BlockingBroker, runner: Runner, redis_url: str
) -> None:
    def take_and_send() -> None:
        worker_wakeup.send_wakeup(broker, ENGINE)
        queue, messages = KEYS
        with redis.Redis.from_url(redis_url) as client:
            client.hdel(messages, client.lpop(queue))  # type: ignore[arg-type]

    runner.first = take_and_send
    worker_wakeup.send_wakeup(broker, ENGINE)
    work(broker)
    assert runner.drains == 2
