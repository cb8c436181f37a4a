"""The kokoro engine: 54 natural voices in eight languages, about twice as fast as real time on one core.

The model is a catalogue file, loaded at first use in the confined server (`kokoro_model.py`) and unloaded
when idle. This module has its voices and splits its texts into pieces. Phonemes of Spanish, French, Hindi,
Italian and Portuguese come as text from espeak's own process. How it runs: `workers/engines/neural`.
"""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path

import structlog
from msgspec import Struct

from db.formats import FORMATS
from db.settings import read
from db.types import Capabilities
from db.voice_mix import PARTS_MAX
from workers.engines.espeak.espeak_phonemes import Phonemizer
from workers.engines.kokoro.kokoro_voices import BY_TAG, LANGUAGES, Language, lacking, voices
from workers.engines.kokoro.pieces import in_pieces
from workers.engines.kokoro.punctuation import clauses
from workers.engines.kokoro.symbols import from_ipa
from workers.engines.neural.children import Program
from workers.engines.neural.engine import NeuralEngine
from workers.engines.neural.model import Piece
from workers.engines.neural.text import unwrapped
from workers.engines.protocol import Refused, Utterance
from workers.models.store import ModelError, is_usable, models_folder, verified
from workers.process.devices import CPU
from workers.text.characters import readable
from workers.text.english import readable_english
from workers.text.native import is_written_in
from workers.text.runs import break_digits
from workers.text.shapes import prepare_text

log = structlog.get_logger()
SAMPLE_RATE_HZ = 24_000
CHARACTERS_MAX = 100_000
COST_US_PER_CHARACTER = 40_000  # measured: 36,000 to 45,000 of processor time in English
REAL_TIME_FACTOR = 0.65  # of one core, measured: 0.55 for long pieces, more for short ones
_LIVE_SHARE = 0.9  # of the cores' time, reserved for live utterances
START_S_MAX = 120.0  # 4 s of an idle core
STALL_S_MAX = 180.0  # the longest piece takes 7 s of an idle core; beside other work, much longer
_SLOTS = 64  # a job holds one until it ends: enough that some stay free for live jobs
_MODELS = ("hibari", "kokoro-ja")  # they pronounce English and Japanese; without them those voices are absent


class KokoroSettings(Struct, frozen=True, kw_only=True):
    """The operator's settings for this engine."""

    device: str = "cpu"
    kokoro_idle_s: float = 600.0  # without work, after which the model is unloaded


def from_environment(environ: Mapping[str, str] = os.environ) -> NeuralEngine:
    """The engine with the installed models; nothing is loaded yet. Raises SettingsError."""
    settings = read(KokoroSettings, environ)
    cuda = cuda_device(settings.device, environ.get("CUDA_VISIBLE_DEVICES", ""), _onnxruntime_providers)
    family = Kokoro(models_folder(environ), idle_s=settings.kokoro_idle_s, cuda=cuda)
    return NeuralEngine(family, release=family.release)


def cuda_device(device: str, visible: str, available: Callable[[], Sequence[str]]) -> str | None:
    """The GPU to use, as CUDA_VISIBLE_DEVICES names it; None: the CPU, also if CUDA is missing."""
    if device == CPU:
        return None
    if "CUDAExecutionProvider" not in available():
        log.warning("kokoro_without_gpu", device=device, needs="onnxruntime-gpu")
        return None
    return visible


class Kokoro:
    """Kokoro's voices, as the worker uses them."""

    slots = _SLOTS

    def __init__(self, models: Path, *, idle_s: float, cuda: str | None = None) -> None:
        self.idle_s = idle_s
        self._models = models
        self._there = frozenset(name for name in _MODELS if is_usable(name, models))
        self._cuda = cuda
        self._phonemizer = Phonemizer()
        cores = len(os.sched_getaffinity(0))
        self.children = cores if cuda is None else 1
        # A piece takes seconds: a live listener need not wait for the end of a file's piece.
        self.files_at_once = max(1, self.children - 1)
        self.program = Program(
            kind="kokoro" if cuda is None else "cuda",
            module="workers.engines.kokoro.kokoro_model",
            folders=self._folders,
            start_s=START_S_MAX,
            stall_s=STALL_S_MAX,
            ends_unwanted=cuda is None,
        )
        self.capabilities = Capabilities(
            engine="kokoro",
            kind="speech",
            voices=voices(self._styles(), self._speakable()),
            sample_rate_hz=SAMPLE_RATE_HZ,
            formats=tuple(FORMATS),
            characters_max=CHARACTERS_MAX,
            cost_us_per_character=COST_US_PER_CHARACTER,
            speed_min=0.5,
            speed_max=2.0,
            live_max=max(1, int(_LIVE_SHARE * cores / REAL_TIME_FACTOR)) if cuda is None else 0,
            mix_voices_max=PARTS_MAX,
        )

    def pieces(self, utterance: Utterance) -> Iterator[Piece]:
        """Sentences and clauses. Raises Refused (`unsupported_script`), Interrupted."""
        if not is_written_in(utterance.text, utterance.language):
            raise Refused("unsupported_script")
        language = BY_TAG[utterance.language]
        text = unwrapped(_readable(utterance.text, language))
        for part in in_pieces(text, language.tag, utterance.speed, live=utterance.live):
            phonemes = self._phonemes(part, language) if language.espeak else ""
            if phonemes or not language.espeak:
                yield Piece(
                    text=part,
                    voice=utterance.voice,
                    language=language.tag,
                    speed=utterance.speed,
                    phonemes=phonemes,
                )

    def release(self) -> None:
        """End espeak's process too; the next text starts another."""
        self._phonemizer.close()

    def _phonemes(self, text: str, language: Language) -> str:
        """espeak drops the punctuation, which Kokoro needs for a clause's intonation: it is kept here."""
        parts = clauses(text)
        said = self._phonemizer.ipa(language.espeak, [part.text for part in parts])
        spoken = [f"{from_ipa(ipa)}{part.mark}" for ipa, part in zip(said, parts, strict=True) if ipa]
        return " ".join(spoken)

    def _styles(self) -> list[str]:
        return [path.stem for path in (self._models / "kokoro" / "voices").glob("*.bin")]

    def _speakable(self) -> list[Language]:
        found: list[Language] = []
        for language in LANGUAGES.values():
            if needs := lacking(language, self._there, lambda package: find_spec(package) is not None):
                log.info("kokoro_language_left_out", language=language.tag, needs=needs)
            else:
                found.append(language)
        return found

    def _folders(self) -> Mapping[str, str]:
        """Called at each start of the server: reads and verifies every file. Raises ModelError."""
        try:
            folders = {name: str(verified(name, self._models)) for name in ("kokoro", *sorted(self._there))}
        except ModelError as error:
            log.error("kokoro_model_unusable", error=str(error))
            raise
        return folders if self._cuda is None else {**folders, "cuda": self._cuda}


def _readable(text: str, language: Language) -> str:
    """The text without what crashes espeak's process or what the other languages' G2Ps cannot read."""
    if language.espeak:
        return prepare_text(text, language.tag)
    if language.tag.startswith("en"):
        return readable_english(prepare_text(text, language.tag))
    return break_digits(readable(text, language.tag))


def _onnxruntime_providers() -> Sequence[str]:
    import onnxruntime  # imported only if a GPU is configured: the model is loaded in its own process

    return onnxruntime.get_available_providers()
