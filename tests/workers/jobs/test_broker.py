"""Each wake-up runs the actor, which claims; a worker without a free slot leaves it to another."""

import time
from collections.abc import Generator

import pytest
import redis

from db.redis import worker_wakeup
from workers.jobs import actors
from workers.jobs import broker as wake

ENGINE = "lark"
QUEUE = worker_wakeup.queue_name(ENGINE)
KEYS = f"dramatiq:{QUEUE}", f"dramatiq:{QUEUE}.msgs"


class Claims:
    """Counts its claims. `first` is called within the first one."""

    def __init__(self) -> None:
        self.count = 0
        self.is_free = True
        self.first = lambda: None

    def can_claim(self) -> bool:
        return self.is_free

    def claim_available(self) -> None:
        self.count += 1
        if self.count == 1:
            self.first()


@pytest.fixture
def claims() -> Claims:
    return Claims()


@pytest.fixture
def broker(redis_url: str, claims: Claims) -> Generator[wake.BlockingBroker]:
    broker = wake.broker(redis_url)
    broker.client.delete(*KEYS)
    actors.declare(broker, claims, engine=ENGINE, device="cpu")  # type: ignore[arg-type]
    yield broker
    broker.close()


def work(broker: wake.BlockingBroker) -> None:
    """Until every message is acknowledged, then no more."""
    worker = wake.consumer(broker)
    worker.start()
    try:
        broker.join(QUEUE, interval=5, timeout=20_000)
    finally:
        worker.stop()


def test_the_actor_names_its_engine_and_device(broker: wake.BlockingBroker) -> None:
    assert broker.get_actor(worker_wakeup.actor_name(ENGINE)).options == {"engine": ENGINE, "device": "cpu"}


def test_a_wake_up_is_one_claim(broker: wake.BlockingBroker, claims: Claims) -> None:
    worker_wakeup.send_wakeup(broker, ENGINE)
    work(broker)
    assert claims.count == 1


def test_a_wake_up_during_a_claim_causes_another_claim(broker: wake.BlockingBroker, claims: Claims) -> None:
    # The first claim has not seen the job this wake-up is for.
    claims.first = lambda: worker_wakeup.send_wakeup(broker, ENGINE)
    worker_wakeup.send_wakeup(broker, ENGINE)
    work(broker)
    assert claims.count == 2


def test_a_wake_up_stays_for_another_worker_while_this_one_claims(
    broker: wake.BlockingBroker, claims: Claims, redis_url: str
) -> None:
    """The claim may fill the last slots."""
    taken: list[object] = []

    def claim_while_another_message_waits() -> None:
        worker_wakeup.send_wakeup(broker, ENGINE)
        time.sleep(0.1)  # for the consumer, if it fetched it
        with redis.Redis.from_url(redis_url) as client:
            taken.append(client.lpop(KEYS[0]))
            client.hdel(KEYS[1], taken[0])  # type: ignore[arg-type]

    claims.first = claim_while_another_message_waits
    worker_wakeup.send_wakeup(broker, ENGINE)
    work(broker)
    assert taken[0] is not None
    assert claims.count == 1


def test_a_wake_up_stays_for_another_worker_while_this_one_has_no_free_slot(
    broker: wake.BlockingBroker, claims: Claims
) -> None:
    claims.is_free = False
    worker_wakeup.send_wakeup(broker, ENGINE)
    worker = wake.consumer(broker)
    worker.start()
    time.sleep(0.2)
    worker.stop()
    assert (claims.count, worker_wakeup.unread(broker, ENGINE)) == (0, 1)
