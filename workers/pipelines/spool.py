"""The audio file being made: encoded once, kept for the store, and published while somebody listens."""

from collections.abc import Callable
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
    """Encodes PCM as it comes, into a file and, while `is_live()`, a live stream. For one thread.

    The file is in memory while it is small; its header is corrected at the end. The stream begins with the
    file's first byte, whenever its first listener joins; `publish` is given the next bytes, and up to which
    millisecond of sound they reach.
    """

    def __init__(
        self,
        params: SpeechParams,
        *,
        engine_hz: int,
        limits: Limits,
        is_live: Callable[[], bool],
        publish: Callable[[bytes, int], None],
    ) -> None:
        self._encoder = Encoder(params, engine_hz=engine_hz)
        self._limits = limits
        self._is_live = is_live
        self._publish = publish
        self._bytes = 0
        self._published = 0
        # Not a SpooledTemporaryFile: its digest would take twice as long.
        self._file: BytesIO | BufferedRandom = BytesIO()

    @property
    def silent(self) -> bool:
        """Whether no sample has come yet."""
        return self._encoder.samples == 0

    def write(self, pcm: bytes) -> None:
        """Append sound. Raises TooLong; StoreError if the disk is full."""
        self._keep(self._encoder.encode(pcm))
        if self._encoder.samples > self._limits.audio_s_max * self._encoder.rate_hz:
            raise TooLong
        self._publish_rest()

    def finish(self) -> Audio:
        """End the sound: the complete file, with its final header. Raises TooLong; StoreError."""
        self._keep(self._encoder.finish())
        self._publish_rest()
        self._file.seek(0)
        self._file.write(self._encoder.header())
        self._file.seek(0)
        digest = file_digest(self._file, "sha256").digest()
        self._file.seek(0)
        return Audio(
            file=self._file,
            audio_bytes=self._bytes,
            duration_ms=self._audio_ms(),
            content_type=self._encoder.content_type,
            sha256=digest,
        )

    def close(self) -> None:
        """Delete the temporary file."""
        self._file.close()

    def _keep(self, new: bytes) -> None:
        self._bytes += len(new)
        if self._bytes > self._limits.audio_bytes_max:
            raise TooLong
        try:
            if self._bytes > self._limits.memory_bytes and isinstance(self._file, BytesIO):
                self._file = _on_disk(self._file)
            self._file.write(new)
        except OSError as error:  # its disk is full
            raise StoreError(f"no room for audio in the making: {error.strerror}") from error

    def _publish_rest(self) -> None:
        if not self._is_live():
            return
        self._file.seek(self._published)
        while part := self._file.read(_PART_BYTES):
            self._published += len(part)
            self._publish(part, round(self._audio_ms() * self._published / self._bytes))

    def _audio_ms(self) -> int:
        return round(1000 * self._encoder.samples / self._encoder.rate_hz)


def _on_disk(memory: BytesIO) -> BufferedRandom:
    file = TemporaryFile()  # noqa: SIM115 - `close` closes it
    with memory:
        file.write(memory.getbuffer())
    return file
