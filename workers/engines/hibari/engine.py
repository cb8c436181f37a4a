"""The hibari engine: natural English voices, about a hundred times faster than real time on one core.

The model and its code are catalogue files, loaded only in the confined server (`hibari_model.py`). This
module has its voices and splits its texts into pieces it can speak. How it runs: `workers/engines/neural`.
"""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Literal

from msgspec import Struct

from db.formats import FORMATS
from db.settings import SettingsError
from db.types import Capabilities, Voice
from workers.engines.neural.children import Program
from workers.engines.neural.engine import NeuralEngine
from workers.engines.neural.model import Piece
from workers.engines.neural.text import in_pieces, unwrapped
from workers.engines.protocol import Refused, Utterance
from workers.models.store import ModelError, is_usable, models_folder, verified
from workers.text.english import is_english_script, readable_english

SAMPLE_RATE_HZ = 24_000
CHARACTERS_MAX = 100_000
COST_US_PER_CHARACTER = 600  # measured: 500 to 900 of processor time
PIECE_CHARACTERS_MAX = 300
FIRST_CHARACTERS_MAX = 150
JOINED_CHARACTERS_MAX = 120  # a new job waits no longer than for this many
SLOTS = 200
_OTHERS = "hibari-voices"  # name in the catalogue
_ACCENTS = {"en-US": "American", "en-GB": "British"}


class _Known(Struct, frozen=True):
    """A voice of hibari: its id here, its name in the wheel, its file if that is not in the wheel."""

    id: str
    name: str
    model: str
    gender: Literal["male", "female"]
    language: str
    file: str = ""


_KNOWN = (
    _Known("heart", "Heart", "heart", "female", "en-US"),
    _Known("fenrir", "Fenrir", "fenrir", "male", "en-US", "am_fenrir_v2.int8.onnx"),
    _Known("emma-gb", "Emma (British)", "emma", "female", "en-GB", "bf_emma.int8.onnx"),
    _Known("fable", "Fable", "fable", "male", "en-GB", "bm_fable.int8.onnx"),
    _Known("kore", "Kore", "kore", "female", "en-US", "af_kore.int8.onnx"),
)


def from_environment(environ: Mapping[str, str] = os.environ) -> NeuralEngine:
    """The engine with the installed models. Raises SettingsError; OSError if it does not start."""
    try:
        return NeuralEngine(Hibari(models_folder(environ)))
    except ModelError as error:
        raise SettingsError(str(error)) from None


class Hibari:
    """hibari's voices, as the worker uses them."""

    idle_s = None  # 170 MB, and the default voice: it is never unloaded
    slots = SLOTS

    def __init__(self, models: Path) -> None:
        self._models = models
        self._has_others = is_usable(_OTHERS, models)  # without them one voice remains
        known = [voice for voice in _KNOWN if self._has_others or not voice.file]
        self._names = {voice.id: voice.model for voice in known}
        self.children = self.files_at_once = len(os.sched_getaffinity(0))
        self.program = Program(
            kind="hibari", module="workers.engines.hibari.hibari_model", folders=self._folders, stall_s=30.0
        )
        self.capabilities = Capabilities(
            engine="hibari",
            kind="speech",
            voices=tuple(map(_voice, known)),
            sample_rate_hz=SAMPLE_RATE_HZ,
            formats=tuple(FORMATS),
            characters_max=CHARACTERS_MAX,
            cost_us_per_character=COST_US_PER_CHARACTER,
            speed_min=0.5,  # as its maker promises; 0.25 to 4 are possible, but worse
            speed_max=2.0,
            texts_broken_up=True,
        )

    def pieces(self, utterance: Utterance) -> Iterator[Piece]:
        """Sentences, at most `PIECE_CHARACTERS_MAX` at full speed. Raises Refused: `unsupported_script`."""
        if not is_english_script(utterance.text):
            raise Refused("unsupported_script")
        slow = min(1.0, utterance.speed)  # slow speech takes longer to make: pieces have fewer characters
        parts = in_pieces(
            unwrapped(readable_english(utterance.text)),
            utterance.language,
            characters_max=int(PIECE_CHARACTERS_MAX * slow),
            first_max=int(PIECE_CHARACTERS_MAX * slow),
            joined_max=int(JOINED_CHARACTERS_MAX * slow),
            first_joined_max=int(FIRST_CHARACTERS_MAX * slow),  # plays before the second is made
        )
        for text in parts:
            yield Piece(
                text=text,
                voice=self._names[utterance.voice],
                language=utterance.language,
                speed=utterance.speed,
            )

    def _folders(self) -> Mapping[str, str]:
        names = {"hibari": "hibari"} | ({"voices": _OTHERS} if self._has_others else {})
        return {use: str(verified(name, self._models)) for use, name in names.items()}


def _voice(known: _Known) -> Voice:
    return Voice(
        id=known.id,
        name=known.name,
        gender=known.gender,
        languages=(known.language,),
        language_names=("English",),
        description=f"A natural {_ACCENTS[known.language]} voice.",
        quality="high",
    )
