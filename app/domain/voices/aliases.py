"""Names that OpenAI and ElevenLabs have for models, and the operator's names for voices."""

from collections.abc import Mapping, Sequence
from typing import Literal

from msgspec import Struct

from app.domain.errors import UnknownModel
from app.domain.voices.catalog import Catalogs
from db.settings import SettingsError, variable

Kind = Literal["speech", "transcription"]
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


class Model(Struct, frozen=True):
    """A model's name that can be asked for. `engine` None: another's name, under which ours are chosen."""

    id: str
    kind: Kind
    engine: str | None


class Aliases:
    """Reads others' names of models."""

    def __init__(self, catalogs: Catalogs) -> None:
        self._catalogs = catalogs

    async def engine(self, asked: str | None, kind: Kind) -> str | None:
        """The engine that a model's name says; None: it says nothing of one. Raises UnknownModel."""
        if asked is None or (kind == "speech" and asked.startswith(_ELEVENLABS)):
            return None
        if any(asked == name or asked.startswith(f"{name}-") for name, of in _MODELS.items() if of == kind):
            return None
        known = [model for model in await self.models() if model.kind == kind]
        if asked in (model.id for model in known) or await self._is_away(asked):
            return asked
        raise unknown_model(known)

    async def _is_away(self, engine: str) -> bool:
        """Whether it transcribes, and may come back: the refusal then says so."""
        away = (await self._catalogs.current()).transcribers_away
        return any(engine == one.engine for one in away)

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
