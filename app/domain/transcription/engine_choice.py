"""Which recognition engine transcribes a request, by language, task and accuracy. Pure."""

from collections.abc import Sequence

from msgspec import Struct

from app.domain.errors import Invalid, Unavailable, UnknownLanguage
from app.domain.voices.languages import matching
from db.types import Capabilities

PROMPT_MAX = 1000  # characters
TEMPERATURE_MAX = 1.0


class TranscriptionRequest(Struct, frozen=True, kw_only=True):
    """A request of any dialect. No language: it is detected, or the engine's first; no engine: the best."""

    language: str | None = None
    words: bool = False
    translate: bool = False
    engine: str | None = None
    prompt: str = ""  # words that may occur; up to PROMPT_MAX characters
    temperature: float = 0.0  # up to TEMPERATURE_MAX


def _unknown_language(engines: list[Capabilities]) -> UnknownLanguage:
    known = list(dict.fromkeys(tag for engine in engines for tag in engine.languages))
    return UnknownLanguage(
        f"No engine here knows this language. They know {', '.join(known)}.",
        field="language",
        languages=known,
    )


def has_engine(found: Sequence[Capabilities], request: TranscriptionRequest) -> bool:
    """Whether one of these engines can transcribe the request."""
    try:
        return bool(choose(found, request))
    except (Unavailable, Invalid):
        return False


def engine_away() -> Unavailable:
    """The refusal if a suitable engine may come back."""
    message = "The engine that can transcribe this is not running at the moment. Try again soon."
    return Unavailable(message, retry_after_s=5)


def choose(found: Sequence[Capabilities], request: TranscriptionRequest) -> Capabilities:
    """The most accurate suitable engine. Raises Unavailable and Invalid."""
    if not found:
        raise Unavailable("No transcription engine is ready yet. Try again in a moment.", retry_after_s=5)
    named = [engine for engine in found if request.engine in (None, engine.engine)]
    if not named:
        names = [engine.engine for engine in found]
        raise Invalid(f"Engines are {', '.join(names)}.", field="model", engines=names)
    able = [engine for engine in named if engine.translates or not request.translate]
    if not able:
        raise Invalid("No engine here translates.", field="task")
    knowing = [engine for engine in able if known_tag(engine, request.language) is not None]
    if not knowing:
        raise _unknown_language(able)
    return max(knowing, key=lambda engine: (engine.accuracy != "low", len(engine.languages)))


def known_tag(engine: Capabilities, requested: str | None) -> str | None:
    """The engine's own tag for the requested language, empty if it detects the language; None: it does not
    know it.
    """
    wanted = (requested or "").strip().casefold()
    if wanted in ("", "auto"):
        return "" if engine.detects_language else engine.languages[0]
    return matching(wanted, engine.languages, engine.language_names)
