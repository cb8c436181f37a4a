"""Resolves the voice of a request: a voice's id or name, an operator's name, or a stock name."""

from collections.abc import Iterator
from typing import Literal

import msgspec
from msgspec import Struct

from app.domain.speech.text_language import script_language
from app.domain.speech.validation import SpeechRequest, language_of
from app.domain.voices.catalog import Catalog, Offer, best_offer
from app.domain.voices.stock_voices import STOCK, STOCK_NAMES, Family, StockVoice

Reason = Literal["", "name", "natural_voice_unavailable", "language", "settings"]


class Match(Struct, frozen=True):
    """The voice that speaks. `reason`: why it is not the one requested; empty if it is that very voice.

    `name`: the requested name stands for it; `natural_voice_unavailable`: a robotic voice speaks until the
    name's own voice is available; `language`: the name's own voice cannot speak that language (or, if none is
    requested, read the text's script); `settings`: it does not support that speed, pitch or format.
    """

    offer: Offer
    reason: Reason = ""


def resolve(catalog: Catalog, request: SpeechRequest) -> Match | None:
    """The voice for a request: by voice id, then operator's names, stock names, and display names."""
    name = request.voice.strip().casefold()
    own = catalog.find(name)
    if own is not None and own.voice.id.casefold() == name:
        return Match(own)
    if name in catalog.chosen and (chosen := _chosen(catalog, request, catalog.chosen[name])):
        return chosen  # if the operator's voice is unknown so far, the name is resolved further
    stock = STOCK.get(name) or (STOCK_NAMES.get(name) if own is None else None)
    if stock is not None and catalog.standing:
        return _stand_in(catalog, request, stock)
    return Match(own) if own is not None else None


def find(catalog: Catalog, voice: str) -> Offer | None:
    """The voice that speaks for this name, if nothing else is requested."""
    found = resolve(catalog, SpeechRequest(text="", voice=voice))
    return found.offer if found else None


def listed_names(catalog: Catalog, *families: Family) -> Iterator[Offer]:
    """The stock names of these families, each with gender, quality and languages of the voice it has now."""
    for stock in STOCK.values():
        offer = find(catalog, stock.id) if stock.family in families else None
        if offer is not None and offer.voice.id.casefold() != stock.id.casefold():
            yield _named(stock, offer)


def _chosen(catalog: Catalog, request: SpeechRequest, voice: str) -> Match | None:
    unchosen = msgspec.structs.replace(catalog, chosen={})  # an operator's name for itself ends here
    found = resolve(unchosen, msgspec.structs.replace(request, voice=voice))
    return Match(found.offer, found.reason or "name") if found else None


def _stand_in(catalog: Catalog, request: SpeechRequest, stock: StockVoice) -> Match:
    """The name's own voice if it supports the request, else the best voice that does; if none does, its own,
    whose limits the error will name.
    """
    usual, guess = catalog.standing[stock.profile], None
    if not request.language or not request.language.strip():
        guess = script_language(request.text)
    able: list[Offer] = []
    if not (_speaks(usual, request, guess) and _has_settings(usual, request)):
        able = [one for one in catalog.offers if _speaks(one, request, guess) and _has_settings(one, request)]
    if able:
        reason: Reason = "settings" if _speaks(usual, request, guess) else "language"
        return Match(best_offer(stock.profile, able), reason)
    return Match(usual, "natural_voice_unavailable" if usual.voice.quality == "low" else "name")


def _speaks(offer: Offer, request: SpeechRequest, guess: str | None) -> bool:
    """Whether the voice speaks the requested language; without one, whether its default reads the text."""
    if guess is None:
        return language_of(request.language, offer.voice) is not None
    return language_of(guess, offer.voice) == offer.voice.languages[0]


def _has_settings(offer: Offer, request: SpeechRequest) -> bool:
    engine = offer.engine
    speed = 1.0 if request.speed is None else request.speed
    pitch = 0.0 if request.pitch is None else request.pitch
    return (
        engine.speed_min <= speed <= engine.speed_max
        and engine.pitch_min <= pitch <= engine.pitch_max
        and (request.format is None or request.format.strip().casefold() in engine.formats)
    )


def _named(stock: StockVoice, offer: Offer) -> Offer:
    about = f"{offer.voice.name} of {offer.engine.engine} speaks for this name now. {offer.voice.description}"
    voice = msgspec.structs.replace(offer.voice, id=stock.id, name=stock.name, description=about.strip())
    return msgspec.structs.replace(offer, voice=voice, spoken_by=offer.voice.id)
