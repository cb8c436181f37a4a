"""Scripted engines: `CODEVOICE_ENGINES=tests.endings.engine:scripted,tests.endings.engine:busy`.

A text is three words: a token; `sound` (at once) or `silence` (none) until the file `go-TOKEN` is there; how
it then ends. ENDINGS_FOLDER holds the files; an attempt leaves `begun-TOKEN-N` with the id of the job.
"""

import os
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

from db.formats import FORMATS
from db.types import Capabilities, Voice
from workers.engines.protocol import Interrupted, Refused, Synthesis, Utterance

NAMES = f"{__name__}:scripted,{__name__}:busy"
FOLDER = "ENDINGS_FOLDER"
SCRIPTED, BUSY = "scripted", "busy"  # the voices
REFUSALS = ("audio_too_long", "unspeakable_text")
_WORDS = 3
_RATE_HZ = 24_000
_CHUNK = b"\x10\x00\xf0\xff" * (_RATE_HZ // 20)  # 0.1 s
_PACE_S = 0.1


def scripted() -> "Scripted":
    return Scripted(SCRIPTED, slots=64)


def busy() -> "Scripted":
    """An engine for one utterance at a time: further jobs wait in the queue."""
    return Scripted(BUSY, slots=1)


class Scripted:
    mixed_lanes = True
    batched = False

    def __init__(self, name: str, slots: int) -> None:
        self.slots = slots
        self._folder = Path(os.environ[FOLDER])
        self.capabilities = Capabilities(
            engine=name,
            kind="speech",
            voices=(
                Voice(
                    id=name,
                    name=name,
                    gender="neutral",
                    languages=("en-US",),
                    language_names=("English",),
                    description="does as the text says",
                    quality="low",
                ),
            ),
            sample_rate_hz=_RATE_HZ,
            formats=tuple(FORMATS),
            characters_max=1000,
            cost_us_per_character=1,
        )

    def begin(self, batch: Sequence[Utterance]) -> Sequence[Synthesis]:
        return [_ScriptedSpeech(self._folder, utterance) for utterance in batch]

    def close(self) -> None: ...


class _ScriptedSpeech:
    def __init__(self, folder: Path, utterance: Utterance) -> None:
        self._folder = folder
        self._job = utterance.job_id
        self._words = utterance.text.split()
        self._closed = threading.Event()

    def __iter__(self) -> Iterator[bytes]:
        if len(self._words) != _WORDS:  # the warm-up
            yield _CHUNK
            return
        token, audio, ending = self._words
        attempt = self._note_attempt(token)
        if ending == "hang" and attempt > 1:
            raise Interrupted("as scripted")
        while not (self._folder / f"go-{token}").exists():
            if audio == "sound":
                yield _CHUNK
            if self._closed.wait(_PACE_S):
                raise Interrupted("closed")
        yield from _end(ending)

    def _note_attempt(self, token: str) -> int:
        attempt = 1 + len(list(self._folder.glob(f"begun-{token}-*")))
        new = self._folder / f"new-{token}"
        new.write_text(str(self._job))
        new.rename(self._folder / f"begun-{token}-{attempt}")
        return attempt

    def close(self) -> None:
        self._closed.set()


def _end(ending: str) -> Iterator[bytes]:
    match ending:
        case "complete":
            yield _CHUNK
        case "break" | "hang":
            raise Interrupted("as scripted")
        case code:
            raise Refused(code)
