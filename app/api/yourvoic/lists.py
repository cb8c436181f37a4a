"""YourVoic's lists under /api/v1: voices, languages, models; and `GET /api/v1/health`."""

from typing import Annotated, Literal

from litestar import get
from litestar.di import NamedDependency
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import FromQuery, QueryParameter
from msgspec import Struct

from app.domain.health import Health
from app.domain.identity.scopes import SPEECH
from app.domain.speech.samples import Samples
from app.domain.voices.catalog import Catalogs, Offer
from app.domain.voices.listing import PAGE_MAX, VoiceFilter, list_voices
from app.http.json_response import JsonResponse
from db.types import Capabilities


class YourVoicVoice(Struct, frozen=True, kw_only=True):
    """A voice, or an alias for one. `voice_used`, with `engine`, is the voice that currently speaks."""

    id: str
    name: str
    gender: str
    age: str
    style: str
    languages: tuple[str, ...]
    sample_url: str
    quality: str
    engine: str
    voice_used: str


class VoicesAnswer(Struct, frozen=True, kw_only=True):
    """GET /api/v1/voices. `total` counts all matching voices, not only this page."""

    success: Literal[True] = True
    voices: list[YourVoicVoice]
    total: int


class YourVoicLanguage(Struct, frozen=True, kw_only=True):
    """A language, and the number of voices that speak it."""

    code: str
    name: str
    voices: int


class LanguagesAnswer(Struct, frozen=True, kw_only=True):
    """GET /api/v1/languages."""

    success: Literal[True] = True
    languages: list[YourVoicLanguage]
    total: int


class YourVoicModel(Struct, frozen=True, kw_only=True):
    """An engine. A range of `speed` or `pitch` with one value: the engine cannot change it."""

    id: str
    name: str
    voices: int
    languages: list[str]
    formats: tuple[str, ...]
    sample_rate: int
    max_characters: int
    speed: tuple[float, float]
    pitch: tuple[float, float]


class ModelsAnswer(Struct, frozen=True, kw_only=True):
    """GET /api/v1/models."""

    success: Literal[True] = True
    models: list[YourVoicModel]
    total: int


class HealthAnswer(Struct, frozen=True, kw_only=True):
    """GET /api/v1/health. `missing` names the unreachable components."""

    success: bool
    status: Literal["ok", "unavailable"]
    missing: list[str]


@get("/api/v1/voices", opt={"public": True})
async def yourvoic_voices(
    catalogs: NamedDependency[Catalogs],
    samples: NamedDependency[Samples],
    language: FromQuery[str | None] = None,
    gender: FromQuery[str | None] = None,
    limit: Annotated[int | None, QueryParameter(ge=1, le=PAGE_MAX)] = None,
    offset: Annotated[int, QueryParameter(ge=0)] = 0,
) -> VoicesAnswer:
    """List the voices."""
    found = list_voices(await catalogs.current(), VoiceFilter(language=language, gender=gender))
    page = found.offers[offset:][:limit]
    return VoicesAnswer(voices=[_voice(offer, samples) for offer in page], total=found.total)


@get("/api/v1/languages", opt={"public": True})
async def yourvoic_languages(catalogs: NamedDependency[Catalogs]) -> LanguagesAnswer:
    """List the languages that voices speak."""
    names: dict[str, str] = {}
    voices: dict[str, int] = {}
    for offer in (await catalogs.current()).offers:
        for number, tag in enumerate(offer.voice.languages):
            named = offer.voice.language_names
            names.setdefault(tag, named[number] if number < len(named) else tag)
            voices[tag] = voices.get(tag, 0) + 1
    found = [YourVoicLanguage(code=tag, name=names[tag], voices=voices[tag]) for tag in sorted(names)]
    return LanguagesAnswer(languages=found, total=len(found))


@get("/api/v1/models", opt={"scope": SPEECH})
async def yourvoic_models(catalogs: NamedDependency[Catalogs]) -> ModelsAnswer:
    """List the speech engines."""
    offers = (await catalogs.current()).offers
    engines = {offer.engine.engine: offer.engine for offer in offers}
    models = [_model(engine, offers) for _, engine in sorted(engines.items())]
    return ModelsAnswer(models=models, total=len(models))


@get(
    "/api/v1/health",
    opt={"public": True},
    responses={503: ResponseSpec(HealthAnswer, description="Components are out of reach")},
)
async def yourvoic_health(health: NamedDependency[Health]) -> JsonResponse[HealthAnswer]:
    """Tell whether everything that requests need can be reached."""
    missing = await health.missing()
    if missing:
        view = HealthAnswer(success=False, status="unavailable", missing=missing)
        return JsonResponse(view, status_code=503, headers={"Retry-After": "1"})
    return JsonResponse(HealthAnswer(success=True, status="ok", missing=[]))


def _voice(offer: Offer, samples: Samples) -> YourVoicVoice:
    voice = offer.voice
    return YourVoicVoice(
        id=voice.id,
        name=voice.name,
        gender=voice.gender,
        age=voice.age,
        style=voice.style,
        languages=voice.languages,
        sample_url=samples.address(voice),
        quality=voice.quality,
        engine=offer.engine.engine,
        voice_used=offer.voice_used,
    )


def _model(engine: Capabilities, offers: tuple[Offer, ...]) -> YourVoicModel:
    voices = [offer.voice for offer in offers if offer.engine.engine == engine.engine]
    return YourVoicModel(
        id=engine.engine,
        name=engine.engine,
        voices=len(voices),
        languages=sorted({tag for voice in voices for tag in voice.languages}),
        formats=engine.formats,
        sample_rate=engine.sample_rate_hz,
        max_characters=engine.characters_max,
        speed=(engine.speed_min, engine.speed_max),
        pitch=(engine.pitch_min, engine.pitch_max),
    )
