"""YourVoic's lists under /api/v1: voices, languages, models; and `GET /api/v1/health`."""

from typing import Literal

from litestar import Response, get
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromQuery
from msgspec import Struct

from app.domain.errors import Invalid
from app.domain.health import Health
from app.domain.identity.scopes import SPEECH
from app.domain.speech.samples import Samples
from app.domain.voices.catalog import Catalogs, Offer
from app.domain.voices.listing import PAGE_MAX, VoiceFilter, list_voices
from db.types import Capabilities


class VoiceView(Struct, frozen=True, kw_only=True):
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
    voices: list[VoiceView]
    total: int


class LanguageView(Struct, frozen=True, kw_only=True):
    """A language, and the number of voices that speak it."""

    code: str
    name: str
    voices: int


class LanguagesAnswer(Struct, frozen=True, kw_only=True):
    """GET /api/v1/languages."""

    success: Literal[True] = True
    languages: list[LanguageView]
    total: int


class ModelView(Struct, frozen=True, kw_only=True):
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
    models: list[ModelView]
    total: int


class HealthAnswer(Struct, frozen=True, kw_only=True):
    """GET /api/v1/health. `missing` names the unreachable components."""

    success: bool
    status: Literal["ok", "unavailable"]
    missing: list[str]


def list_routes(catalogs: Catalogs, samples: Samples, health: Health) -> list[HTTPRouteHandler]:
    """The routes for voices, languages, models and health."""
    return [_voices_route(catalogs, samples), _languages_route(catalogs), _models_route(catalogs),
            _health_route(health)]  # fmt: skip


def _voices_route(catalogs: Catalogs, samples: Samples) -> HTTPRouteHandler:
    @get("/api/v1/voices", opt={"public": True})
    async def yourvoic_voices(
        language: FromQuery[str | None] = None,
        gender: FromQuery[str | None] = None,
        limit: FromQuery[int | None] = None,
        offset: FromQuery[int] = 0,
    ) -> VoicesAnswer:
        if limit is not None and not 1 <= limit <= PAGE_MAX:
            raise Invalid(f"The limit must be from 1 to {PAGE_MAX}.", field="limit", limit=[1, PAGE_MAX])
        if offset < 0:
            raise Invalid("The offset must not be negative.", field="offset", limit=[0, None])
        found = list_voices(await catalogs.current(), VoiceFilter(language=language, gender=gender))
        page = found.offers[offset:][:limit]
        return VoicesAnswer(voices=[_voice(offer, samples) for offer in page], total=found.total)

    return yourvoic_voices


def _voice(offer: Offer, samples: Samples) -> VoiceView:
    voice = offer.voice
    return VoiceView(
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


def _languages_route(catalogs: Catalogs) -> HTTPRouteHandler:
    @get("/api/v1/languages", opt={"public": True})
    async def yourvoic_languages() -> LanguagesAnswer:
        names: dict[str, str] = {}
        voices: dict[str, int] = {}
        for offer in (await catalogs.current()).offers:
            for number, tag in enumerate(offer.voice.languages):
                named = offer.voice.language_names
                names.setdefault(tag, named[number] if number < len(named) else tag)
                voices[tag] = voices.get(tag, 0) + 1
        found = [LanguageView(code=tag, name=names[tag], voices=voices[tag]) for tag in sorted(names)]
        return LanguagesAnswer(languages=found, total=len(found))

    return yourvoic_languages


def _models_route(catalogs: Catalogs) -> HTTPRouteHandler:
    @get("/api/v1/models", opt={"scope": SPEECH})
    async def yourvoic_models() -> Response[ModelsAnswer]:
        offers = (await catalogs.current()).offers
        engines = {offer.engine.engine: offer.engine for offer in offers}
        models = [_model(engine, offers) for _, engine in sorted(engines.items())]
        return Response(ModelsAnswer(models=models, total=len(models)))

    return yourvoic_models


def _model(engine: Capabilities, offers: tuple[Offer, ...]) -> ModelView:
    voices = [offer.voice for offer in offers if offer.engine.engine == engine.engine]
    return ModelView(
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


def _health_route(health: Health) -> HTTPRouteHandler:
    @get("/api/v1/health", opt={"public": True})
    async def yourvoic_health() -> Response[HealthAnswer]:
        missing = await health.missing()
        if missing:
            view = HealthAnswer(success=False, status="unavailable", missing=missing)
            return Response(view, status_code=503, headers={"Retry-After": "1"})
        return Response(HealthAnswer(success=True, status="ok", missing=[]))

    return yourvoic_health
