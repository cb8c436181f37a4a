"""The voices page: every voice, with filters, samples and a link to the playground."""

from litestar import Response, get
from litestar.handlers import HTTPRouteHandler

from app.dashboard.rendering import PERSON, Pages
from app.domain.errors import Unavailable
from app.domain.voices.catalog import Catalog, Catalogs
from app.domain.voices.listing import VoiceFilter, list_voices
from app.domain.voices.model_downloads import ModelStates
from app.http.api_request import ApiRequest


def voices_route(pages: Pages, catalogs: Catalogs, models: ModelStates) -> HTTPRouteHandler:
    """GET /voices."""

    @get("/voices", opt=PERSON, include_in_schema=False)
    async def voices_page(request: ApiRequest) -> Response[str]:
        query = request.query_params
        language, gender, quality = (query.get(name) or None for name in ("language", "gender", "quality"))
        try:
            catalog = await catalogs.current()
        except Unavailable:
            catalog = Catalog((), {})
        found = list_voices(catalog, VoiceFilter(language=language, gender=gender, quality=quality))
        return await pages.show(
            request,
            "voices.html",
            offers=found.offers,
            missing=await models.current(),
            languages=_languages(catalog),
            language=language,
            gender=gender,
            quality=quality,
        )

    return voices_page


def _languages(catalog: Catalog) -> list[tuple[str, str]]:
    """(tag, name) of each language spoken, by name."""
    found = {
        tag: name
        for offer in catalog.offers
        for tag, name in zip(offer.voice.languages, offer.voice.language_names, strict=False)
    }
    return sorted(found.items(), key=lambda one: (one[1], one[0]))
