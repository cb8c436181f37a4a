"""The engine that the API tests publish; it has no worker."""

from db.types import Capabilities, Voice


def voice(name: str, *languages: str, gender: str = "male", quality: str = "high") -> Voice:
    return Voice(
        id=name.lower(),
        name=name,
        gender=gender,  # type: ignore[arg-type]
        languages=languages,
        language_names=tuple(f"Language {tag}" for tag in languages),
        description=f"Voice: {name}",
        quality=quality,  # type: ignore[arg-type]
    )


ENGINE = Capabilities(
    engine="parrot",
    kind="speech",
    voices=(
        voice("ryan", "en-US"),
        voice("Anna", "de-DE", "de-AT", gender="female", quality="low"),
        voice("Zoë", "fr-FR", gender="female", quality="standard"),
    ),
    sample_rate_hz=22_050,
    formats=("wav", "mp3"),
    characters_max=2000,
    cost_us_per_character=100,
    speed_min=0.5,
    speed_max=2.0,
    audio_s_max=600,
    audio_bytes_max=20_000_000,
)
