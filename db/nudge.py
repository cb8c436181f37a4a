"""The one message between the rooms: "this engine has work". Losing it costs only latency."""

import dramatiq
import redis
from dramatiq.brokers.redis import RedisBroker

_PAUSE_MS = (
    1000  # at most one unanswered nudge an engine in this time, so a queue without workers stays short
)


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


def send(broker: RedisBroker, engine: str) -> bool:
    """Nudge the engine's workers, unless a nudge is already under way. Raises redis.RedisError."""
    if not broker.client.set(_flag(engine), 1, nx=True, px=_PAUSE_MS):
        return False
    broker.enqueue(
        dramatiq.Message(
            queue_name=queue_name(engine), actor_name=actor_name(engine), args=(), kwargs={}, options={}
        )
    )
    return True


def taken(broker: RedisBroker, engine: str) -> None:
    """Say that a nudge arrived. To be called before claiming: what is committed later sends its own."""
    broker.client.delete(_flag(engine))


def _flag(engine: str) -> str:
    return f"codevoice:nudged:{engine}"
