"""The audio file being made: encoded once, kept in memory while small, its header corrected at the end."""

from collections.abc import Iterator
from hashlib import file_digest
from io import BufferedRandom, BytesIO
from tempfile import TemporaryFile
from typing import BinaryIO

from msgspec import Struct

from db.storage.objects import StoreError
from db.types import SpeechParams
from workers.audio.encoder import Encoder
from workers.engines.protocol import Refused

_PART_BYTES = 64 << 10


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


class Limits(Struct, frozen=True, kw_only=True):
    """The limits of one job's audio. Beyond `memory_bytes` it goes to a temporary file."""

    memory_bytes: int
    audio_bytes_max: int
    audio_s_max: int


class Spool:
    """Encodes PCM as it comes and keeps it; returns the new bytes, for listeners. For one thread."""

    def __init__(self, params: SpeechParams, *, engine_hz: int, limits: Limits) -> None:
        self._encoder = Encoder(params, engine_hz=engine_hz)
        self._limits = limits
        self._bytes = 0
        # Not a SpooledTemporaryFile: its digest would take twice as long.
        self._file: BytesIO | BufferedRandom = BytesIO()

    @property
    def silent(self) -> bool:
        """Whether no sample has come yet."""
        return self._encoder.samples == 0

    @property
    def audio_ms(self) -> int:
        """How much sound has come so far."""
        return round(1000 * self._encoder.samples / self._encoder.rate_hz)

    @property
    def audio_bytes(self) -> int:
        """How large the file is so far."""
        return self._bytes

    def write(self, pcm: bytes) -> bytes:
        """Append sound; returns the file's new bytes. Raises TooLong; StoreError if the disk is full."""
        new = self._kept(self._encoder.encode(pcm))
        if self._encoder.samples > self._limits.audio_s_max * self._encoder.rate_hz:
            raise TooLong
        return new

    def end(self) -> bytes:
        """End the sound; returns the file's last bytes. Raises TooLong."""
        return self._kept(self._encoder.finish())

    def so_far(self) -> Iterator[bytes]:
        """The whole file so far, in parts; only between calls of `write`."""
        self._file.seek(0)
        while part := self._file.read(_PART_BYTES):
            yield part

    def finish(self) -> Audio:
        """The complete file, after `end`, with its final header."""
        self._file.seek(0)
        self._file.write(self._encoder.header())
        self._file.seek(0)
        digest = file_digest(self._file, "sha256").digest()
        self._file.seek(0)
        return Audio(
            file=self._file,
            audio_bytes=self._bytes,
            duration_ms=self.audio_ms,
            content_type=self._encoder.content_type,
            sha256=digest,
        )

    def close(self) -> None:
        """Delete the temporary file."""
        self._file.close()

    def _kept(self, new: bytes) -> bytes:
        self._bytes += len(new)
        if self._bytes > self._limits.audio_bytes_max:
            raise TooLong
        try:
            if self._bytes > self._limits.memory_bytes and isinstance(self._file, BytesIO):
                self._file = _on_disk(self._file)
            self._file.write(new)
        except OSError as error:  # its disk is full
            raise StoreError(f"no room for audio in the making: {error.strerror}") from error
        return new


def _on_disk(memory: BytesIO) -> BufferedRandom:
    file = TemporaryFile()  # noqa: SIM115 - `close` closes it
    with memory:
        file.write(memory.getbuffer())
    return file
