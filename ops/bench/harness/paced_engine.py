"""An engine that takes time but no CPU, like one on a GPU: the CPU used is the platform's own.

If CODEVOICE_BENCH_TRACE names a file, each utterance's text is written there with the time of its first
sound, by the monotonic clock that all processes of a machine share.
"""

import os
import threading
import time
from collections.abc import Iterator, Sequence

from db.formats import FORMATS
from db.types import Capabilities, Voice
from workers.engines.protocol import Interrupted, Synthesis, Utterance

SLOTS = 12
TRACE = "CODEVOICE_BENCH_TRACE"
CHARACTERS_A_CHUNK = 10
_CHUNKS_MIN = 10
_CHUNK_S = 0.05
_RATE_HZ = 24_000
_CHUNK = b"\x10\x00\xf0\xff" * (_RATE_HZ // 20)  # 0.1 s, made twice as fast as it plays
VOICE = "paced"


def tone_voice(name: str, description: str) -> Voice:
    """The voice of an engine that is no real one."""
    return Voice(
        id=name,
        name=name,
        gender="neutral",
        languages=("en-US",),
        language_names=("English",),
        description=description,
        quality="low",
    )


def engine() -> "PacedEngine":
    """For CODEVOICE_ENGINE=ops.bench.harness.paced_engine:engine."""
    return PacedEngine()


class PacedEngine:
    """Speaks ten characters each 50 ms, in half a second at least."""

    slots = SLOTS
    mixed_lanes = True
    batched = False
    capabilities = Capabilities(
        engine="paced",
        kind="speech",
        voices=(tone_voice(VOICE, "A tone, for benchmarks."),),
        sample_rate_hz=_RATE_HZ,
        formats=tuple(FORMATS),
        characters_max=5000,
        cost_us_per_character=1000,
    )

    def begin(self, batch: Sequence[Utterance]) -> Sequence[Synthesis]:
        return [_PacedSpeech(utterance.text) for utterance in batch]

    def close(self) -> None: ...


class _PacedSpeech:
    def __init__(self, text: str) -> None:
        self._text = text
        self._closed = threading.Event()
        self._begun = time.monotonic()  # the engine's time runs whether or not it is read

    def __iter__(self) -> Iterator[bytes]:
        for n in range(max(_CHUNKS_MIN, len(self._text) // CHARACTERS_A_CHUNK)):
            if self._closed.wait(max(0.0, self._begun + (n + 1) * _CHUNK_S - time.monotonic())):
                raise Interrupted("closed")
            if n == 0:
                self._trace()
            yield _CHUNK

    def _trace(self) -> None:
        if path := os.environ.get(TRACE):
            with open(path, "a", encoding="utf-8") as trace:
                trace.write(f"{self._text}\t{time.monotonic()}\n")

    def close(self) -> None:
        self._closed.set()
