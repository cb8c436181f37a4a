"""OpenAI's and ElevenLabs' model names, and the operator's names for voices."""

from collections.abc import Mapping, Sequence
from typing import Literal

from msgspec import Struct

from app.domain.errors import UnknownModel
from app.domain.voices.catalog import Catalogs
from db.settings import SettingsError, variable

Kind = Literal["speech", "transcription"]
_MODELS: Mapping[str, Kind] = {
    "tts-1": "speech", "tts-1-hd": "speech", "gpt-4o-mini-tts": "speech", "whisper-1": "transcription",
    "gpt-transcribe": "transcription", "gpt-4o-transcribe": "transcription",
    "gpt-4o-mini-transcribe": "transcription",
}  # fmt: skip
_ELEVENLABS = "eleven_"  # how its models' names begin


class Model(Struct, frozen=True):
    """A model name that can be requested. `engine` None: another vendor's name, which names no engine."""

    id: str
    kind: Kind
    engine: str | None


class Aliases:
    """Resolves model names, other vendors' included."""

    def __init__(self, catalogs: Catalogs) -> None:
        self._catalogs = catalogs

    async def engine(self, requested: str | None, kind: Kind) -> str | None:
        """The engine a model name stands for; None: it does not choose one. Raises UnknownModel."""
        if requested is None or (kind == "speech" and requested.startswith(_ELEVENLABS)):
            return None
        if any(
            requested == name or requested.startswith(f"{name}-")
            for name, of in _MODELS.items()
            if of == kind
        ):
            return None
        known = [model for model in await self.models() if model.kind == kind]
        if requested in (model.id for model in known) or await self._is_away(requested):
            return requested
        raise unknown_model(known)

    async def _is_away(self, engine: str) -> bool:
        """Whether this is a transcription engine that may come back: the error then says that."""
        away = (await self._catalogs.current()).transcribers_away
        return any(engine == one.engine for one in away)

    async def models(self) -> Sequence[Model]:
        """The running engines, then other vendors' names for them."""
        catalog = await self._catalogs.current()
        speaking = sorted({offer.engine.engine for offer in catalog.offers})
        transcribing = sorted(engine.engine for engine in catalog.transcribers)
        engines = [Model(name, "speech", name) for name in speaking]
        engines += [Model(name, "transcription", name) for name in transcribing]
        kinds = {model.kind for model in engines}
        return [*engines, *(Model(name, kind, None) for name, kind in _MODELS.items() if kind in kinds)]


def unknown_model(known: Sequence[Model]) -> UnknownModel:
    """The error for an unknown model."""
    names = [model.id for model in known]
    return UnknownModel(f"There is no such model. Models are {', '.join(names)}.", field="model", known=names)


def read_choices(text: str) -> dict[str, str]:
    """Voices by alias, from `alias=voice` pairs separated by commas. Raises SettingsError."""
    pairs = [entry.partition("=") for entry in text.split(",") if entry.strip()]
    found = {alias.strip().casefold(): voice.strip() for alias, _, voice in pairs}
    if not all(found) or not all(found.values()):
        raise SettingsError(f"{variable('voice_aliases')} is written alias=voice,alias=voice: {text}")
    return found
