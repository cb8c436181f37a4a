"""Wake-up messages from the API server to an engine's workers. A lost one costs only latency."""

from typing import Any, cast

import redis
from dramatiq import Message
from dramatiq.brokers.redis import RedisBroker
from redis.backoff import NoBackoff
from redis.retry import Retry


def queue_name(engine: str) -> str:
    """The Dramatiq queue of an engine."""
    return f"codevoice-{engine}"


def actor_name(engine: str) -> str:
    """The Dramatiq actor that runs an engine's jobs."""
    return f"drain-{engine}"


def connect(url: str) -> "redis.Redis":
    """A Redis client with a timeout of a second and no retries, since nothing waits for a wake-up."""
    return _client(url, retries=0)


def producer(url: str) -> RedisBroker:
    """A broker for sending only, with one retry, for a connection that was lost while idle."""
    return RedisBroker(client=_client(url, retries=1), middleware=[])


def _client(url: str, *, retries: int) -> "redis.Redis":
    retry = Retry(NoBackoff(), retries)
    return redis.Redis.from_url(url, socket_timeout=1, socket_connect_timeout=1, retry=retry)


def send_wakeup(broker: RedisBroker, engine: str) -> None:
    """Send a wake-up to the engine's workers. Raises redis.RedisError."""
    message: Message[None] = Message(
        queue_name=queue_name(engine), actor_name=actor_name(engine), args=(), kwargs={}, options={}
    )
    broker.enqueue(message)


def unread(broker: RedisBroker, engine: str) -> int:
    """How many of the engine's wake-ups no worker has read. Raises redis.RedisError."""
    client = cast("Any", broker.client)  # partly untyped
    return int(client.llen(f"{broker.namespace}:{queue_name(engine)}"))
