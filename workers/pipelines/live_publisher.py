"""Publishes live audio and job events to Redis from one thread that blocks nobody; a loss only delays."""

import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from uuid import UUID

import redis
import structlog
from msgspec import Struct

from db import supervised
from db.redis.live_audio import DONE, Chunk, End, LiveAttempt, append, done_message, end
from db.types import Finished
from workers.jobs.held import Attempt

log = structlog.get_logger()
_ENTRY_BYTES_MAX = 256 << 10
_AWAY_S = 1.0  # after a failure, for which nothing is tried and nothing kept
_STOP_S_MAX = 1.0
_LAST = frozenset({"completed", "failed", "expired"})


class _Out(Struct, eq=False):
    """One stream's pending writes. `over`: takes no more audio, since some is missing or too much."""

    waiting: bytearray
    audio_bytes: int = 0
    audio_ms: int = 0
    over: bool = False
    end: End | None = None


class _Part(Struct, frozen=True):
    live: LiveAttempt
    chunk: Chunk
    is_first: bool
    end: End | None


class LiveAudioPublisher:
    """Takes data from any thread without blocking. While one Redis pipeline runs, the next is collected."""

    def __init__(self, client: redis.Redis, *, keep_s: int, audio_bytes_max: int) -> None:
        self._client = client
        self._keep_s = keep_s
        self._bytes_max = audio_bytes_max
        self._lock = threading.Lock()
        self._outs: dict[LiveAttempt, _Out] = {}
        self._done: list[str] = []
        self._away_until = 0.0
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._thread = supervised.thread("airing", self._write, self._stopping)

    def start(self) -> None:
        """Start publishing."""
        self._thread.start()

    def stop(self) -> None:
        """Write what is pending, if Redis accepts it at once, and end."""
        self._stopping.set()
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(_STOP_S_MAX)
        if not self._thread.is_alive():
            self._write_all()  # what came after its last pass
        self._client.close()

    def audio(self, live: LiveAttempt, new: bytes, until_ms: int) -> None:
        """Add the next bytes of a stream, up to that much sound; ignored if earlier bytes were lost."""
        with self._lock:
            out = self._outs.setdefault(live, _Out(bytearray()))
            out.over = out.over or out.audio_bytes + len(new) > self._bytes_max
            if out.over:
                return
            out.audio_bytes += len(new)
            out.audio_ms = until_ms
            out.waiting += new
        self._wake.set()

    def ended(
        self, ends: Sequence[Finished], results: Mapping[Attempt, str], live: AbstractSet[Attempt]
    ) -> None:
        """End the live streams of these attempts, whose ends are committed, and notify their waiters."""
        with self._lock:
            for each in ends:
                attempt = each.id, each.attempt
                if attempt in live:
                    out = self._outs.setdefault(LiveAttempt(*attempt), _Out(bytearray()))
                    out.end = _ending(each, results[attempt])
        self.done((each.id, results[each.id, each.attempt]) for each in ends)

    def done(self, jobs: Iterable[tuple[UUID, str]]) -> None:
        """Notify the waiters of these jobs whose state is final."""
        news = [done_message(job, state) for job, state in jobs if state in _LAST]
        with self._lock:
            self._done += news
        self._wake.set()

    def forget(self, attempts: Iterable[Attempt]) -> None:
        """Drop the streams of attempts whose ends could not be written: they will have no end."""
        with self._lock:
            for attempt in attempts:
                out = self._outs.get(LiveAttempt(*attempt))
                if out and out.end is None:
                    del self._outs[LiveAttempt(*attempt)]

    def _write(self) -> None:
        self._wake.wait()
        self._wake.clear()
        self._write_all()

    def _write_all(self) -> None:
        while (batch := self._batch()) is not None:
            self._send(*batch)

    def _batch(self) -> tuple[list[_Part], list[str]] | None:
        with self._lock:
            done, self._done = self._done, []
            parts = [self._part(live, out) for live, out in self._outs.items() if out.waiting or out.end]
            for part in parts:
                if part.end:
                    del self._outs[part.live]
        return (parts, done) if parts or done else None

    def _part(self, live: LiveAttempt, out: _Out) -> _Part:
        is_first = len(out.waiting) == out.audio_bytes
        audio = bytes(out.waiting[:_ENTRY_BYTES_MAX])
        del out.waiting[:_ENTRY_BYTES_MAX]
        written = out.audio_bytes - len(out.waiting)
        until_ms = round(out.audio_ms * written / out.audio_bytes) if out.audio_bytes else 0
        return _Part(live, Chunk(audio, until_ms), is_first, None if out.waiting else out.end)

    def _send(self, parts: Sequence[_Part], done: Sequence[str]) -> None:
        if time.monotonic() < self._away_until:
            self._give_up(parts)
            return
        try:
            with self._client.pipeline(transaction=False) as pipeline:
                for part in parts:
                    if part.chunk.audio:
                        append(pipeline, part.live, part.chunk, keep_s=self._keep_s, is_first=part.is_first)
                    if part.end:
                        end(pipeline, part.live, part.end)
                for message in done:
                    pipeline.publish(DONE, message)
                pipeline.execute()
        except (redis.RedisError, OSError) as error:
            log.warning("live_audio_lost", streams=len(parts), error=type(error).__name__)
            self._away_until = time.monotonic() + _AWAY_S
            self._give_up(parts)
        except BaseException:  # a bug of ours: these streams end as if Redis had been unreachable
            self._give_up(parts)
            raise

    def _give_up(self, parts: Sequence[_Part]) -> None:
        """Whether a part was written is unknown: nothing may follow it, so that no stream has a gap."""
        with self._lock:
            for part in parts:
                if out := self._outs.get(part.live):
                    out.over = True
                    out.waiting.clear()


def _ending(finished: Finished, result: str) -> End:
    match result:
        case "completed":
            return End(
                ending="complete",
                duration_ms=finished.duration_ms or 0,
                audio_bytes=finished.audio_bytes or 0,
            )
        case "failed":
            return End(ending="failed", code=finished.code or "failed")
        case "queued":
            return End(ending="again")
        case _:
            return End(ending="cancelled")
