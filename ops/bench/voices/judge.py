"""Judges speech by a recogniser and two quality models: a program of its own, run in `.judges`.

Reads a JSON object from stdin: `whisper` (the model's folder), `threads`, and `clips`, each with the path of
a WAV file and its `references`. Writes a list to stdout, one object per clip: `recognised` and `references`
as words, normalised by Whisper's rules; `distillmos`, `dnsmos` (overall) and `dnsmos_p808`, 1 to 5.

Imports nothing of ours, which is not installed in its environment.
"""

import json
import sys
import wave
from collections.abc import Callable
from contextlib import redirect_stdout
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

_RATE_HZ = 16_000  # of all three models
_BEAMS = 2

Mos = Callable[[Any], dict[str, float]]


def main() -> None:
    """Judge all clips."""
    wanted = json.load(sys.stdin)
    with redirect_stdout(sys.stderr):  # a model prints where its weights come from
        recognise = _recogniser(wanted["whisper"], wanted["threads"])
        words, scores = _normaliser(), (_distillmos(wanted["threads"]), _dnsmos())
        judged = list[dict[str, object]]()
        for clip in wanted["clips"]:
            samples = _samples(Path(clip["wav"]))
            verdict: dict[str, object] = {
                "recognised": words(recognise(samples)),
                "references": [words(reference) for reference in clip["references"]],
            }
            for score in scores:
                verdict |= score(samples)
            judged.append(verdict)
    json.dump(judged, sys.stdout)


def _samples(file: Path) -> Any:
    with wave.open(str(file)) as opened:
        rate_hz, pcm = opened.getframerate(), opened.readframes(opened.getnframes())
    samples = np.frombuffer(pcm, "<i2").astype(np.float32) / 32_768
    soxr = import_module("soxr")
    return np.clip(soxr.resample(samples, rate_hz, _RATE_HZ), -1, 1)


def _recogniser(folder: str, threads: int) -> Callable[[Any], str]:
    model = import_module("faster_whisper").WhisperModel(
        folder, device="cpu", compute_type="int8", cpu_threads=threads, local_files_only=True
    )

    def recognise(samples: Any) -> str:
        segments, _ = model.transcribe(
            samples, language="en", beam_size=_BEAMS, temperature=0.0, condition_on_previous_text=False
        )
        return " ".join(segment.text for segment in segments)

    return recognise


def _normaliser() -> Callable[[str], list[str]]:
    normalise = import_module("whisper_normalizer.english").EnglishTextNormalizer()
    return lambda text: normalise(text).split()


def _distillmos(threads: int) -> Mos:
    # Only its command line uses torchaudio, which does not load beside a CPU's torch.
    sys.modules.setdefault("torchaudio", ModuleType("torchaudio"))
    torch = import_module("torch")
    torch.set_num_threads(threads)
    model = import_module("distillmos").ConvTransformerSQAModel()
    model.eval()

    def score(samples: Any) -> dict[str, float]:
        with torch.no_grad():
            return {"distillmos": float(model(torch.from_numpy(samples)[None, :]))}

    return score


def _dnsmos() -> Mos:
    run = import_module("speechmos.dnsmos").run

    def score(samples: Any) -> dict[str, float]:
        found = run(samples, _RATE_HZ)
        return {"dnsmos": float(found["ovrl_mos"]), "dnsmos_p808": float(found["p808_mos"])}

    return score


if __name__ == "__main__":
    main()
