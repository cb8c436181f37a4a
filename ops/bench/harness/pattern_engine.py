"""An engine whose sound is computed from its text and position, so that a test can verify every byte."""

import threading
import time
from collections.abc import Iterator, Sequence
from hashlib import sha256

import numpy as np

from db.types import SpeechParams
from ops.bench.harness.paced_engine import VOICE, PacedEngine
from workers.audio.encoder import Encoder
from workers.engines.protocol import Interrupted, Synthesis, Utterance

ENGINE = "ops.bench.harness.pattern_engine:engine"
CHUNK_S = 0.1
_RATE_HZ = PacedEngine.capabilities.sample_rate_hz


def engine() -> "PatternEngine":
    """For CODEVOICE_ENGINE."""
    return PatternEngine()


class PatternEngine(PacedEngine):
    """Speaks in real time: as many chunks as the text's first word says, or one if it is not a number."""

    slots = 64

    def begin(self, batch: Sequence[Utterance]) -> Sequence[Synthesis]:
        return [_PatternSpeech(utterance.text) for utterance in batch]


def file_of(text: str, form: str) -> bytes:
    """The expected file for this text, in a format whose header does not change at the end."""
    params = SpeechParams(text=text, voice=VOICE, language="", format=form)
    encoder = Encoder(params, engine_hz=_RATE_HZ)
    return b"".join([*map(encoder.encode, _sound_of(text)), encoder.finish()])


class _PatternSpeech:
    def __init__(self, text: str) -> None:
        self._text = text
        self._closed = threading.Event()

    def __iter__(self) -> Iterator[bytes]:
        began = time.monotonic()
        for n, chunk in enumerate(_sound_of(self._text), start=1):
            if self._closed.wait(max(0.0, began + n * CHUNK_S - time.monotonic())):
                raise Interrupted("closed")
            yield chunk

    def close(self) -> None:
        self._closed.set()


def _sound_of(text: str) -> Iterator[bytes]:
    chunks = text.partition(" ")[0]
    for n in range(int(chunks) if chunks.isdigit() else 1):
        seed = int.from_bytes(sha256(f"{n} {text}".encode()).digest())
        noise = np.random.default_rng(seed).integers(-9000, 9000, round(_RATE_HZ * CHUNK_S), dtype="<i2")
        yield noise.tobytes()
