"""What is called to every worker: somebody listens to a job, a job is cancelled. Missed calls cost little:
the row says who listens, and a lease that cannot be renewed ends a cancelled attempt too.
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
_LOOK_S = 0.5  # also how long it may take to stop
_AWAY_S = 1.0
_PING_S = 1.0
_SILENT_S = 5.0  # a subscription that brings no answer to a ping for so long is made anew


class ControlChannel:
    """A thread that hears the two channels, for as long as it takes to find Redis again."""

    def __init__(self, client: redis.Redis, rows: HeldJobs) -> None:
        self._client = client
        self._rows = rows
        self._stopping = threading.Event()
        self._thread = supervised.thread("calls", self._listen, self._stopping)

    def start(self) -> None:
        """Begin to hear."""
        self._thread.start()

    def stop(self) -> None:
        """Hear no more."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(2 * _LOOK_S)
        self._client.close()

    def _listen(self) -> None:
        try:
            self._hear()
        except (redis.RedisError, OSError) as error:
            log.warning("calls_not_heard", error=type(error).__name__)
            self._stopping.wait(_AWAY_S)

    def _hear(self) -> None:
        """Until told to stop. A Redis that is frozen, or gone without a word, is asked in vain."""
        with self._client.pubsub(ignore_subscribe_messages=True) as channels:
            channels.subscribe(LISTEN, CANCEL)
            heard_at = asked_at = time.monotonic()
            while not self._stopping.is_set():
                if (now := time.monotonic()) - heard_at > _SILENT_S:
                    raise redis.TimeoutError("Redis does not answer")
                if now - asked_at >= _PING_S:
                    channels.ping()
                    asked_at = now
                message: Any = channels.get_message(timeout=_LOOK_S)
                if message:
                    heard_at = time.monotonic()
                if message and message["type"] == "message":
                    self._heard(message["channel"].decode(), message["data"])

    def _heard(self, channel: str, message: bytes) -> None:
        job = read_job(message)
        if job and channel == CANCEL:
            self._rows.lose(self._rows.attempts(job))
        elif job:
            self._rows.listened(job)
