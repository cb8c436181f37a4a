"""The models as ElevenLabs' clients expect them in `GET /v1/models`: a bare array."""

from msgspec import Struct

from app.domain.voices.catalog import Catalog, Offer
from db.types import Capabilities


class ElevenLabsLanguage(Struct, frozen=True):
    """A language of a model."""

    language_id: str
    name: str


class ElevenLabsModel(Struct, frozen=True, kw_only=True):
    """A speech engine, as a model."""

    model_id: str
    name: str
    can_do_text_to_speech: bool = True
    can_do_voice_conversion: bool = False
    can_be_finetuned: bool = False
    can_use_style: bool = False
    can_use_speaker_boost: bool = False
    maximum_text_length_per_request: int
    languages: list[ElevenLabsLanguage]


def elevenlabs_models(catalog: Catalog) -> list[ElevenLabsModel]:
    """Every speech engine, as a model."""
    engines = {offer.engine.engine: offer.engine for offer in catalog.offers}
    return [_view(engine, catalog.offers) for _, engine in sorted(engines.items())]


def _view(engine: Capabilities, offers: tuple[Offer, ...]) -> ElevenLabsModel:
    names: dict[str, str] = {}
    for offer in offers:
        if offer.engine.engine == engine.engine:
            names |= dict(zip(offer.voice.languages, offer.voice.language_names, strict=False))
    return ElevenLabsModel(
        model_id=engine.engine,
        name=engine.engine,
        maximum_text_length_per_request=engine.characters_max,
        languages=[ElevenLabsLanguage(tag, name) for tag, name in sorted(names.items())],
    )
