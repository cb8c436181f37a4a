"""Runs the judges on recordings: WAV files, and the program in `.judges` that reads them (`judge.py`)."""

import json
import os
import subprocess
import wave
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec
from msgspec import Struct

from ops.bench import BenchError
from ops.bench.voices.speaking import RATE_HZ
from ops.bench.voices.texts import Text
from ops.bench.voices.words import WordErrors, word_errors
from workers.models.store import ModelError, models_folder, verified

_PYTHON = Path(__file__).parents[3] / ".judges" / "bin" / "python"
_PROGRAM = Path(__file__).with_name("judge.py")
_RECOGNISER = "whisper-base"
_KEPT = ("PATH", "LANG", "LD_LIBRARY_PATH", "TMPDIR", "HOME")
# Waiting threads would otherwise spin, on cores that others need.
_NO_SPINNING = {"OMP_WAIT_POLICY": "PASSIVE", "KMP_BLOCKTIME": "0"}


class Verdict(Struct, frozen=True):
    """The verdict on one clip; the three scores go from 1 to 5."""

    recognised: list[str]
    references: list[list[str]]
    distillmos: float
    dnsmos: float
    dnsmos_p808: float

    @property
    def word_errors(self) -> WordErrors:
        return word_errors(self.references, self.recognised)


class Judges:
    """The judges. Raises BenchError if they, or the recogniser's model, are not installed."""

    def __init__(self) -> None:
        if not _PYTHON.exists():
            raise BenchError("the judges are not installed: just judges, or bash ops/judges.sh")
        try:
            self._whisper = verified(_RECOGNISER, models_folder(os.environ))
        except ModelError as error:
            raise BenchError(str(error)) from None

    def judge(self, clips: Sequence[tuple[Text, bytes]]) -> list[Verdict]:
        """A verdict per clip, in order. Raises BenchError if the program fails."""
        with TemporaryDirectory(prefix="codevoice-judges-") as folder:
            requests = [
                {"wav": _wav(Path(folder) / f"{number}.wav", pcm), "references": [text.written, text.spoken]}
                for number, (text, pcm) in enumerate(clips)
            ]
            wanted = {"whisper": str(self._whisper), "threads": os.cpu_count() or 1, "clips": requests}
            kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
            done = subprocess.run(
                [_PYTHON, "-P", _PROGRAM],
                input=json.dumps(wanted).encode(),
                capture_output=True,
                env=kept | _NO_SPINNING,
                check=False,
            )
        if done.returncode:
            raise BenchError(f"the judges failed: {done.stderr.decode(errors='replace')[-500:]}")
        return msgspec.json.decode(done.stdout, type=list[Verdict])


def _wav(path: Path, pcm: bytes) -> str:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE_HZ)
        file.writeframes(pcm)
    return str(path)
