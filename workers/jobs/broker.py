"""Wake-up within milliseconds: a Dramatiq broker whose consumers block in Redis instead of polling."""

import time
from collections.abc import Callable
from typing import Any

import redis
from dramatiq.brokers.redis import RedisBroker, _RedisConsumer  # pyright: ignore[reportPrivateUsage]
from dramatiq.errors import ConnectionClosed
from dramatiq.middleware import Retries
from redis.backoff import NoBackoff
from redis.retry import Retry

BLOCK_S = 0.4  # also how long an idle worker takes to stop
SEEN = "seen"  # an argument of the actor
_FULL_S = 0.05


def _ignore() -> None: ...


class BlockingBroker(RedisBroker):
    """Dramatiq's Redis broker with consumers that wait in BLMOVE, and take nothing while there is no room.

    `woken` is called as soon as a message is there, since fetching and dispatching it takes a millisecond,
    and its only content is that there is work. Its actor is passed `SEEN` and need not claim again.
    """

    can_claim: Callable[[], bool] = staticmethod(lambda: True)
    woken: Callable[[], None] = staticmethod(_ignore)

    @property
    def consumer_class(self) -> type[_RedisConsumer]:
        return _BlockingConsumer


class _BlockingConsumer(_RedisConsumer):
    def __next__(self) -> Any:
        if not self.message_cache and self.outstanding_message_count < self.prefetch:
            if not self.broker.can_claim():  # a waiting message may wake another worker
                time.sleep(_FULL_S)
                return None
            if not (seen := self._first()):
                return None
            self.broker.woken()
            self.misses = 0
            message = super().__next__()
            if message is not None and message.options["redis_message_id"].encode() == seen:
                message.kwargs[SEEN] = True
            return message
        return super().__next__()

    def _first(self) -> bytes | None:
        """The id of the first message. Moving it onto its own place is a blocking peek: nothing is taken."""
        key = f"{self.broker.namespace}:{self.queue_name}"
        try:
            return self.broker.client.blmove(key, key, BLOCK_S, "LEFT", "LEFT")
        except (redis.ConnectionError, redis.TimeoutError) as error:
            raise ConnectionClosed(error) from None


def broker(url: str) -> BlockingBroker:
    """A broker for one worker. Messages are never retried: the job row owns attempts and leases."""
    # Dramatiq reconnects after a loss; a client that also retries would delay that by half a minute.
    once = Retry(NoBackoff(), 0)
    client = redis.Redis.from_url(url, socket_timeout=2, socket_connect_timeout=1, retry=once)
    return BlockingBroker(client=client, middleware=[Retries(max_retries=0)], dead_message_ttl=60_000)
