"""The control channel to all workers: a listener has joined a job, or a job is cancelled. A lost notification
costs little: the job's row has its listeners too, and a cancelled attempt ends when its lease cannot be
renewed.
"""

import threading
import time
from typing import Any

import redis
import structlog

from db import supervised
from db.redis.live_audio import CANCEL, LISTEN, read_job
from workers.jobs.held import HeldJobs

log = structlog.get_logger()
_POLL_S = 0.5  # also the maximum delay of a stop
_AWAY_S = 1.0
_PING_S = 1.0
_SILENT_S = 5.0  # a subscription without an answer to a ping for so long is renewed


class ControlChannel:
    """A thread subscribed to both channels; it reconnects after Redis was lost."""

    def __init__(self, client: redis.Redis, rows: HeldJobs) -> None:
        self._client = client
        self._rows = rows
        self._stopping = threading.Event()
        self._thread = supervised.thread("calls", self._listen, self._stopping)

    def start(self) -> None:
        """Start listening."""
        self._thread.start()

    def stop(self) -> None:
        """Stop listening."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(2 * _POLL_S)
        self._client.close()

    def _listen(self) -> None:
        try:
            self._receive()
        except (redis.RedisError, OSError) as error:
            log.warning("calls_not_heard", error=type(error).__name__)
            self._stopping.wait(_AWAY_S)

    def _receive(self) -> None:
        """Receive until stopped. Pings detect a Redis that is frozen or unreachable without an error."""
        with self._client.pubsub(ignore_subscribe_messages=True) as channels:
            channels.subscribe(LISTEN, CANCEL)
            received_at = pinged_at = time.monotonic()
            while not self._stopping.is_set():
                if (now := time.monotonic()) - received_at > _SILENT_S:
                    raise redis.TimeoutError("Redis does not answer")
                if now - pinged_at >= _PING_S:
                    channels.ping()
                    pinged_at = now
                message: Any = channels.get_message(timeout=_POLL_S)
                if message:
                    received_at = time.monotonic()
                if message and message["type"] == "message":
                    self._dispatch(message["channel"].decode(), message["data"])

    def _dispatch(self, channel: str, message: bytes) -> None:
        job = read_job(message)
        if job and channel == CANCEL:
            self._rows.lose(self._rows.attempts(job))
        elif job:
            self._rows.add_listener(job)
