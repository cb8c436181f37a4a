"""Live audio and job notifications: one Redis stream for each attempt, and three pub/sub channels.

All of it may be lost: the database and the object store have everything, a little later. Rules for readers:

* A stream's audio is always a prefix of the stored object (in WAV and FLAC, except for the counts in the
  header). It may stop early, if Redis was out of reach, slow or full, or the audio is longer than a stream
  may be; then the last entry may be missing as well.
* At `complete`, or if the stream is silent and the job's row says completed, a reader with fewer bytes than
  the object reads the rest from the store.
* At `again` another attempt follows, with its own stream. At `cancelled` the worker has lost the attempt: the
  job's row says whether the job was cancelled or another attempt follows.
"""

from collections.abc import Sequence
from typing import Any, Literal, cast
from uuid import UUID

import redis.asyncio
from msgspec import Struct
from redis.backoff import NoBackoff
from redis.client import Pipeline
from redis.retry import Retry

LISTEN = "cv:listen"  # a job's id (hex): a client listens to it from now on
CANCEL = "cv:cancel"  # a job's id (hex): it was cancelled; stop its attempt
DONE = "cv:done"  # `done_message`: a job has ended
_KEEP_S_AFTER_END = 30  # for slow readers; later they read from the store

Ending = Literal["complete", "failed", "again", "cancelled"]


class End(Struct, frozen=True, kw_only=True):
    """The last entry of a stream. `code` if failed; duration and bytes (of the object) if complete."""

    ending: Ending
    code: str = ""
    duration_ms: int = 0
    audio_bytes: int = 0


class Chunk(Struct, frozen=True):
    """Encoded audio. `until_ms`: the audio in the stream up to this chunk's end; None if not reported."""

    audio: bytes
    until_ms: int | None = None


class LiveAttempt(Struct, frozen=True):
    """One attempt whose audio is published live."""

    job: UUID
    attempt: int

    @property
    def key(self) -> str:
        return f"cv:audio:{self.job}:{self.attempt}"


def connect(url: str) -> redis.Redis:
    """A blocking client with short timeouts, since no job waits for its listeners. It never retries, so that
    no entry is written twice.
    """
    once = Retry(NoBackoff(), 0)
    return redis.Redis.from_url(url, socket_timeout=0.5, socket_connect_timeout=0.5, retry=once)


def append(pipeline: Pipeline, live: LiveAttempt, chunk: Chunk, *, keep_s: int, is_first: bool) -> None:
    """Queue an entry of encoded bytes. The first one contains the header and the first audio.

    A stream that Redis has dropped, by age or for lack of memory, is not created again: it would have a gap.
    """
    until = {} if chunk.until_ms is None else {"ms": chunk.until_ms}
    pipeline.xadd(live.key, {"b": chunk.audio, **until}, nomkstream=not is_first)
    pipeline.expire(live.key, keep_s)


def end(pipeline: Pipeline, live: LiveAttempt, end: End) -> None:
    """Queue the last entry, and have the stream expire after half a minute."""
    ending = f"failed:{end.code}" if end.ending == "failed" else end.ending
    pipeline.xadd(live.key, {"end": ending, "duration_ms": end.duration_ms, "bytes": end.audio_bytes})
    pipeline.expire(live.key, _KEEP_S_AFTER_END)


def done_message(job: UUID, state: str) -> str:
    """A message of `DONE`."""
    return f"{job.hex}:{state}"


def read_done(message: bytes) -> tuple[UUID, str] | None:
    """The job and its state in a message of `DONE`; None if it is malformed."""
    text, _, state = message.decode(errors="replace").partition(":")
    job = read_job(text)
    return (job, state) if job else None


def read_job(message: bytes | str) -> UUID | None:
    """The job's id in a message of `LISTEN` or `CANCEL`; None if it is malformed."""
    text = message.decode(errors="replace") if isinstance(message, bytes) else message
    try:
        return UUID(text)
    except ValueError:
        return None


class Reader:
    """Reads one attempt's stream from its first entry on; for one task."""

    def __init__(self, client: "redis.asyncio.Redis", live: LiveAttempt) -> None:
        self._client = client
        self._live = live
        self._after: bytes | str = "0"

    async def next(self, *, wait_ms: int, entries_max: int = 16) -> Sequence[Chunk | End]:
        """The next entries, in order; empty if none arrived in time. Raises redis.RedisError.

        The client's socket timeout must be longer than `wait_ms`.
        """
        found: Any = await self._client.xread({self._live.key: self._after}, count=entries_max, block=wait_ms)
        if not found:
            return []
        [(_, entries)] = found
        self._after = entries[-1][0]
        return [_entry(fields) for _, fields in entries]


def _entry(fields: dict[bytes, bytes]) -> Chunk | End:
    if b"b" in fields:
        return Chunk(fields[b"b"], int(fields[b"ms"]) if b"ms" in fields else None)
    ending, _, code = fields[b"end"].decode().partition(":")
    return End(
        ending=cast("Ending", ending),
        code=code,
        duration_ms=int(fields[b"duration_ms"]),
        audio_bytes=int(fields[b"bytes"]),
    )
