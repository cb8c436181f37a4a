"""hibari's voices in the confined child: the wheel's own code, loaded from its catalogue folder."""

import sys
from collections.abc import Iterator, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from workers.engines.neural.model import Model, Piece, Unspeakable
from workers.engines.neural.phonemes import in_parts

SAMPLE = Piece(text="One, two.", voice="heart", language="en-US")
_LOUD = 0.003  # of full scale: -50 dB
_LEAD_S = 0.06  # of silence kept: soft consonants begin below the threshold
PHONEMES_MAX = 400  # per call: the memory grows with the square of their number
# Exercises every step from text to sound, so that nothing is imported or opened later.
_WARM_UP = (
    "Mr. Zyxwort paid $9.99 at 7:30 pm on the 3rd of March 2024; was it 1,250 km, or 3/4?",
    "Ünüblöðn — “quoted”, résumé: U.S.A. 50% & co. 123456789012345, a@b.com/x",
)


def load(folders: Mapping[str, str]) -> Model:
    """`folders`: `hibari`, the unpacked wheel; under `voices`, optionally, a folder with its other models.

    Raises ImportError if another package of its name would be imported.
    """
    sys.modules["scipy"] = None  # type: ignore[assignment]  # it would be used where it is, and sound otherwise
    sys.path.append(folders["hibari"])
    tts = import_module("hibari.tts")
    if Path(str(tts.__file__)).parent.parent != Path(folders["hibari"]):
        raise ImportError(f"another hibari: {tts.__file__}")
    return HibariModel(tts, Path(folders["voices"]) if "voices" in folders else None)


class HibariModel:
    """Speaks with the voices whose models are installed. One session per voice, one G2P per dialect."""

    forks = True

    def __init__(self, tts: Any, others: Path | None) -> None:
        self.sample_rate_hz: int = tts.SAMPLE_RATE
        self._split_sentences = tts.Hibari.split_sentences
        g2p: dict[bool, Any] = {}
        self._voices: dict[str, Any] = {}
        for name, path in _models(tts, others).items():
            british = bool(tts.VOICES[name]["british"])
            if british not in g2p:
                g2p[british] = _g2p(tts, british=british)
            self._voices[name] = _speaker(tts, name, path, g2p[british])
        for name in self._voices:
            for text in _WARM_UP:
                list(self.speak(Piece(text=text, voice=name, language="en")))

    def speak(self, piece: Piece) -> Iterator[NDArray[np.float32]]:
        """Sentence by sentence. A sentence's audio depends on it alone, not on its context."""
        speaker = self._voices.get(piece.voice)
        if speaker is None:
            raise Unspeakable("unspeakable_text")
        for phonemes in self._phonemes(speaker, piece):
            seed = piece.seed ^ crc32(phonemes.encode())
            audio = speaker.from_phonemes(phonemes, speed=piece.speed, seed=seed)
            if len(audio):
                yield _with_short_lead(audio, self.sample_rate_hz)

    def _phonemes(self, speaker: Any, piece: Piece) -> Iterator[str]:
        if piece.phonemes:
            yield from _parts(piece.phonemes)
            return
        for sentence in self._split_sentences(piece.text):
            yield from _parts(speaker.g2p(sentence))


def _with_short_lead(audio: NDArray[np.float32], rate_hz: int) -> NDArray[np.float32]:
    """Without most of the third of a second of silence that the model begins every sentence with.

    A listener would wait for it before the first word; between sentences the silence at their end remains.
    """
    loud = np.flatnonzero(np.abs(audio) > _LOUD)
    return audio[max(0, loud[0] - int(_LEAD_S * rate_hz)) :] if len(loud) else audio


def _parts(phonemes: str) -> Iterator[str]:
    return in_parts(phonemes, most=PHONEMES_MAX, marks=",;:—")


def _models(tts: Any, others: Path | None) -> dict[str, str]:
    """The installed model files, by hibari's name for the voice."""
    found: dict[str, str] = {}
    for name, about in tts.VOICES.items():
        if about.get("bundled"):
            found[name] = str(Path(tts.ASSETS) / about["file"])
        elif others is not None and (others / about["file"]).is_file():
            found[name] = str(others / about["file"])
    return found


def _g2p(tts: Any, *, british: bool) -> Any:
    made = import_module(f"{tts.__package__}.g2p").G2P(british=british)
    made.oov("Zyxwort")  # loads its net
    return made


def _speaker(tts: Any, name: str, path: str, g2p: Any) -> Any:
    """hibari's class, with a session of our own: without an arena, memory is freed after each piece, and that
    costs no time.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    options.enable_cpu_mem_arena = options.enable_mem_pattern = False
    speaker = tts.Hibari.__new__(tts.Hibari)
    speaker.voice, speaker.model_path = name, path
    speaker.sess = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    speaker.vocab = tts.json.loads((Path(tts.ASSETS) / "vocab.json").read_text(encoding="utf-8"))
    speaker._g2p = g2p
    return speaker
