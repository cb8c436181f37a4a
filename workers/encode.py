"""PCM in, a finished file out: spooled while it is made, its header exact."""

import struct
from hashlib import file_digest
from tempfile import SpooledTemporaryFile
from typing import BinaryIO, cast

from msgspec import Struct

from workers.engines import Refused

CONTENT_TYPES = {"wav": "audio/wav"}
_HEADER_BYTES = 44
_SAMPLE_BYTES = 2


class TooLong(Refused):
    """More audio than a job may have."""

    def __init__(self) -> None:
        super().__init__("audio_too_long")


class Audio(Struct, frozen=True, kw_only=True):
    """A finished file, read from its start. The duration is from the count of samples."""

    file: BinaryIO
    audio_bytes: int
    duration_ms: int
    content_type: str
    sha256: bytes


class WavSpool:
    """Collects signed 16-bit mono PCM; small audio stays in memory, more goes to a temporary file."""

    def __init__(self, *, rate_hz: int, memory_bytes: int, audio_bytes_max: int) -> None:
        self._rate_hz = rate_hz
        self._bytes_max = audio_bytes_max
        self._pcm_bytes = 0
        self._file = SpooledTemporaryFile[bytes](max_size=memory_bytes)
        self._file.write(bytes(_HEADER_BYTES))

    def write(self, pcm: bytes) -> None:
        """Append samples. Raises TooLong."""
        self._pcm_bytes += len(pcm)
        if self._pcm_bytes + _HEADER_BYTES > self._bytes_max:
            raise TooLong
        self._file.write(pcm)

    def finish(self) -> Audio:
        """The whole file, its header patched."""
        self._file.seek(0)
        self._file.write(wav_header(self._pcm_bytes, self._rate_hz))
        self._file.seek(0)
        digest = file_digest(self._file, "sha256").digest()  # type: ignore[arg-type]
        self._file.seek(0)
        return Audio(
            file=cast("BinaryIO", self._file),
            audio_bytes=_HEADER_BYTES + self._pcm_bytes,
            duration_ms=round(1000 * self._pcm_bytes / _SAMPLE_BYTES / self._rate_hz),
            content_type=CONTENT_TYPES["wav"],
            sha256=digest,
        )

    def close(self) -> None:
        """Drop the temporary file."""
        self._file.close()


def wav_header(pcm_bytes: int, rate_hz: int) -> bytes:
    """The 44 bytes before signed 16-bit mono PCM."""
    riff = struct.pack("<4sI4s", b"RIFF", pcm_bytes + _HEADER_BYTES - 8, b"WAVE")
    fmt = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, rate_hz, rate_hz * _SAMPLE_BYTES, _SAMPLE_BYTES, 16)
    return riff + fmt + struct.pack("<4sI", b"data", pcm_bytes)
