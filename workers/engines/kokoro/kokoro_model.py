"""Kokoro-82M in the confined child: our own loader of the public int8 export, its voices and their mixes."""

import gc
import os
from collections.abc import Iterator, Mapping, Sequence
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from db.voice_mix import MixError, parse
from workers.engines.kokoro.kokoro_g2p import G2P, chinese, english, japanese
from workers.engines.kokoro.kokoro_voices import LANGUAGES, lacking
from workers.engines.kokoro.symbols import IDS, calls
from workers.engines.neural.model import Model, Piece, Unspeakable
from workers.models.catalogue import find

SAMPLE = Piece(text="", voice="af_heart", language="en-US", phonemes="wˈʌn, tˈu.")
SAMPLE_RATE_HZ = 24_000
STYLES, STYLE_NUMBERS = 510, 256  # of a voice: a row for each number of phonemes
_MODEL = "kokoro-v1.0.int8.onnx"
_LOUD = 0.01  # of full scale; the model's own silence stays below
_LEAD_S, _TAIL_S = 0.06, 0.08  # kept around the speech: a consonant may begin below `_LOUD`
_PAUSES_S = {".": 0.35, "!": 0.35, "?": 0.35, "…": 0.35, ";": 0.25, ":": 0.25, "—": 0.2, ",": 0.15}


def load(folders: Mapping[str, str]) -> Model:
    """`folders`: `kokoro`; `hibari` and `kokoro-ja` if installed; `cuda`: the number of a GPU to use.

    Raises ImportError, and ValueError if a file is not the one in the catalogue.
    """
    home = Path(folders["kokoro"])
    session = _session(_read(home, _MODEL), folders.get("cuda"))
    styles = {Path(path).stem: _style(_read(home, path)) for path in _style_paths()}
    gc.collect()  # frees the model's bytes
    return KokoroModel(session, styles, _g2ps(folders), forks="cuda" not in folders)


class KokoroModel:
    """Speaks phonemes, or texts in the languages it has a G2P for, with all voices and mixes of them."""

    sample_rate_hz = SAMPLE_RATE_HZ

    def __init__(
        self, session: Any, styles: Mapping[str, NDArray[np.float32]], g2ps: Mapping[str, G2P], *, forks: bool
    ) -> None:
        self.forks = forks
        self._session = session
        self._styles = styles
        self._g2ps = g2ps
        # The memory of a long piece, 300 MB for 12 s, is freed after it, which costs 5 % more time. Without
        # an arena the memory would be larger, and the time another 10 % longer.
        self._options = onnxruntime.RunOptions()
        self._options.add_run_config_entry("memory.enable_memory_arena_shrinkage", "cpu:0")

    def speak(self, piece: Piece) -> Iterator[NDArray[np.float32]]:
        """One part per call of the model. The same piece gives the same audio: nothing in it is random."""
        voice = self._voice(piece.voice)
        for phonemes in calls(piece.phonemes or self._pronounced(piece)):
            ids = [IDS[symbol] for symbol in phonemes if symbol in IDS]
            if any(symbol.isalpha() for symbol in phonemes):  # else only punctuation: nothing to say
                yield _trimmed(self._audio(ids, voice, piece.speed), phonemes.rstrip()[-1], piece.speed)

    def _pronounced(self, piece: Piece) -> str:
        if piece.language not in self._g2ps:
            raise Unspeakable("unspeakable_text")
        return self._g2ps[piece.language](piece.text)

    def _voice(self, name: str) -> Sequence[tuple[NDArray[np.float32], float]]:
        """The voice's styles, or those of a mix, each with its share."""
        try:
            parts = parse(name)
            whole = sum(part.weight for part in parts)
            return [(self._styles[part.voice], part.weight / whole) for part in parts]
        except (MixError, KeyError):
            raise Unspeakable("unspeakable_text") from None

    def _audio(
        self, ids: Sequence[int], voice: Sequence[tuple[NDArray[np.float32], float]], speed: float
    ) -> NDArray[np.float32]:
        row = sum((styles[len(ids) - 1] * np.float32(share) for styles, share in voice), np.float32(0))
        inputs = {
            "tokens": np.array([[0, *ids, 0]], np.int64),
            "style": np.asarray(row, np.float32)[None],
            "speed": np.array([speed], np.float32),
        }
        [audio, *_] = self._session.run(None, inputs, self._options)
        return np.asarray(audio, np.float32).reshape(-1)


def _trimmed(audio: NDArray[np.float32], last: str, speed: float) -> NDArray[np.float32]:
    """Without the 0.3 to 0.6 s of silence around every call, but with the pause its last mark asks for."""
    loud = np.flatnonzero(np.abs(audio) > _LOUD)
    if not len(loud):
        return audio[:0]
    start = max(0, int(loud[0]) - int(_LEAD_S * SAMPLE_RATE_HZ))
    end = int(loud[-1]) + int(max(_TAIL_S, _PAUSES_S.get(last, 0.0) / speed) * SAMPLE_RATE_HZ)
    return np.pad(audio[start:end], (0, max(0, end - len(audio))))


def _read(home: Path, path: str) -> bytes:
    """A file's bytes, verified against the catalogue once more after the worker's check."""
    [known] = [file for file in find("kokoro").files if file.path == path]
    content = (home / path).read_bytes()
    if sha256(content).hexdigest() != known.sha256:
        raise ValueError(f"{home / path} has another sha256")
    return content


def _style_paths() -> list[str]:
    return [file.path for file in find("kokoro").files if file.path.endswith(".bin")]


def _style(content: bytes) -> NDArray[np.float32]:
    return np.frombuffer(content, "<f4").reshape(STYLES, STYLE_NUMBERS)


def _g2ps(folders: Mapping[str, str]) -> Mapping[str, G2P]:
    """The G2Ps by language, for the languages that need no espeak."""
    speakable = [
        letter for letter, language in LANGUAGES.items() if not lacking(language, folders, _is_there)
    ]
    found: dict[str, G2P] = {}
    if "a" in speakable:
        dialect = english(folders["hibari"])
        found |= {"en-US": dialect(False), "en-GB": dialect(True)}
    if "j" in speakable:
        found["ja-JP"] = japanese(folders["kokoro-ja"])
    if "z" in speakable:
        found["zh-CN"] = chinese(found.get("en-US"))
    return found


def _is_there(package: str) -> bool:
    return find_spec(package) is not None


def providers(available: Sequence[str], cuda: str | None) -> list[str]:
    """onnxruntime's providers, best first. Raises ValueError if `cuda` is set and onnxruntime has no CUDA."""
    if cuda is None:
        return ["CPUExecutionProvider"]
    if "CUDAExecutionProvider" not in available:
        raise ValueError("the installed onnxruntime has no CUDA: onnxruntime-gpu has")
    return ["CUDAExecutionProvider", "CPUExecutionProvider"]


def _session(model: bytes, cuda: str | None) -> Any:
    """A session of one thread, so that forked children can use it: threads do not survive a fork.

    On two idle cores, two threads halve the time of a call, for a fifth more in all. Two children speak two
    pieces in the time of one, and a first clause cut short is ready as early.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    options.enable_mem_pattern = False
    if cuda is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = cuda
    chosen = providers(onnxruntime.get_available_providers(), cuda)
    return onnxruntime.InferenceSession(model, options, providers=chosen)
