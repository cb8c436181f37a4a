"""A finished file: header exact, duration from the samples, bounded."""

import hashlib
import io
import wave

import pytest

from workers.encode import TooLong, WavSpool


def spool(*, memory_bytes: int = 1 << 20, audio_bytes_max: int = 1 << 20) -> WavSpool:
    return WavSpool(rate_hz=22050, memory_bytes=memory_bytes, audio_bytes_max=audio_bytes_max)


@pytest.mark.parametrize("memory_bytes", [1 << 20, 100])
def test_what_was_written_is_a_wav_file_of_that_length(memory_bytes: int) -> None:
    made = spool(memory_bytes=memory_bytes)
    for _ in range(10):
        made.write(b"\x01\x00" * 2205)
    audio = made.finish()
    content = audio.file.read()
    with wave.open(io.BytesIO(content)) as read:
        assert (read.getnframes(), read.getframerate(), read.getnchannels()) == (22050, 22050, 1)
        assert read.readframes(22050) == b"\x01\x00" * 22050
    assert (audio.duration_ms, audio.audio_bytes) == (1000, len(content))
    assert audio.sha256 == hashlib.sha256(content).digest()
    made.close()


def test_a_job_cannot_fill_the_disk() -> None:
    made = spool(audio_bytes_max=1000)
    made.write(bytes(900))
    with pytest.raises(TooLong):
        made.write(bytes(100))
    made.close()
