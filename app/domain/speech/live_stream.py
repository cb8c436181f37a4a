"""The audio of a job while it is made: from the live stream, and from the store where that stops early.

A stream is always a beginning of the stored object, so the store goes on where it stopped; but only of the
attempt that was listened to: two attempts are never mixed.
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
from db.redis.live_audio import Chunk, End, Live, Reader
from db.storage.objects import Objects, StoreError
from db.types import JobStatus

_LOOK_S = 1.0
_AWAY_S = 3.0  # a read that takes longer is lost
_GRACE_S = 0.05  # an entry may be on its way when its job is heard of
_ENTRIES_MAX = 16  # of a stream, held at once
_UNKNOWN_MS = 2**40  # given by a worker that does not say how much it is: the whole price


class LiveStreamReader:
    """Follows one job from an attempt on, for one reader."""

    def __init__(
        self, signals: JobNotifications, speech: SpeechService, store: Objects, job: UUID, *, attempt: int = 1
    ) -> None:
        self._signals = signals
        self._speech = speech
        self._store = store
        self._job = job
        self._given_bytes = 0
        self._is_noted = False  # in the record: this attempt is being listened to
        self._is_metered = False  # its price depends on how much is given
        self._made: JobStatus | None = None  # once it has ended well
        self._turn_to(max(1, attempt))

    async def chunks(self) -> AsyncIterator[bytes]:
        """The audio to its end, never short: whatever prevents that is raised as a refusal, at any point.

        What is given is in the record before it is given.
        """
        with self._signals.waiting(self._job) as heard:
            while not self._is_whole():
                entries = await self._next(heard)
                for entry in entries:
                    if isinstance(entry, End):
                        self._end = entry
                    elif not await self._note(entry):
                        self._end = End(ending="again")
                        break
                    else:
                        self._given_bytes += len(entry.audio)
                        yield entry.audio
                if (self._end is not None or not entries) and await self._has_ended():
                    break
        async for chunk in self._rest():
            yield chunk

    def _turn_to(self, attempt: int) -> None:
        if self._given_bytes:
            raise SpeechFailed("made_anew")
        self._attempt = attempt
        self._reader = Reader(self._signals.redis, Live(self._job, attempt))
        self._end: End | None = None

    async def _note(self, chunk: Chunk) -> bool:
        """Record what is about to be given; false where another attempt has taken over. Raises `failure`."""
        if self._is_noted and not self._is_metered:
            return True
        given_ms = _UNKNOWN_MS if chunk.until_ms is None else max(1, chunk.until_ms)
        answer = await self._speech.hear(self._job, attempt=self._attempt, given_ms=given_ms)
        if answer == "superseded":
            return False
        if answer not in ("heard", "metered", "completed"):
            raise failure(await self._speech.status(str(self._job)))
        self._is_noted, self._is_metered = True, answer == "metered"
        return True

    def _is_whole(self) -> bool:
        end = self._end
        return end is not None and end.ending == "complete" and end.audio_bytes == self._given_bytes

    async def _next(self, heard: asyncio.Event) -> Sequence[Chunk | End]:
        """What has come since; nothing after a second, or where nothing comes this way any more."""
        if self._end is None:
            try:
                async with asyncio.timeout(_AWAY_S):
                    found = await self._read(heard)
            except (redis.RedisError, OSError) as error:
                structlog.get_logger().warning("live_audio_away", reason=type(error).__name__)
            else:
                self._signals.check_open()
                return found
        await self._signals.pause(heard, _LOOK_S)
        heard.clear()
        return ()

    async def _read(self, heard: asyncio.Event) -> Sequence[Chunk | End]:
        """The stream's next entries. Before its first, to hear of the job ends the wait: it may have none."""
        entries = self._reader.next(wait_ms=int(_LOOK_S * 1000), entries_max=_ENTRIES_MAX)
        if self._given_bytes:
            return await entries
        reading, hearing = asyncio.ensure_future(entries), asyncio.ensure_future(heard.wait())
        try:
            await asyncio.wait((reading, hearing), return_when=asyncio.FIRST_COMPLETED)
            if not reading.done():
                heard.clear()
                await asyncio.wait((reading,), timeout=_GRACE_S)
            return reading.result() if reading.done() else ()
        finally:
            reading.cancel()
            hearing.cancel()
            await asyncio.gather(reading, hearing, return_exceptions=True)

    async def _has_ended(self) -> bool:
        """Whether the job has ended well; else the next attempt is turned to where there is one."""
        if self._is_whole():
            return True
        try:
            job = await self._speech.status(str(self._job))
        except Unavailable:
            return False
        if job.state not in ("queued", "processing", "completed"):
            raise failure(job)
        if job.attempt > self._attempt:
            self._turn_to(job.attempt)
        elif self._end is not None and self._end.ending == "again":
            self._turn_to(self._attempt + 1)
        self._made = job if job.state == "completed" else None
        return self._made is not None

    async def _rest(self) -> AsyncIterator[bytes]:
        """What the stream did not have."""
        job = self._made
        if job is None or self._given_bytes == job.audio_bytes:
            return
        if job.object is None or job.audio_gone or self._given_bytes > (job.audio_bytes or 0):
            raise SpeechFailed("audio_gone")
        try:
            async for chunk in await self._store.read(job.object, self._given_bytes, job.audio_bytes or 0):
                yield chunk
        except FileNotFoundError:
            raise SpeechFailed("audio_gone") from None
        except StoreError as error:
            raise store_away() from error
