"""An engine that takes its time and no CPU, as one on a GPU does: what is left is the platform's own."""

import threading
import time
from collections.abc import Iterator, Sequence

from db.formats import FORMATS
from db.rows import Capabilities, Voice
from workers.engines import Interrupted, Speech, Utterance

SLOTS = 8
CHUNKS = 10
CHUNK_S = 0.05
UTTERANCE_S = CHUNKS * CHUNK_S
_RATE_HZ = 24_000
_CHUNK = b"\x10\x00\xf0\xff" * (_RATE_HZ // 20)  # 0.1 s, twice as fast as it is heard
VOICE = "paced"


def engine() -> "PacedEngine":
    """For CODEVOICE_ENGINE=ops.bench.paced:engine."""
    return PacedEngine()


class PacedEngine:
    """Speaks each utterance in `CHUNKS` chunks, `CHUNK_S` apart, whatever the text."""

    slots = SLOTS
    mixed_lanes = True
    capabilities = Capabilities(
        engine="paced",
        kind="speech",
        voices=(
            Voice(
                id=VOICE,
                name=VOICE,
                gender="neutral",
                languages=("en-US",),
                language_names=("English",),
                description="A tone, for benchmarks.",
                quality="low",
            ),
        ),
        sample_rate_hz=_RATE_HZ,
        formats=tuple(FORMATS),
        characters_max=1000,
        cost_us_per_character=1000,
    )

    def begin(self, batch: Sequence[Utterance]) -> Sequence[Speech]:
        return [_PacedSpeech() for _ in batch]

    def close(self) -> None: ...


class _PacedSpeech:
    def __init__(self) -> None:
        self._closed = threading.Event()
        self._begun = time.monotonic()  # the engine's clock runs whether or not it is read

    def __iter__(self) -> Iterator[bytes]:
        for n in range(CHUNKS):
            if self._closed.wait(max(0.0, self._begun + (n + 1) * CHUNK_S - time.monotonic())):
                raise Interrupted("closed")
            yield _CHUNK

    def close(self) -> None:
        self._closed.set()
