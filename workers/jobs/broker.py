"""Wake-up within milliseconds: a Dramatiq broker whose consumers block in Redis instead of polling."""

import time
from collections.abc import Callable
from typing import Any

import dramatiq
import redis
from dramatiq.brokers.redis import RedisBroker, _RedisConsumer  # pyright: ignore[reportPrivateUsage]
from dramatiq.errors import ConnectionClosed
from dramatiq.middleware import Retries
from redis.backoff import NoBackoff
from redis.retry import Retry

BLOCK_S = 0.4  # also how long an idle worker takes to stop
_FULL_S = 0.05
_CLAIMING_S = 0.002


class BlockingBroker(RedisBroker):
    """Dramatiq's Redis broker with consumers that wait in BLMOVE, and fetch nothing unless `can_claim()`."""

    can_claim: Callable[[], bool] = staticmethod(lambda: True)

    @property
    def consumer_class(self) -> type[_RedisConsumer]:
        return _BlockingConsumer


class _BlockingConsumer(_RedisConsumer):
    def __next__(self) -> Any:
        if self.outstanding_message_count:  # the actor is still claiming
            time.sleep(_CLAIMING_S)
            return None
        if not self.broker.can_claim():  # a waiting message may wake another worker
            time.sleep(_FULL_S)
            return None
        return super().__next__() if self._is_message_waiting() else None

    def _is_message_waiting(self) -> bool:
        """Block until there is one. Moving it onto its own place is a blocking peek: nothing is taken."""
        key = f"{self.broker.namespace}:{self.queue_name}"
        try:
            return self.broker.client.blmove(key, key, BLOCK_S, "LEFT", "LEFT") is not None
        except (redis.ConnectionError, redis.TimeoutError) as error:
            raise ConnectionClosed(error) from None


def broker(url: str) -> BlockingBroker:
    """A broker for one worker. Messages are never retried: the job row owns attempts and leases."""
    # Dramatiq reconnects after a loss; a client that also retries would delay that by half a minute.
    once = Retry(NoBackoff(), 0)
    client = redis.Redis.from_url(url, socket_timeout=2, socket_connect_timeout=1, retry=once)
    return BlockingBroker(client=client, middleware=[Retries(max_retries=0)], dead_message_ttl=60_000)


def consumer(broker: BlockingBroker) -> dramatiq.Worker:
    """Runs the broker's actor in one thread, a message at a time: a second one may wake another worker."""
    worker = dramatiq.Worker(broker, worker_threads=1, worker_timeout=200)
    worker.queue_prefetch = 1
    return worker
