"""From a request for speech to what an engine can do: every field checked against the voice's own engine."""

from difflib import get_close_matches

from msgspec import Struct

from app.domain.catalog import Catalog, Offer
from app.domain.errors import (
    Invalid,
    MissingText,
    TextTooLong,
    UnknownFormat,
    UnknownLanguage,
    UnknownVoice,
)
from db.rows import SpeechParams

_SUGGESTIONS_MAX = 20
_ECHO_CHARACTERS_MAX = 100  # of a wrong value, in the answer


class SpeechRequest(Struct, frozen=True, kw_only=True):
    """What every dialect asks for. None: the voice's or engine's default."""

    text: str
    voice: str
    language: str | None = None
    format: str | None = None
    speed: float | None = None
    pitch: float | None = None


class Plan(Struct, frozen=True):
    """What will be spoken, and by which engine."""

    offer: Offer
    params: SpeechParams


def plan(request: SpeechRequest, offer: Offer, *, characters_max: int) -> Plan:
    """The request with every default filled in. Raises Invalid and TextTooLong, naming field and limit."""
    engine = offer.engine
    check_text(request.text, min(characters_max, engine.characters_max))
    params = SpeechParams(
        text=request.text,
        voice=offer.voice.id,
        language=_language(request.language, offer),
        format=_format(request.format, engine.formats),
        speed=_within("speed", request.speed, 1.0, engine.speed_min, engine.speed_max),
        pitch=_within("pitch", request.pitch, 0.0, engine.pitch_min, engine.pitch_max),
    )
    return Plan(offer, params)


def check_text(text: str, characters_max: int) -> None:
    """Raise unless there is something to say, in characters that can be kept."""
    if len(text) > characters_max:
        raise TextTooLong(
            f"The text has {len(text)} characters; at most {characters_max} are allowed. Send it in parts.",
            field="text",
            limit=characters_max,
            length=len(text),
        )
    if not text.strip():
        raise MissingText("The text is empty.", field="text", limit=[1, characters_max])
    if "\0" in text:
        raise Invalid("The text has a NUL character.", field="text")
    if not is_unicode(text):
        raise Invalid("The text has half of a surrogate pair.", field="text")


def unknown_voice(name: str, catalog: Catalog) -> UnknownVoice:
    """The refusal of a voice nobody has, with names like it."""
    shown = name[:_ECHO_CHARACTERS_MAX].encode(errors="replace").decode()
    names = {offer.voice.name.casefold(): offer.voice.name for offer in catalog.offers}
    close = get_close_matches(shown.casefold(), names, n=_SUGGESTIONS_MAX, cutoff=0.6) or list(names)
    return UnknownVoice(
        f"There is no voice '{shown}'. GET /v1/voices lists them all.",
        field="voice",
        provided=shown,
        suggestions=[names[name] for name in close[:_SUGGESTIONS_MAX]],
    )


def is_unicode(text: str) -> bool:
    """Whether `text` can be written down: JSON may carry half a surrogate pair."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _language(asked: str | None, offer: Offer) -> str:
    languages = offer.voice.languages
    if asked is None or not asked.strip():
        return languages[0]
    wanted = asked.strip().replace("_", "-").casefold()
    for language in languages:
        if language.casefold() == wanted:
            return language
    raise UnknownLanguage(
        f"The voice '{offer.voice.name}' speaks {', '.join(languages)}.",
        field="language",
        languages=list(languages),
    )


def _format(asked: str | None, formats: tuple[str, ...]) -> str:
    wanted = "wav" if asked is None else asked.strip().casefold()
    if wanted not in formats:
        raise UnknownFormat(f"Formats are {', '.join(formats)}.", field="format", formats=list(formats))
    return wanted


def _within(field: str, asked: float | None, default: float, least: float, most: float) -> float:
    if asked is None:
        return default
    if not least <= asked <= most:
        raise Invalid(
            f"The {field} must be from {least:g} to {most:g} for this voice.",
            field=field,
            limit=[least, most],
        )
    return asked
