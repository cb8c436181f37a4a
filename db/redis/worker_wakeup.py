"""Wake-up messages from the API server to an engine's workers. A lost one costs only latency."""

from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from hashlib import sha1
from typing import Any, cast

import redis
from dramatiq import Message
from dramatiq.brokers.redis import RedisBroker
from redis.backoff import NoBackoff
from redis.retry import Retry

_ANSWERS_MAX = 32  # outstanding: Redis does not read, and a write would soon block
_LUA_STACK = 8000  # Dramatiq queries it, but does not need it to enqueue


def queue_name(engine: str) -> str:
    """The Dramatiq queue of an engine."""
    return f"codevoice-{engine}"


def actor_name(engine: str) -> str:
    """The Dramatiq actor that runs an engine's jobs."""
    return f"drain-{engine}"


def connect(url: str) -> "redis.Redis":
    """A Redis client with a timeout of a second and no retries, since nothing waits for a wake-up."""
    once = Retry(NoBackoff(), 0)
    return redis.Redis.from_url(url, socket_timeout=1, socket_connect_timeout=1, retry=once)


def producer(url: str) -> RedisBroker:
    """A broker for sending only."""
    return RedisBroker(client=connect(url), middleware=[])


def send_wakeup(broker: RedisBroker, engine: str) -> None:
    """Send a wake-up to the engine's workers. Raises redis.RedisError."""
    broker.enqueue(_message(engine))


def _message(engine: str) -> "Message[None]":
    return Message(
        queue_name=queue_name(engine), actor_name=actor_name(engine), args=(), kwargs={}, options={}
    )


class WakeupSender:
    """Sends wake-ups without waiting for Redis: Dramatiq's commands are prepared in advance, written to one
    connection, and their responses read later. For one caller at a time. A failure closes the connection.
    """

    def __init__(self, url: str) -> None:
        # Called from an event loop, which a Redis that stops within a response blocks for this timeout.
        pool = redis.ConnectionPool.from_url(url, socket_timeout=0.25, socket_connect_timeout=1)
        self._connection = cast("Any", pool.make_connection())  # partly untyped
        self._scripts: list[bytes] = []
        self._commands: list[Sequence[str | int | bytes]] = []
        self._ready: dict[str, Sequence[bytes]] = {}  # the packed commands of an engine's next wake-up
        # For each outstanding response, the engine whose messages it counts.
        self._awaited: deque[str | None] = deque()
        self._unread: dict[str, int] = {}
        self._broker = RedisBroker(client=self, middleware=[])

    @property
    def is_open(self) -> bool:
        """Whether the connection is open, as far as is known."""
        return bool(self._connection.is_connected)

    def open(self) -> None:
        """Connect. Blocking. Raises redis.RedisError and OSError."""
        self._awaited.clear()
        self._unread.clear()
        try:
            self._connection.connect()
            for script in self._scripts:
                self._connection.send_command("SCRIPT", "LOAD", script)
                self._connection.read_response()
        except (redis.RedisError, OSError):
            self.close()
            raise

    def close(self) -> None:
        """Drop the connection; `open` makes another."""
        self._connection.disconnect()

    def send(self, engine: str) -> None:
        """Send a wake-up to the engine's workers, and request a count. Raises redis.RedisError."""
        self._write(self._ready.pop(engine, None) or self._packed(engine), None, engine)

    def count(self, engine: str) -> None:
        """Request a count of the wake-ups that no worker has read yet. Raises redis.RedisError."""
        self._write(self._connection.pack_command("LLEN", _queue_key(self._broker, engine)), engine)

    def read_responses(self) -> bool:
        """Read the responses that have arrived, and prepare the next wake-ups; whether none is outstanding.

        Raises redis.RedisError and OSError.
        """
        try:
            while self._awaited and self._connection.can_read(timeout=0):
                answer = self._connection.read_response()
                if (engine := self._awaited.popleft()) is not None:
                    self._unread[engine] = int(answer)
                    self._ready[engine] = self._ready.get(engine) or self._packed(engine)
        except (redis.RedisError, OSError):  # also after Redis has lost a script
            self.close()
            raise
        return not self._awaited

    def unread(self, engine: str) -> int:
        """The last count received."""
        return self._unread.get(engine, 0)

    def register_script(self, script: bytes) -> Callable[..., int]:
        """Register a script. Dramatiq's broker calls this method of its client."""
        self._scripts.append(script)
        return partial(self._call, sha1(script, usedforsecurity=False).hexdigest())

    def _call(self, sha: str, *, keys: Sequence[str] = (), args: Sequence[str | int | bytes] = ()) -> int:
        if keys:
            self._commands.append(("EVALSHA", sha, len(keys), *keys, *args))
        return _LUA_STACK

    def _packed(self, engine: str) -> Sequence[bytes]:
        self._broker.enqueue(_message(engine))
        commands, self._commands = self._commands, []
        counted = (*commands, ("LLEN", _queue_key(self._broker, engine)))
        return self._connection.pack_commands(counted)

    def _write(self, packed: Sequence[bytes], *awaited: str | None) -> None:
        if len(self._awaited) >= _ANSWERS_MAX:
            self.close()
            raise redis.TimeoutError("Redis does not answer")
        self._awaited += awaited
        self._connection.send_packed_command(packed)


def _queue_key(broker: RedisBroker, engine: str) -> str:
    return f"{broker.namespace}:{queue_name(engine)}"
