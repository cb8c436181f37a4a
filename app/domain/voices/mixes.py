"""Voice mixes, `af_heart(2)+af_bella(1)`, for engines that can mix their voices."""

from msgspec.structs import replace

from app.domain.errors import Invalid
from app.domain.voices.catalog import Catalog, Offer
from db.types import Voice
from db.voice_mix import MixError, Part, canonical, is_mix, parse

_CHARACTERS_MAX = 400


def mixed(name: str, catalog: Catalog) -> Offer | None:
    """The mix of that name as a voice; None: it is not written as a mix, or one of its voices is unknown.

    Raises Invalid if the voices cannot be mixed.
    """
    if not is_mix(name):
        return None
    if len(name) > _CHARACTERS_MAX:
        message = f"A mix has at most {_CHARACTERS_MAX} characters."
        raise Invalid(message, field="voice", limit=_CHARACTERS_MAX)
    try:
        found = [(catalog.find(part.voice), part.weight) for part in parse(name)]
        parts = [(offer, weight) for offer, weight in found if offer is not None]
        if len(parts) < len(found):
            return None
        # The heaviest voice's language is the mix's default.
        parts.sort(key=lambda part: (-part[1], part[0].voice.id))
        known = [Part(offer.voice.id, weight) for offer, weight in parts]
        if len({part.voice for part in known}) < len(known):
            raise MixError("A mix has each voice once.")
        offers = [offer for offer, _ in parts]
        return Offer(_voice(known, offers), offers[0].engine)
    except MixError as error:
        raise Invalid(str(error), field="voice") from None


def unknown(name: str, catalog: Catalog) -> str:
    """The unknown part of a name that was not found: a voice of a mix, or the name itself."""
    voices = [part.voice for part in parse(name)] if is_mix(name) else [name]
    return next((voice for voice in voices if catalog.find(voice) is None), name)


def _voice(parts: list[Part], offers: list[Offer]) -> Voice:
    """The mixed voice. Raises MixError."""
    first, engine = offers[0].voice, offers[0].engine
    if any(offer.engine.engine != engine.engine for offer in offers) or not engine.mix_voices_max:
        names = ", ".join(offer.voice.id for offer in offers)
        raise MixError(f"{names}: voices are mixed by an engine that can, and all of one engine.")
    if len(parts) > engine.mix_voices_max:
        raise MixError(f"A mix has at most {engine.mix_voices_max} voices.")
    if len({language.partition("-")[0] for offer in offers for language in offer.voice.languages}) > 1:
        raise MixError("The voices of a mix speak one language.")
    if len(parts) == 1:
        return first
    name = canonical(parts)
    by_tag = {
        tag: called
        for offer in offers
        for tag, called in zip(offer.voice.languages, offer.voice.language_names, strict=True)
    }
    return replace(
        first,
        id=name,
        name=name,
        gender=first.gender if len({offer.voice.gender for offer in offers}) == 1 else "neutral",
        languages=tuple(by_tag),
        language_names=tuple(by_tag.values()),
        description=f"A mix of {', '.join(offer.voice.name for offer in offers)}.",
    )
