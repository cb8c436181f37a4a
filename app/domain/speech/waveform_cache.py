"""A cache of jobs' waveforms: each is measured once, by one thread, for all concurrent requests."""

import asyncio
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from uuid import UUID

from app.domain.errors import Gone, Unavailable
from app.domain.jobs.history import OwnJob
from app.domain.speech.waveform import Unreadable, of_other, of_wav
from app.domain.store_health import store_away
from db.storage.objects import Objects, StoreError

_WAV_BYTES_MAX = 32 << 20
_OTHER_BYTES_MAX = 4 << 20  # read and decoded whole
_WAITING_MAX = 16  # measurements, of which one is running
_ACCOUNT_WAITING_MAX = 4  # of them for one account
_MEASURE_S_MAX = 5.0
_WAIT_S_MAX = 15.0
_KEPT_MAX = 500  # waveforms, of 240 small numbers each


class WaveformCache:
    """Measures the audio of jobs, one at a time, since speech has priority."""

    def __init__(self, store: Objects) -> None:
        self._store = store
        self._one_at_a_time = asyncio.Semaphore(1)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="waveform")
        self._kept: dict[UUID, list[int]] = {}
        self._measuring: dict[UUID, asyncio.Task[list[int]]] = {}
        self._waiting = Counter[UUID]()  # measurements, by account

    async def peaks(self, account: UUID, job: OwnJob) -> list[int]:
        """The peaks of the job's audio, from 0 to 100; empty if it cannot be read, or is too large.

        Raises Gone; Unavailable if the store is out of reach or too many requests wait.
        """
        if (known := self._kept.get(job.id)) is not None:
            return known
        measuring = self._measuring.get(job.id) or self._started(account, job)
        done, _ = await asyncio.wait({measuring}, timeout=_WAIT_S_MAX)
        if not done:
            raise _busy()
        return measuring.result()

    def _started(self, account: UUID, job: OwnJob) -> "asyncio.Task[list[int]]":
        if len(self._measuring) >= _WAITING_MAX or self._waiting[account] >= _ACCOUNT_WAITING_MAX:
            raise _busy()
        self._waiting[account] += 1
        measuring = self._measuring[job.id] = asyncio.create_task(self._measure(job))
        measuring.add_done_callback(lambda ended: self._ended(account, job.id, ended))
        return measuring

    def _ended(self, account: UUID, job: UUID, ended: "asyncio.Task[list[int]]") -> None:
        del self._measuring[job]
        self._waiting[account] -= 1
        if not self._waiting[account]:
            del self._waiting[account]
        if not ended.cancelled() and ended.exception() is None:
            while len(self._kept) >= _KEPT_MAX:
                del self._kept[next(iter(self._kept))]
            self._kept[job] = ended.result()

    async def _measure(self, job: OwnJob) -> list[int]:
        async with self._one_at_a_time:
            try:
                async with asyncio.timeout(_MEASURE_S_MAX):
                    return await self._measured(job)
            except Unreadable:
                return []
            except FileNotFoundError:
                raise Gone("This audio is gone. Generate it anew.") from None
            except (StoreError, TimeoutError) as error:
                raise store_away() from error

    async def _measured(self, job: OwnJob) -> list[int]:
        size, kind = job.audio_bytes or 0, (job.content_type or "audio/wav").partition(";")[0]
        is_wav = kind in ("audio/wav", "audio/x-wav")
        if not 0 < size <= (_WAV_BYTES_MAX if is_wav else _OTHER_BYTES_MAX):
            return []
        chunks = await self._store.read(job.object or "", 0, size)
        if is_wav:
            return await of_wav(chunks, size)
        audio = b"".join([chunk async for chunk in chunks])
        return await asyncio.get_running_loop().run_in_executor(self._thread, of_other, audio)


def _busy() -> Unavailable:
    return Unavailable("Too many waveforms are being measured. Please try again in a moment.")
