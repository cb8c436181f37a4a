"""Abridged capabilities of hibari, Kokoro and eSpeak; their workers do not run."""

import msgspec

from db.types import Capabilities, Voice

from .published_engine import ENGINE, voice

_MEN = ("Ryan", "Peter", "James")


def engine(name: str, *voices: Voice, **other: object) -> Capabilities:
    return msgspec.structs.replace(ENGINE, engine=name, voices=voices, **other)


def spoken_by(name: str, display: str, *languages: str, gender: str = "male", quality: str = "high") -> Voice:
    return msgspec.structs.replace(voice(display, *languages, gender=gender, quality=quality), id=name)


ESPEAK = engine(
    "espeak",
    *(spoken_by(f"espeak-{one.lower()}", f"eSpeak {one}", "en-US", "en-GB", quality="low") for one in _MEN),
    spoken_by("espeak-emma", "eSpeak Emma", "en-US", "en-GB", "en-AU", gender="female", quality="low"),
    spoken_by("de-male", "de-male", "de", quality="low"),
    spoken_by("de-female", "de-female", "de", gender="female", quality="low"),
    spoken_by("fr-female", "fr-female", "fr-FR", gender="female", quality="low"),
    spoken_by("fr-male", "fr-male", "fr-FR", quality="low"),
    speed_max=4.0,
    pitch_min=-20.0,
    pitch_max=20.0,
    formats=("wav", "mp3", "flac"),
)
HIBARI = engine("hibari", spoken_by("heart", "Heart", "en-US", gender="female"))
HIBARI_WHOLE = engine(
    "hibari",
    *HIBARI.voices,
    spoken_by("fenrir", "Fenrir", "en-US"),
    spoken_by("emma-gb", "Emma (British)", "en-GB", gender="female"),
    spoken_by("fable", "Fable", "en-GB"),
)
KOKORO = engine(
    "kokoro",
    *(
        spoken_by(id, f"Kokoro {id[3:].title()}", "en-US", gender="female")
        for id in ("af_heart", "af_bella", "af_kore")
    ),
    *(spoken_by(id, f"Kokoro {id[3:].title()}", "en-US") for id in ("am_fenrir", "am_michael", "am_puck")),
    spoken_by("bf_emma", "Kokoro Emma", "en-GB", gender="female"),
    spoken_by("bm_george", "Kokoro George", "en-GB"),
    spoken_by("bm_fable", "Kokoro Fable", "en-GB"),
    spoken_by("ff_siwis", "Siwis", "fr-FR", gender="female"),
)
