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
from db.formats import FORMATS, Format
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
    sample_rate: int | None = None
    bitrate_kbps: int | None = None


class Plan(Struct, frozen=True):
    """What will be spoken, and by which engine."""

    offer: Offer
    params: SpeechParams

    @property
    def format(self) -> Format:
        return FORMATS[self.params.format]

    @property
    def rate_hz(self) -> int:
        """Samples a second of the audio there will be."""
        return self.format.rate_hz(self.params.rate_hz, self.offer.engine.sample_rate_hz)

    @property
    def cost_us(self) -> int:
        """Engine time this is expected to take."""
        return len(self.params.text) * self.offer.engine.cost_us_per_character


def plan(request: SpeechRequest, offer: Offer, *, characters_max: int) -> Plan:
    """The request with every default filled in. Raises Invalid and TextTooLong, naming field and limit."""
    engine = offer.engine
    check_text(request.text, min(characters_max, engine.characters_max))
    wanted = FORMATS[_format(request.format, engine.formats)]
    params = SpeechParams(
        text=request.text,
        voice=offer.voice.id,
        language=_language(request.language, offer),
        format=wanted.name,
        speed=_within("speed", request.speed, 1.0, engine.speed_min, engine.speed_max),
        pitch=_within("pitch", request.pitch, 0.0, engine.pitch_min, engine.pitch_max),
        rate_hz=_rate_hz(request.sample_rate, wanted),
        bitrate_kbps=_bitrate_kbps(request.bitrate_kbps, wanted),
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
    available = list(names.values())[:_SUGGESTIONS_MAX]
    close = get_close_matches(shown.casefold(), names, n=_SUGGESTIONS_MAX, cutoff=0.6)
    return UnknownVoice(
        f"There is no voice '{shown}'. GET /v1/voices lists them all.",
        field="voice",
        provided=shown,
        suggestions=[names[name] for name in close] or available,
        available=available,
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
    for language in languages:  # `de` is spoken by de-AT, the first such one
        if language.casefold().startswith(f"{wanted}-"):
            return language
    raise UnknownLanguage(
        f"The voice '{offer.voice.name}' speaks {', '.join(languages)}.",
        field="language",
        languages=list(languages),
    )


def _format(asked: str | None, formats: tuple[str, ...]) -> str:
    wanted = "wav" if asked is None else asked.strip().casefold()
    if wanted not in formats or wanted not in FORMATS:
        raise UnknownFormat(f"Formats are {', '.join(formats)}.", field="format", formats=list(formats))
    return wanted


def _rate_hz(asked: int | None, wanted: Format) -> int:
    if asked is None:
        return 0
    if asked not in wanted.rates_hz:
        rates = list(wanted.rates_hz)
        message = f"The sample_rate of {wanted.name} is one of {', '.join(map(str, rates))}."
        raise Invalid(message, field="sample_rate", limit=rates)
    return asked


def _bitrate_kbps(asked: int | None, wanted: Format) -> int:
    if asked is None:
        return 0
    if wanted.bitrates_kbps is None:
        raise Invalid(f"{wanted.name} has no bitrate to choose.", field="bitrate_kbps")
    least, most, _ = wanted.bitrates_kbps
    return int(_within("bitrate_kbps", asked, 0, least, most))


def _within(field: str, asked: float | None, default: float, least: float, most: float) -> float:
    if asked is None:
        return default
    if not least <= asked <= most:
        raise Invalid(
            f"The {field} must be from {least:g} to {most:g} for this voice and format.",
            field=field,
            limit=[least, most],
        )
    return asked
