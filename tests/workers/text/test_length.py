"""The estimated duration of a text, compared with the embedded engine's audio."""

from collections.abc import Generator

import pytest

from app.domain.speech.sample_texts import sample_text
from db.speech_length import estimated_seconds
from tests.workers.speaking import say, utterance
from workers.engines.espeak.engine import SAMPLE_RATE_HZ, EspeakEngine
from workers.text.shapes import prepare_text

LANGUAGES = ("en", "de", "fr", "ru", "es", "ar", "hi", "zh", "ja", "ko", "el", "tr", "vi")
NUMBERS = {
    "long numbers": "9999999999999 " * 20,
    "short numbers": "1234 56 7 " * 30,
    "one number": "7" * 300,
    "Arabic digits": "٩٩٩٩٩٩٩٩٩٩٩ " * 15,
}


@pytest.fixture(scope="module")
def engine() -> Generator[EspeakEngine]:
    engine = EspeakEngine()
    yield engine
    engine.close()


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("speed", [0.5, 2.0])
@pytest.mark.parametrize("kind", ["prose", *NUMBERS])
def test_an_estimate_is_right_within_a_half(
    engine: EspeakEngine, language: str, speed: float, kind: str
) -> None:
    voice, tag = next(
        (voice.id, tag)
        for voice in engine.capabilities.voices
        for tag in voice.languages
        if tag.partition("-")[0] == language
    )
    text = NUMBERS.get(kind) or sample_text(tag) * 8
    spoken = say(engine, utterance(prepare_text(text, tag), voice, tag, speed=speed))
    seconds = len(spoken) / 2 / SAMPLE_RATE_HZ

    assert 0.55 * seconds < estimated_seconds(text, tag, speed) < 1.55 * seconds
