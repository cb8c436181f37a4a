"""Reads a job's audio while it is made: from the live stream, and from the store where that stops early.

A stream is always a prefix of the stored object, so the rest is read from the store; but only for the attempt
that was streamed: audio of two attempts is never mixed.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from uuid import UUID

import redis
import structlog

from app.domain.errors import SpeechFailed, Unavailable
from app.domain.jobs.notifications import JobNotifications
from app.domain.speech.outcomes import failure
from app.domain.speech.service import SpeechService
from app.domain.store_health import store_away
from db.redis.live_audio import Chunk, End, LiveAttempt, Reader
from db.storage.objects import Objects, StoreError
from db.types import JobStatus

_POLL_S = 1.0
_AWAY_S = 3.0  # a read that takes longer has failed
_GRACE_S = 0.05  # an entry may arrive just after its job's notification
_ENTRIES_MAX = 16  # of a stream, held at once
_UNKNOWN_MS = 2**40  # delivered, of a worker that does not report it: the whole price


class LiveStreamReader:
    """Reads the audio of one job, from an attempt on, for one client."""

    def __init__(
        self, signals: JobNotifications, speech: SpeechService, store: Objects, job: UUID, *, attempt: int = 1
    ) -> None:
        self._signals = signals
        self._speech = speech
        self._store = store
        self._job = job
        self._delivered_bytes = 0
        self._is_recorded = False  # the database knows that this attempt is being delivered
        self._is_metered = False  # the price depends on how much is delivered
        self._made: JobStatus | None = None  # once it has completed
        self._switch_to(max(1, attempt))

    async def chunks(self) -> AsyncIterator[bytes]:
        """The audio to its end, never truncated: any failure is raised as a domain error, at any point.

        Delivery is recorded in the database before the audio is yielded.
        """
        with self._signals.waiting(self._job) as notified:
            while not self._is_whole():
                entries = await self._next(notified)
                for entry in entries:
                    if isinstance(entry, End):
                        self._end = entry
                    elif not await self._record_delivery(entry):
                        self._end = End(ending="again")
                        break
                    else:
                        self._delivered_bytes += len(entry.audio)
                        yield entry.audio
                if (self._end is not None or not entries) and await self._has_ended():
                    break
        async for chunk in self._rest():
            yield chunk

    def _switch_to(self, attempt: int) -> None:
        if self._delivered_bytes:
            raise SpeechFailed("made_anew")
        self._attempt = attempt
        self._reader = Reader(self._signals.redis, LiveAttempt(self._job, attempt))
        self._end: End | None = None

    async def _record_delivery(self, chunk: Chunk) -> bool:
        """Record the delivery of a chunk beforehand; false if another attempt took over. Raises `failure`."""
        if self._is_recorded and not self._is_metered:
            return True
        given_ms = _UNKNOWN_MS if chunk.until_ms is None else max(1, chunk.until_ms)
        answer = await self._speech.record_delivery(self._job, attempt=self._attempt, given_ms=given_ms)
        if answer == "superseded":
            return False
        if answer not in ("heard", "metered", "completed"):
            raise failure(await self._speech.status(str(self._job)))
        self._is_recorded, self._is_metered = True, answer == "metered"
        return True

    def _is_whole(self) -> bool:
        end = self._end
        return end is not None and end.ending == "complete" and end.audio_bytes == self._delivered_bytes

    async def _next(self, notified: asyncio.Event) -> Sequence[Chunk | End]:
        """The next entries; none after a second without any, after the stream's end, or without Redis."""
        if self._end is None:
            try:
                async with asyncio.timeout(_AWAY_S):
                    found = await self._read(notified)
            except (redis.RedisError, OSError) as error:
                structlog.get_logger().warning("live_audio_away", reason=type(error).__name__)
            else:
                self._signals.check_open()
                return found
        await self._signals.pause(notified, _POLL_S)
        notified.clear()
        return ()

    async def _read(self, notified: asyncio.Event) -> Sequence[Chunk | End]:
        """The next entries. Before the first, a notification ends the wait: the stream may have none."""
        entries = self._reader.next(wait_ms=int(_POLL_S * 1000), entries_max=_ENTRIES_MAX)
        if self._delivered_bytes:
            return await entries
        reading, notification = asyncio.ensure_future(entries), asyncio.ensure_future(notified.wait())
        try:
            await asyncio.wait((reading, notification), return_when=asyncio.FIRST_COMPLETED)
            if not reading.done():
                notified.clear()
                await asyncio.wait((reading,), timeout=_GRACE_S)
            return reading.result() if reading.done() else ()
        finally:
            reading.cancel()
            notification.cancel()
            await asyncio.gather(reading, notification, return_exceptions=True)

    async def _has_ended(self) -> bool:
        """Whether the job has completed; else switch to the next attempt, if there is one."""
        if self._is_whole():
            return True
        try:
            job = await self._speech.status(str(self._job))
        except Unavailable:
            return False
        if job.state not in ("queued", "processing", "completed"):
            raise failure(job)
        if job.attempt > self._attempt:
            self._switch_to(job.attempt)
        elif self._end is not None and self._end.ending == "again":
            self._switch_to(self._attempt + 1)
        self._made = job if job.state == "completed" else None
        return self._made is not None

    async def _rest(self) -> AsyncIterator[bytes]:
        """The rest of the audio, from the store."""
        job = self._made
        if job is None or self._delivered_bytes == job.audio_bytes:
            return
        if job.object is None or job.audio_gone or self._delivered_bytes > (job.audio_bytes or 0):
            raise SpeechFailed("audio_gone")
        try:
            async for chunk in await self._store.read(
                job.object, self._delivered_bytes, job.audio_bytes or 0
            ):
                yield chunk
        except FileNotFoundError:
            raise SpeechFailed("audio_gone") from None
        except StoreError as error:
            raise store_away() from error
