"""Waveforms: their content, and that a caller who requests many does not starve others."""

import asyncio
import gc
import io
import tracemalloc
import uuid
from array import array
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

import pytest
from obstore.store import LocalStore

from app.domain.errors import Gone, Unavailable
from app.domain.jobs.history import OwnJob
from app.domain.speech import waveform
from app.domain.speech.waveform import Unreadable, of_other, of_wav
from app.domain.speech.waveform_cache import WaveformCache
from db.storage.objects import Objects
from tests.sounds import encoded, wav

_RAMP = array(
    "h", [n * 32_000 // 100_000 * (-1) ** (n // 20) for n in range(100_000)]
).tobytes()  # louder and louder


class Store(Objects):
    """A folder that counts reads, and returns only when released."""

    def __init__(self, folder: Path) -> None:
        super().__init__(LocalStore(str(folder)), folder)
        self.reads = list[str]()
        self.at_once = self.at_once_most = 0
        self.is_let = asyncio.Event()
        self.is_let.set()

    async def read(self, key: str, start: int, end: int) -> AsyncIterator[bytes]:
        self.reads.append(key)
        self.at_once += 1
        self.at_once_most = max(self.at_once_most, self.at_once)
        await self.is_let.wait()
        chunks = await super().read(key, start, end)
        self.at_once -= 1
        return chunks


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path)


def job(store: Store, audio: bytes, content_type: str = "audio/wav") -> OwnJob:
    """A completed job with that audio in the store."""
    identifier = uuid.uuid4()
    store.put(f"audio/{identifier}", io.BytesIO(audio))
    return OwnJob(
        id=identifier,
        owner=uuid.uuid4(),
        kind="speech",
        engine="parrot",
        voice=None,
        voice_used=None,
        voice_reason=None,
        language=None,
        format="wav",
        state="completed",
        code=None,
        text=None,
        characters=1,
        duration_ms=1,
        micro=1,
        spent=1,
        refunded=0,
        created_at=datetime.now(UTC),
        started_at=None,
        finished_at=datetime.now(UTC),
        has_audio=True,
        has_transcript=False,
        object=f"audio/{identifier}",
        content_type=content_type,
        audio_bytes=len(audio),
    )


async def in_chunks(audio: bytes, size: int) -> AsyncIterator[bytes]:
    for start in range(0, len(audio), size):
        yield audio[start : start + size]


@pytest.mark.parametrize("chunk", [101, 4096, 1 << 20])
@pytest.mark.parametrize("seconds", [1, 20])
async def test_a_waveform_grows_with_the_loudness_however_its_chunks_come(chunk: int, seconds: int) -> None:
    audio = wav(b"".join(_RAMP[n : n + 2] * seconds for n in range(0, len(_RAMP), 2)))

    found = await of_wav(in_chunks(audio, chunk), len(audio))

    assert len(found) == waveform.PEAKS
    assert all(before <= after for before, after in pairwise(found))
    assert (found[0], found[-1]) == (0, 98)


async def test_no_samples_are_no_peaks() -> None:
    assert await of_wav(in_chunks(wav(b""), 4096), 44) == []
    for broken in (b"", b"RIFF", wav(_RAMP, bits=8)):
        with pytest.raises(Unreadable):
            await of_wav(in_chunks(broken, 4096), len(broken))


def test_compressed_audio_is_measured_for_a_bounded_time(monkeypatch: pytest.MonkeyPatch) -> None:
    mp3 = encoded(_RAMP, "mp3")

    found = of_other(mp3)
    monkeypatch.setattr(waveform, "_DECODE_S_MAX", 0.0)

    assert len(found) == waveform.PEAKS
    assert found[20] < found[120] < found[220]
    with pytest.raises(Unreadable):
        of_other(mp3)


async def test_however_many_ask_for_a_job_it_is_read_once(store: Store) -> None:
    waveforms, the_job, account = WaveformCache(store), job(store, wav(_RAMP)), uuid.uuid4()

    together = await asyncio.gather(*[waveforms.peaks(account, the_job) for _ in range(24)])
    later = await waveforms.peaks(account, the_job)

    assert all(found == later for found in together)
    assert (len(later), store.reads) == (waveform.PEAKS, [the_job.object])


async def test_one_job_is_measured_at_a_time_and_more_than_can_wait_are_refused(store: Store) -> None:
    waveforms, jobs = WaveformCache(store), [job(store, wav(_RAMP)) for _ in range(24)]
    greedy, others = uuid.uuid4(), [uuid.uuid4() for _ in range(3)]
    store.is_let.clear()

    owners = [greedy] * 8 + [other for other in others for _ in range(4)] + [uuid.uuid4() for _ in range(4)]
    asking = [
        asyncio.create_task(waveforms.peaks(owner, one)) for owner, one in zip(owners, jobs, strict=True)
    ]
    refused, _ = await asyncio.wait(asking, return_when=asyncio.FIRST_COMPLETED)
    store.is_let.set()
    answers = await asyncio.gather(*asking, return_exceptions=True)

    assert all(isinstance(one.exception(), Unavailable) for one in refused)
    assert [isinstance(answer, list) for answer in answers] == [True] * 4 + [False] * 4 + [True] * 12 + [
        False
    ] * 4
    assert store.at_once_most == 1
    assert len(await waveforms.peaks(greedy, jobs[7])) == waveform.PEAKS  # there is a free place again


async def test_a_long_wav_is_not_held_in_memory(store: Store) -> None:
    waveforms, the_job = WaveformCache(store), job(store, wav(bytes(24 << 20)))
    gc.collect()
    tracemalloc.start()
    try:
        found = await waveforms.peaks(uuid.uuid4(), the_job)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert found == [0] * waveform.PEAKS
    assert most < 4 << 20


async def test_undecodable_audio_has_no_peaks_and_missing_audio_is_an_error(
    store: Store,
) -> None:
    waveforms, account = WaveformCache(store), uuid.uuid4()
    gone = job(store, wav(_RAMP))
    store.delete([gone.object or ""])

    assert await waveforms.peaks(account, job(store, b"no audio")) == []
    assert await waveforms.peaks(account, job(store, b"no audio", "audio/mpeg")) == []
    assert await waveforms.peaks(account, job(store, bytes((4 << 20) + 1), "audio/mpeg")) == []
    with pytest.raises(Gone):
        await waveforms.peaks(account, gone)
