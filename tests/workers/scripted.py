"""An engine for whole worker processes: `CODEVOICE_ENGINE=tests.workers.scripted:engine`.

Utterances do as their text says: `say`, `wait` (until the file `go` is there), `lose` (the device, once),
`grow` (by 300 MB). SCRIPTED_FOLDER holds the files; each process leaves one there, named by its id.
"""

import os
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from db.types import Capabilities, Voice
from workers.engines.protocol import DeviceLost, Interrupted, Synthesis, Utterance

NAME = "tests.workers.scripted:engine"
VOICE = Voice(
    id="ryan",
    name="ryan",
    gender="male",
    languages=("en-US",),
    language_names=("English",),
    description="obeys",
    quality="low",
)


def engine() -> "Scripted":
    return Scripted(Path(os.environ["SCRIPTED_FOLDER"]))


class Scripted:
    slots = 4
    mixed_lanes = True
    batched = False
    capabilities = Capabilities(
        engine="espeak",
        kind="speech",
        voices=(VOICE,),
        sample_rate_hz=1000,
        formats=("wav",),
        characters_max=1000,
        cost_us_per_character=1,
    )

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.lost = threading.Event()
        self.grown: list[bytes] = []
        seen = os.environ.get("CUDA_VISIBLE_DEVICES")
        (folder / f"process-{os.getpid()}").write_text(f"{seen} {'torch' in sys.modules}")

    def begin(self, batch: Sequence[Utterance]) -> Sequence[Synthesis]:
        return [ScriptedSpeech(self, utterance.text) for utterance in batch]

    def close(self) -> None: ...


class ScriptedSpeech:
    def __init__(self, engine: Scripted, order: str) -> None:
        self._engine = engine
        self._order = order
        self._closed = threading.Event()

    def __iter__(self) -> Iterator[bytes]:
        folder = self._engine.folder
        yield b"\x01\x00"
        match self._order:
            case "wait":
                while not (folder / "go").exists():
                    if self._engine.lost.is_set():
                        raise DeviceLost("as scripted")
                    if self._closed.is_set():
                        raise Interrupted
                    time.sleep(0.01)
            case "lose" if not (folder / "lost").exists():
                (folder / "lost").touch()
                self._engine.lost.set()
                raise DeviceLost("as scripted")
            case "grow":
                for _ in range(300):  # in small steps, or no other thread could run for a second
                    self._engine.grown.append(b"\x01" * (1 << 20))
            case _:
                pass

    def close(self) -> None:
        self._closed.set()
