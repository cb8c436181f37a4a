"""Names that OpenAI and ElevenLabs have for voices and models: which of ours stands behind each."""

from collections.abc import Mapping, Sequence
from typing import Literal

from msgspec import Struct

from app.domain.catalog import Catalog, Catalogs, Offer
from app.domain.errors import UnknownModel
from db.settings import SettingsError, variable

Kind = Literal["speech", "transcription"]
# In the order they came; the gender is the one people hear in them.
_VOICES = {
    "alloy": "neutral",
    "echo": "male",
    "fable": "male",
    "onyx": "male",
    "nova": "female",
    "shimmer": "female",
    "ash": "male",
    "ballad": "male",
    "coral": "female",
    "sage": "female",
    "verse": "male",
    "marin": "female",
    "cedar": "male",
}
_MODELS: Mapping[str, Kind] = {
    "tts-1": "speech",
    "tts-1-hd": "speech",
    "gpt-4o-mini-tts": "speech",
    "whisper-1": "transcription",
    "gpt-transcribe": "transcription",
    "gpt-4o-transcribe": "transcription",
    "gpt-4o-mini-transcribe": "transcription",
}
_ELEVENLABS = "eleven_"  # how its models' names begin
_QUALITIES = ("high", "standard", "low")


class Model(Struct, frozen=True):
    """A model's name that can be asked for. `engine` None: another's name, under which ours are chosen."""

    id: str
    kind: Kind
    engine: str | None


class Aliases:
    """Reads others' names. `chosen` is the operator's choice of voices, by alias."""

    def __init__(self, catalogs: Catalogs, chosen: Mapping[str, str]) -> None:
        self._catalogs = catalogs
        self._chosen = chosen

    async def voice(self, asked: str) -> str:
        """The voice meant: a voice's own name before the operator's choice, that before OpenAI's names."""
        catalog, name = await self._catalogs.current(), asked.strip().casefold()
        if catalog.find(name) is not None:
            return asked
        if name in self._chosen:
            return self._chosen[name]
        return _stand_in(name, catalog) or asked

    async def engine(self, asked: str | None, kind: Kind) -> str | None:
        """The engine that a model's name says; None: it says nothing of one. Raises UnknownModel."""
        if asked is None or (kind == "speech" and asked.startswith(_ELEVENLABS)):
            return None
        known = [model for model in await self.models() if model.kind == kind]
        for model in known:
            if asked == model.id or (model.engine is None and asked.startswith(f"{model.id}-")):
                return model.engine
        raise unknown_model(known)

    async def models(self) -> Sequence[Model]:
        """The engines at work, then others' names for them."""
        catalog = await self._catalogs.current()
        speaking = sorted({offer.engine.engine for offer in catalog.offers})
        hearing = sorted(engine.engine for engine in catalog.transcribers)
        engines = [Model(name, "speech", name) for name in speaking]
        engines += [Model(name, "transcription", name) for name in hearing]
        kinds = {model.kind for model in engines}
        return [*engines, *(Model(name, kind, None) for name, kind in _MODELS.items() if kind in kinds)]


def unknown_model(known: Sequence[Model]) -> UnknownModel:
    """The refusal of a model nobody has."""
    names = [model.id for model in known]
    return UnknownModel(f"There is no such model. Models are {', '.join(names)}.", field="model", known=names)


def read_choices(text: str) -> dict[str, str]:
    """`alias=voice` by commas. Raises SettingsError."""
    pairs = [entry.partition("=") for entry in text.split(",") if entry.strip()]
    found = {alias.strip().casefold(): voice.strip() for alias, _, voice in pairs}
    if not all(found) or not all(found.values()):
        raise SettingsError(f"{variable('voice_aliases')} is written alias=voice,alias=voice: {text}")
    return found


def _stand_in(alias: str, catalog: Catalog) -> str | None:
    """A voice of the alias's gender: those that begin in English and sound best, each in its turn."""
    gender = _VOICES.get(alias)
    if gender is None or not catalog.offers:
        return None
    able = [offer for offer in catalog.offers if gender in ("neutral", offer.voice.gender)] or catalog.offers
    best = min(map(_rank, able))
    equal = [offer.voice.id for offer in able if _rank(offer) == best]
    place = [name for name, other in _VOICES.items() if other == gender].index(alias)
    return equal[place % len(equal)]


def _rank(offer: Offer) -> tuple[bool, int]:
    language = offer.voice.languages[0].partition("-")[0]
    return language != "en", _QUALITIES.index(offer.voice.quality)
