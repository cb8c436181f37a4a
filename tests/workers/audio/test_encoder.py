"""Every format, in every rate, decodes to what was spoken; live bytes are the stored ones but for counts."""

import hashlib
import io
import itertools
import wave
from collections.abc import Iterator
from contextlib import closing

import av
import numpy as np
import pytest

from db.formats import FORMATS
from db.types import SpeechParams
from workers.audio.encoder import Encoder, wav_header
from workers.pipelines.spool import Audio, Limits, Spool, TooLong

ENGINE_HZ = 22_050
CODED = ["mp3", "ogg", "opus", "flac", "aac"]
LIMITS = Limits(memory_bytes=1 << 20, audio_bytes_max=1 << 26, audio_s_max=3600)


def params(name: str, rate_hz: int = 0, kbps: int = 0) -> SpeechParams:
    return SpeechParams(text="", voice="", language="", format=name, rate_hz=rate_hz, bitrate_kbps=kbps)


def tone(seconds: float, rate_hz: int = ENGINE_HZ) -> bytes:
    at = np.arange(round(seconds * rate_hz)) / rate_hz
    return (8000 * np.sin(2 * np.pi * 440 * at)).astype("<i2").tobytes()


def in_chunks(pcm: bytes, samples: int = 1324) -> Iterator[bytes]:
    for start in range(0, len(pcm), 2 * samples):
        yield pcm[start : start + 2 * samples]


class Listener:
    """What a live stream has received, and up to which time."""

    def __init__(self) -> None:
        self.audio = b""
        self.until_ms = 0
        self.is_there = True

    def publish(self, new: bytes, until_ms: int) -> None:
        self.audio += new
        self.until_ms = until_ms

    def spool(self, wanted: SpeechParams, limits: Limits) -> Spool:
        return Spool(
            wanted,
            engine_hz=ENGINE_HZ,
            limits=limits,
            is_live=lambda: self.is_there,
            publish=self.publish,
        )


def made(wanted: SpeechParams, pcm: bytes, *, limits: Limits = LIMITS) -> tuple[bytes, bytes, Audio]:
    """(what went out live, what is stored, how it ended)"""
    listener = Listener()
    with closing(listener.spool(wanted, limits)) as spool:
        for chunk in in_chunks(pcm):
            spool.write(chunk)
        audio = spool.finish()
        return listener.audio, audio.file.read(), audio


def decoded(name: str, content: bytes, rate_hz: int) -> np.ndarray:
    """The samples, as numbers from -1 to 1."""
    if name == "pcm":
        return np.frombuffer(content, "<i2") / 32768
    resampler = av.AudioResampler(format="flt", layout="mono", rate=rate_hz)
    # A tenth of a second of MP3 is not always enough for FFmpeg to guess what it is.
    with av.open(io.BytesIO(content), format="mp3" if name == "mp3" else None) as container:
        frames = [new for frame in container.decode(audio=0) for new in resampler.resample(frame)]
    frames += resampler.resample(None)
    return np.concatenate([frame.to_ndarray()[0] for frame in frames])


def hertz(samples: np.ndarray, rate_hz: int) -> float:
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    return float(np.argmax(spectrum)) * rate_hz / len(samples)


CASES = [(name, rate) for name, form in FORMATS.items() for rate in (0, *form.rates_hz)]


@pytest.mark.parametrize(("name", "rate_hz"), CASES)
@pytest.mark.parametrize("seconds", [0.31, 2.02])
def test_each_format_and_rate_is_the_tone_that_was_spoken(name: str, rate_hz: int, seconds: float) -> None:
    pcm = tone(seconds)
    live, stored, audio = made(params(name, rate_hz), pcm)
    file_hz = FORMATS[name].rate_hz(rate_hz, ENGINE_HZ)
    samples_decoded = decoded(name, stored, file_hz)
    assert abs(len(samples_decoded) / file_hz - seconds) < 0.2
    assert abs(audio.duration_ms - 1000 * seconds) < 2
    assert abs(hertz(samples_decoded, file_hz) - 440) < 10
    assert len(live) == len(stored) == audio.audio_bytes
    assert audio.sha256 == hashlib.sha256(stored).digest()


@pytest.mark.parametrize("name", [name for name in CODED if FORMATS[name].bitrates_kbps])
def test_padding_stays_below_a_fifth_of_a_second_at_every_length(name: str) -> None:
    rate_hz = FORMATS[name].rates_hz[0]
    for samples in range(3000, 4100, 97):
        pcm = tone(samples / ENGINE_HZ)
        samples_decoded = decoded(name, made(params(name, rate_hz), pcm)[1], rate_hz)
        assert abs(len(samples_decoded) / rate_hz - samples / ENGINE_HZ) < 0.2


@pytest.mark.parametrize("name", FORMATS)
def test_long_audio_does_not_drift(name: str) -> None:
    _, stored, audio = made(params(name), tone(100))
    file_hz = FORMATS[name].rate_hz(0, ENGINE_HZ)
    assert audio.duration_ms == 100_000
    assert abs(len(decoded(name, stored, file_hz)) / file_hz - 100) < 0.2


@pytest.mark.parametrize("name", FORMATS)
def test_live_bytes_are_the_stored_ones_but_for_counts(name: str) -> None:
    live, stored, _ = made(params(name), tone(1))
    header = {"wav": 44, "flac": 42}.get(name, 0)
    assert live[header:] == stored[header:]
    assert (live[:header] == stored[:header]) == (header == 0)
    file_hz = FORMATS[name].rate_hz(0, ENGINE_HZ)
    assert abs(len(decoded(name, live, file_hz)) / file_hz - 1) < 0.2


@pytest.mark.parametrize("name", FORMATS)
def test_audio_is_emitted_within_half_a_second_and_never_as_a_header_alone(name: str) -> None:
    encoder = Encoder(params(name), engine_hz=ENGINE_HZ)
    given = list(itertools.takewhile(lambda new: not new, map(encoder.encode, in_chunks(tone(1), 220))))
    assert len(given) * 220 / ENGINE_HZ < 0.5
    complete = Encoder(params(name), engine_hz=ENGINE_HZ)
    head = next(new for new in map(complete.encode, in_chunks(tone(1), 220)) if new)
    file_hz = FORMATS[name].rate_hz(0, ENGINE_HZ)
    assert len(decoded(name, head + complete.finish(), file_hz)) > 0


@pytest.mark.parametrize(("name", "kbps"), [("mp3", 32), ("mp3", 128), ("aac", 32), ("ogg", 16), ("ogg", 96)])
def test_a_bitrate_is_kept(name: str, kbps: int) -> None:
    _, stored, _ = made(params(name, 48_000 if name != "mp3" else 44_100, kbps), tone(10))
    assert len(stored) * 8 / 10_000 == pytest.approx(kbps, rel=0.35)


def test_a_wav_files_header_is_exact() -> None:
    live, stored, _ = made(params("wav"), tone(1))
    with wave.open(io.BytesIO(stored)) as read:
        assert (read.getnframes(), read.getframerate(), read.getnchannels()) == (22050, 22050, 1)
        assert read.readframes(22050) == tone(1)
    assert live[:44] == wav_header(None, 22050)
    assert live[40:44] == live[4:8] == b"\xff" * 4


def test_a_flac_files_count_and_digest_are_those_of_its_samples() -> None:
    _, stored, _ = made(params("flac"), tone(1.5))
    count = int.from_bytes(stored[21:26], "big") & 0xF_FFFF_FFFF
    assert count == round(1.5 * 22050)
    assert stored[26:42] == hashlib.md5(tone(1.5), usedforsecurity=False).digest()


@pytest.mark.parametrize("memory_bytes", [1 << 20, 100])
def test_a_listener_who_joins_midway_gets_the_file_from_its_start(memory_bytes: int) -> None:
    limits = Limits(memory_bytes=memory_bytes, audio_bytes_max=1 << 20, audio_s_max=60)
    listener = Listener()
    listener.is_there = False
    with closing(listener.spool(params("wav"), limits)) as spool:
        spool.write(tone(0.5))
        assert listener.audio == b""
        listener.is_there = True
        spool.write(tone(0.5))
        assert listener.audio[44:] == tone(0.5) * 2
        assert listener.until_ms == 1000
        spool.write(tone(0.25))
        assert (listener.audio[44:], listener.until_ms) == (tone(0.5) * 2 + tone(0.25), 1250)
        assert spool.finish().file.read()[44:] == listener.audio[44:]


@pytest.mark.parametrize(
    "limits",
    [
        Limits(memory_bytes=10, audio_bytes_max=1000, audio_s_max=60),
        Limits(memory_bytes=10, audio_bytes_max=1 << 30, audio_s_max=1),
    ],
)
@pytest.mark.parametrize("name", FORMATS)
def test_a_job_cannot_fill_the_disk(name: str, limits: Limits) -> None:
    with pytest.raises(TooLong):
        made(params(name), tone(3), limits=limits)
