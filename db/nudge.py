"""The one message between the rooms: "this engine has work". Losing it costs only latency."""

import dramatiq
import redis
from dramatiq.brokers.redis import RedisBroker


def queue_name(engine: str) -> str:
    """The Dramatiq queue of an engine."""
    return f"codevoice-{engine}"


def actor_name(engine: str) -> str:
    """The Dramatiq actor that drains an engine's jobs."""
    return f"drain-{engine}"


def connect(url: str) -> "redis.Redis":
    """A Redis client that gives up within a second: nobody waits for a nudge."""
    return redis.Redis.from_url(url, socket_timeout=1, socket_connect_timeout=1)


def producer(url: str) -> RedisBroker:
    """A broker for sending only."""
    return RedisBroker(client=connect(url), middleware=[])


def send(broker: RedisBroker, engine: str) -> None:
    """Nudge the engine's workers. Raises redis.RedisError."""
    broker.enqueue(
        dramatiq.Message(
            queue_name=queue_name(engine), actor_name=actor_name(engine), args=(), kwargs={}, options={}
        )
    )


def unread(broker: RedisBroker, engine: str) -> int:
    """Nudges that no worker has taken yet. Raises redis.RedisError."""
    return int(broker.client.llen(f"{broker.namespace}:{queue_name(engine)}"))
