"""The list of voices: filtered and paginated."""

from collections.abc import Sequence

from msgspec import Struct

from app.domain.errors import Invalid
from app.domain.voices.catalog import Catalog, Offer
from app.domain.voices.resolution import listed_names
from app.domain.voices.stock_voices import Family
from db.types import Voice

PAGE_MAX = 1000


class VoiceFilter(Struct, frozen=True, kw_only=True):
    """What to list. None: all."""

    language: str | None = None
    gender: str | None = None
    quality: str | None = None
    words: str = ""  # each must occur in name, gender, description or languages
    limit: int | None = None
    cursor: str | None = None  # id of the last voice seen


class VoicePage(Struct, frozen=True):
    """Voices of one page; `total` counts all pages."""

    offers: Sequence[Offer]
    total: int
    has_more: bool


def list_voices(catalog: Catalog, wanted: VoiceFilter, *more: Family) -> VoicePage:
    """One page of the matching voices: stock names, of `more` families too, then the catalog's, in its order.

    Raises Invalid for a limit out of range or an unknown cursor.
    """
    if wanted.limit is not None and not 1 <= wanted.limit <= PAGE_MAX:
        raise Invalid(f"The limit must be from 1 to {PAGE_MAX}.", field="limit", limit=[1, PAGE_MAX])
    offers = (*listed_names(catalog, "codevoice", "openai", *more), *catalog.offers)
    matching = [offer for offer in offers if _matches(offer, wanted)]
    rest = matching[_start(matching, wanted.cursor) :]
    page = rest[: wanted.limit]
    return VoicePage(page, len(matching), len(rest) > len(page))


def _matches(offer: Offer, wanted: VoiceFilter) -> bool:
    voice = offer.voice
    return (
        (not wanted.language or any(_speaks(tag, wanted.language) for tag in voice.languages))
        and (not wanted.gender or voice.gender == wanted.gender.casefold())
        and (not wanted.quality or voice.quality == wanted.quality.casefold())
        and (not wanted.words or _says(voice, wanted.words.casefold().split()))
    )


def _says(voice: Voice, words: Sequence[str]) -> bool:
    said = " ".join((voice.name, voice.gender, voice.description, *voice.languages, *voice.language_names))
    return all(word in said.casefold() for word in words)


def _speaks(tag: str, wanted: str) -> bool:
    """Whether a voice's language tag matches: `de` matches de-AT, `de-AT` does not match de."""
    tag, wanted = tag.casefold(), wanted.strip().replace("_", "-").casefold()
    return tag == wanted or tag.startswith(f"{wanted}-")


def _start(matching: Sequence[Offer], cursor: str | None) -> int:
    if not cursor:
        return 0
    for position, offer in enumerate(matching):
        if offer.voice.id == cursor:
            return position + 1
    raise Invalid("This cursor is not of this list.", field="cursor")
