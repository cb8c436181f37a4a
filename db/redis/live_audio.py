"""Live audio and what is said aloud between the rooms: one Redis stream for an attempt, three fixed channels.

All of it may be lost: the record and the store have everything, a little later. The rules a reader keeps:

* What a stream gives is always a beginning of the stored object (in WAV and FLAC, but for its header's
  counts): it may stop early, where Redis was away, slow or full, or the audio is longer than a stream may be.
  Its end may then be missing as well.
* At `complete`, or where the stream is silent and the row says completed, whoever has fewer bytes than the
  object reads the rest from the store, from where they are.
* At `again` another attempt follows, with a stream of its own. At `cancelled` the attempt is no longer its
  worker's: the row says whether the job was cancelled or another attempt follows.
"""

from collections.abc import Sequence
from typing import Any, Literal, cast
from uuid import UUID

import redis.asyncio
from msgspec import Struct
from redis.backoff import NoBackoff
from redis.client import Pipeline
from redis.retry import Retry

LISTEN = "cv:listen"  # a job's id (hex): somebody listens to it from now on
CANCEL = "cv:cancel"  # a job's id (hex): it was cancelled; stop its attempt
DONE = "cv:done"  # `done_message`: a job is in its last state
_KEEP_S_AFTER_END = 30  # for those who read slowly; then they go to the store

Ending = Literal["complete", "failed", "again", "cancelled"]


class End(Struct, frozen=True, kw_only=True):
    """The last entry of a stream. `code` where failed; duration and bytes (of the object) where complete."""

    ending: Ending
    code: str = ""
    duration_ms: int = 0
    audio_bytes: int = 0


class Chunk(Struct, frozen=True):
    """Encoded audio. `until_ms`: the sound in the stream up to its end; None where its writer did not say."""

    audio: bytes
    until_ms: int | None = None


class Live(Struct, frozen=True):
    """One attempt whose audio goes out live."""

    job: UUID
    attempt: int

    @property
    def key(self) -> str:
        return f"cv:audio:{self.job}:{self.attempt}"


def connect(url: str) -> redis.Redis:
    """A blocking client that gives up soon: no job waits for its listeners. Never tries again by itself,
    so that no entry is written twice.
    """
    once = Retry(NoBackoff(), 0)
    return redis.Redis.from_url(url, socket_timeout=0.5, socket_connect_timeout=0.5, retry=once)


def append(pipeline: Pipeline, live: Live, chunk: Chunk, *, keep_s: int, is_first: bool) -> None:
    """Queue an entry of encoded bytes. The first one holds the header and the first sound.

    What Redis has dropped, for its age or for want of memory, is not begun anew: it would have a hole.
    """
    until = {} if chunk.until_ms is None else {"ms": chunk.until_ms}
    pipeline.xadd(live.key, {"b": chunk.audio, **until}, nomkstream=not is_first)
    pipeline.expire(live.key, keep_s)


def end(pipeline: Pipeline, live: Live, end: End) -> None:
    """Queue the last entry. A reader who never came finds it for half a minute."""
    ending = f"failed:{end.code}" if end.ending == "failed" else end.ending
    pipeline.xadd(live.key, {"end": ending, "duration_ms": end.duration_ms, "bytes": end.audio_bytes})
    pipeline.expire(live.key, _KEEP_S_AFTER_END)


def done_message(job: UUID, state: str) -> str:
    """What `DONE` carries."""
    return f"{job.hex}:{state}"


def read_done(message: bytes) -> tuple[UUID, str] | None:
    """The job and the state in a message; None where it is not one."""
    text, _, state = message.decode(errors="replace").partition(":")
    job = read_job(text)
    return (job, state) if job else None


def read_job(message: bytes | str) -> UUID | None:
    """The job's id in a message of `LISTEN` or `CANCEL`; None where it is not one."""
    text = message.decode(errors="replace") if isinstance(message, bytes) else message
    try:
        return UUID(text)
    except ValueError:
        return None


class Reader:
    """Reads one attempt's stream from its first entry on; for one task."""

    def __init__(self, client: "redis.asyncio.Redis", live: Live) -> None:
        self._client = client
        self._live = live
        self._after: bytes | str = "0"

    async def next(self, *, wait_ms: int, entries_max: int = 16) -> Sequence[Chunk | End]:
        """What has come since, in order; empty where nothing came in time. Raises redis.RedisError.

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
