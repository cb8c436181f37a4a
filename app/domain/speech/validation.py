"""Validates a speech request: every field is checked against the limits of the voice's engine."""

from difflib import get_close_matches
from typing import Annotated
from unicodedata import category

from msgspec import UNSET, Meta, Struct

from app.domain.errors import Invalid, MissingText, TextTooLong, UnknownFormat, UnknownLanguage, UnknownVoice
from app.domain.voices.catalog import Catalog, Offer
from app.domain.voices.stock_voices import STOCK
from db.formats import FORMATS, Format
from db.speech_length import estimated_seconds, least_seconds
from db.types import SpeechParams, Voice

_SUGGESTIONS_MAX = 20
_ECHO_CHARACTERS_MAX = 100  # of a wrong value, in the response
_UNCOMPRESSED = ("wav", "pcm")
_SAMPLE_BYTES = 2
_CHARACTER_S_MAX = 0.9  # no character takes longer to say, at speed 1
_SMALL_BYTES = 1 << 20  # of a file: below this, the exact size does not matter
_SURELY = 0.7  # of an estimate: a margin, so that no text that would fit is refused


class SpeechRequest(Struct, frozen=True, kw_only=True):
    """A speech request of any dialect. None: the voice's or engine's default."""

    text: Annotated[str, Meta(examples=["Hello world"], extra_json_schema={"extra": {"min_length": 1}})]
    voice: Annotated[str, Meta(examples=["Emma"])]
    language: Annotated[str | None, Meta(examples=[None])] = None
    format: str | None = None
    speed: float | None = None
    pitch: float | None = None
    sample_rate: int | None = None
    bitrate_kbps: int | None = None


class ValidatedSpeech(Struct, frozen=True):
    """What will be spoken, and by which voice and engine."""

    offer: Offer
    params: SpeechParams

    @property
    def format(self) -> Format:
        return FORMATS[self.params.format]

    @property
    def rate_hz(self) -> int:
        """Samples per second of the resulting audio."""
        return self.format.rate_hz(self.params.rate_hz, self.offer.engine.sample_rate_hz)

    @property
    def expected_ms(self) -> int:
        """Estimated milliseconds of audio."""
        params = self.params
        return round(1000 * estimated_seconds(params.text, params.language, params.speed))

    @property
    def least_ms(self) -> int:
        """The least possible milliseconds of audio, by which partly delivered audio is priced."""
        params = self.params
        return round(1000 * least_seconds(params.text, params.language, params.speed))

    @property
    def expected_bytes(self) -> int:
        """The estimated size of the file."""
        form, params = self.format, self.params
        a_second = self.rate_hz * _SAMPLE_BYTES
        if form.bitrates_kbps is not None:
            a_second = 125 * (params.bitrate_kbps or form.bitrates_kbps[2])
        most = round(len(params.text) * _CHARACTER_S_MAX / params.speed * a_second)
        # For nearly all texts the exact estimate is not needed.
        return most if most < _SMALL_BYTES else round(self.expected_ms * a_second / 1000)

    @property
    def cost_us(self) -> int:
        """The expected engine time."""
        return len(self.params.text) * self.offer.engine.cost_us_per_character


def validate(
    request: SpeechRequest, offer: Offer, *, characters_max: int, reason: str = ""
) -> ValidatedSpeech:
    """The request with all defaults filled in. Raises Invalid and TextTooLong, naming field and limit.

    `reason`: why this voice speaks although another was requested; kept with the job.
    """
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
        asked_voice=request.voice.strip() if reason else UNSET,
        voice_reason=reason or UNSET,
    )
    planned = ValidatedSpeech(offer, params)
    _check_length(planned)
    return planned


def _check_length(planned: ValidatedSpeech) -> None:
    """Raise TextTooLong if the audio would be longer, or its file larger, than the worker's limits."""
    engine, speed = planned.offer.engine, planned.params.speed
    seconds_max = float(engine.audio_s_max)
    if planned.params.format in _UNCOMPRESSED:
        seconds_max = min(seconds_max, engine.audio_bytes_max / (planned.rate_hz * _SAMPLE_BYTES))
    # For nearly all texts the exact estimate is not needed.
    if len(planned.params.text) * _CHARACTER_S_MAX / speed < seconds_max:
        return
    seconds = planned.expected_ms / 1000
    if _SURELY * seconds > seconds_max:
        raise TextTooLong(
            f"This text would take about {seconds:.0f} s to say at this speed, digits being read as words; at"
            f" most {seconds_max:.0f} s of audio are made in this format. Send it in parts.",
            field="text",
            limit=int(seconds_max),
            seconds=round(seconds),
        )


def check_text(text: str, characters_max: int) -> None:
    """Raise TextTooLong, MissingText or Invalid unless the text can be spoken and stored."""
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
    """The error for an unknown voice, with similar names."""
    shown = name[:_ECHO_CHARACTERS_MAX].encode(errors="replace").decode()
    stock = {stock.id: stock.name for stock in STOCK.values() if stock.family != "elevenlabs"}
    names = stock | {offer.voice.name.casefold(): offer.voice.name for offer in catalog.offers}
    available = list(names.values())[:_SUGGESTIONS_MAX]
    close = get_close_matches(shown.casefold(), names, n=_SUGGESTIONS_MAX, cutoff=0.6)
    return UnknownVoice(
        f"There is no voice '{shown}'. GET /v1/voices lists them all.",
        field="voice",
        provided=shown,
        suggestions=[names[name] for name in close] or available,
        available=available,
    )


def is_one_line(text: str) -> bool:
    """Whether `text` has neither line breaks nor other control characters."""
    return not any(category(character) in ("Cc", "Zl", "Zp") for character in text)


def is_unicode(text: str) -> bool:
    """Whether `text` can be encoded: JSON may carry half a surrogate pair."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def language_of(requested: str | None, voice: Voice) -> str | None:
    """The voice's own tag for the requested language, its default for none; None: it does not speak it."""
    if requested is None or not requested.strip():
        return voice.languages[0]
    wanted = requested.strip().replace("_", "-").casefold()
    for language in voice.languages:
        if language.casefold() == wanted:
            return language
    for language in voice.languages:  # `de` matches the first such tag, e.g. de-AT
        if language.casefold().startswith(f"{wanted}-"):
            return language
    return None


def _language(requested: str | None, offer: Offer) -> str:
    found, languages = language_of(requested, offer.voice), offer.voice.languages
    if found is None:
        raise UnknownLanguage(
            f"The voice '{offer.voice.name}' speaks {', '.join(languages)}.",
            field="language",
            languages=list(languages),
        )
    return found


def _format(requested: str | None, formats: tuple[str, ...]) -> str:
    wanted = "wav" if requested is None else requested.strip().casefold()
    if wanted not in formats or wanted not in FORMATS:
        raise UnknownFormat(f"Formats are {', '.join(formats)}.", field="format", formats=list(formats))
    return wanted


def _rate_hz(requested: int | None, wanted: Format) -> int:
    if requested is None:
        return 0
    if requested not in wanted.rates_hz:
        rates = list(wanted.rates_hz)
        message = f"The sample_rate of {wanted.name} is one of {', '.join(map(str, rates))}."
        raise Invalid(message, field="sample_rate", limit=rates)
    return requested


def _bitrate_kbps(requested: int | None, wanted: Format) -> int:
    if requested is None:
        return 0
    if wanted.bitrates_kbps is None:
        raise Invalid(f"{wanted.name} has no bitrate to choose.", field="bitrate_kbps")
    least, most, _ = wanted.bitrates_kbps
    return int(_within("bitrate_kbps", requested, 0, least, most))


def _within(field: str, requested: float | None, default: float, least: float, most: float) -> float:
    if requested is None:
        return default
    if not least <= requested <= most:
        raise Invalid(
            f"The {field} must be from {least:g} to {most:g} for this voice and format.",
            field=field,
            limit=[least, most],
        )
    return requested
