"""The voices page: every voice, with filters, samples and a link to the playground."""

from litestar import get
from litestar.di import NamedDependency
from litestar.params import FromQuery

from app.dashboard.rendering import PERSON, Page, PageRequest
from app.domain.errors import Unavailable
from app.domain.voices.catalog import Catalog, Catalogs
from app.domain.voices.listing import VoiceFilter, list_voices
from app.domain.voices.model_downloads import ModelStates


@get("/voices", opt=PERSON)
async def voices_page(
    page: NamedDependency[PageRequest],
    catalogs: NamedDependency[Catalogs],
    model_states: NamedDependency[ModelStates],
    language: FromQuery[str] = "",
    gender: FromQuery[str] = "",
    quality: FromQuery[str] = "",
) -> Page:
    """The voices that match the filters; an empty filter is none."""
    catalog = await current_catalog(catalogs)
    wanted = VoiceFilter(language=language or None, gender=gender or None, quality=quality or None)
    return await page.show(
        "voices.html",
        offers=list_voices(catalog, wanted).offers,
        missing=await model_states.current(),
        languages=_languages(catalog),
        language=language,
        gender=gender,
        quality=quality,
    )


async def current_catalog(catalogs: Catalogs) -> Catalog:
    """The catalog; empty if the database is unreachable, so that the page works."""
    try:
        return await catalogs.current()
    except Unavailable:
        return Catalog((), {})


def _languages(catalog: Catalog) -> list[tuple[str, str]]:
    """(tag, name) of each language spoken, by name."""
    found = {
        tag: name
        for offer in catalog.offers
        for tag, name in zip(offer.voice.languages, offer.voice.language_names, strict=False)
    }
    return sorted(found.items(), key=lambda one: (one[1], one[0]))
