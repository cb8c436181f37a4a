"""The protocol of engines that recognise speech."""

import threading
from collections.abc import Iterator
from typing import Protocol, runtime_checkable

from msgspec import Struct

from db.storage.transcripts import Segment
from db.types import Capabilities


class TranscriptionOptions(Struct, frozen=True, kw_only=True):
    """The options of one transcription."""

    language: str | None = None  # one of the engine's; None: detected, or the engine's first
    words: bool = False
    translate: bool = False
    prompt: str = ""  # words that may occur, if the engine can use them
    temperature: float = 0.0  # 0: the most likely text; above, sampling


class Recognition(Struct, kw_only=True):
    """A recording being transcribed. The segments come as they are made; their end means complete. What is
    known only later is filled in meanwhile.
    """

    language: str
    segments: Iterator[Segment]
    warnings: list[str] = []  # possible errors in the text
    busy_s: float = 0.0  # the engine's work, without the wait for it


@runtime_checkable
class Transcriber(Protocol):
    """Transcribes recordings. One instance per process, thread-safe. Equal recordings give equal texts,
    whatever came before.
    """

    @property
    def capabilities(self) -> Capabilities: ...

    @property
    def slots(self) -> int:
        """Recordings that it accepts at the same time; it chooses the order itself."""
        ...

    def transcribe(
        self, pcm: memoryview, options: TranscriptionOptions, stopped: threading.Event
    ) -> Recognition:
        """Transcribe signed 16-bit mono PCM at 16 kHz. Raises `Refused`, and `Interrupted` soon after
        `stopped`; so does the iteration.
        """
        ...

    def close(self) -> None:
        """Stop, and free the device; from any thread, idempotent."""
        ...
