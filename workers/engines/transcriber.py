"""What the machine room asks of a recogniser, and the recognisers there are."""

import threading
from collections.abc import Callable, Iterator
from typing import Protocol, runtime_checkable

from msgspec import Struct

from db.rows import Capabilities
from db.transcripts import Segment
from workers.settings import WorkerSettings


class Wish(Struct, frozen=True, kw_only=True):
    """What is wanted of a recording."""

    language: str | None = None  # one of the engine's; None: detected, or the engine's first
    words: bool = False
    translate: bool = False


class Heard(Struct, frozen=True):
    """A recording being heard. The segments come as they are made; their end means complete."""

    language: str
    segments: Iterator[Segment]


@runtime_checkable
class Transcriber(Protocol):
    """Writes down what it hears. One instance a process, one recording at a time."""

    @property
    def capabilities(self) -> Capabilities: ...

    def transcribe(self, pcm: memoryview, wish: Wish, stopped: threading.Event) -> Heard:
        """Hear signed 16-bit mono PCM at 16 kHz. Raises `Refused`, and `Interrupted` soon after `stopped`;
        so does the iteration.
        """
        ...

    def close(self) -> None:
        """Stop, and free the device; from any thread, idempotent."""
        ...


def _pocketsphinx(_settings: WorkerSettings) -> Transcriber:
    from workers.engines.pocketsphinx import PocketsphinxTranscriber

    return PocketsphinxTranscriber()


def _whisper(settings: WorkerSettings) -> Transcriber:
    from workers.engines.whisper import WhisperTranscriber

    return WhisperTranscriber(settings)


TRANSCRIBERS: dict[str, Callable[[WorkerSettings], Transcriber]] = {
    "pocketsphinx": _pocketsphinx,
    "whisper": _whisper,
}
