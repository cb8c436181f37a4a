"""What the machine room asks of a recogniser, and the recognisers there are."""

import threading
from collections.abc import Callable, Iterator
from typing import Protocol, runtime_checkable

from msgspec import Struct

from db.storage.transcripts import Segment
from db.types import Capabilities
from workers.settings import WorkerSettings


class TranscriptionOptions(Struct, frozen=True, kw_only=True):
    """What is wanted of a recording."""

    language: str | None = None  # one of the engine's; None: detected, or the engine's first
    words: bool = False
    translate: bool = False
    prompt: str = ""  # words that may be said, where the engine can make use of them
    temperature: float = 0.0  # 0: what is most likely; above, chance has a part in it


class Recognition(Struct, kw_only=True):
    """A recording being heard. The segments come as they are made; their end means complete. What is known
    only later is filled in meanwhile.
    """

    language: str
    segments: Iterator[Segment]
    warnings: list[str] = []  # what in the text may be wrong
    busy_s: float = 0.0  # the engine's work, without the waiting for it


@runtime_checkable
class Transcriber(Protocol):
    """Writes down what it hears. One instance a process, for any thread. Equal recordings give equal texts,
    whatever came before.
    """

    @property
    def capabilities(self) -> Capabilities: ...

    @property
    def slots(self) -> int:
        """Recordings that it takes at once; which of them is heard when is its own choice."""
        ...

    def transcribe(
        self, pcm: memoryview, wish: TranscriptionOptions, stopped: threading.Event
    ) -> Recognition:
        """Hear signed 16-bit mono PCM at 16 kHz. Raises `Refused`, and `Interrupted` soon after `stopped`;
        so does the iteration.
        """
        ...

    def close(self) -> None:
        """Stop, and free the device; from any thread, idempotent."""
        ...


def _pocketsphinx(_settings: WorkerSettings) -> Transcriber:
    from workers.engines.pocketsphinx.engine import PocketsphinxTranscriber

    return PocketsphinxTranscriber()


def _whisper(settings: WorkerSettings) -> Transcriber:
    from workers.engines.whisper.engine import WhisperTranscriber

    return WhisperTranscriber(settings)


TRANSCRIBERS: dict[str, Callable[[WorkerSettings], Transcriber]] = {
    "pocketsphinx": _pocketsphinx,
    "whisper": _whisper,
}
