"""The real engine, with prepared text: it lives, it leaves nothing out, it sounds as before."""

from collections.abc import Iterator
from random import Random
from uuid import UUID

import pytest

from db.speech_length import estimated_seconds
from workers.engines.espeak.engine import EspeakEngine
from workers.engines.protocol import Utterance
from workers.text.shapes import prepare_text

from .corpus import PROSE

BYTES_A_SECOND = 22_050 * 2


@pytest.fixture(scope="module")
def engine() -> Iterator[EspeakEngine]:
    engine = EspeakEngine()
    yield engine
    engine.close()


def seconds(engine: EspeakEngine, text: str, language: str = "en-US", speed: float = 1.0) -> float:
    voice = next(voice.id for voice in engine.capabilities.voices if language in voice.languages)
    utterance = Utterance(
        job_id=UUID(int=1), text=prepare_text(text, language), voice=voice, language=language, speed=speed
    )
    (speech,) = engine.begin([utterance])
    return sum(map(len, speech)) / BYTES_A_SECOND


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("a." * 500, "en-US"),
        ("U.S.A." * 300, "en-US"),
        ("a . " * 500, "en-US"),
        ("ư.d. " * 163, "vi"),
        ("ю." * 117, "he"),
        ("中." * 100, "en-US"),
        ("9" * 3000, "de"),
        ("`", "vi"),
        ("⣿", "fi"),
        ("⢿⣿ ⣯", "ti"),
        ("a ⓜ", "bn"),
        ('"-agtig"', "da"),
        ("|-ﷂ", "hi"),
        ("ﷂ\u0e38\u05a6|-" * 200, "hi"),
        ("'-hu", "vi"),
        ("⣿", "tn"),
        ("ⓜ", "te"),
    ],
)
def test_what_ended_its_process_is_spoken(engine: EspeakEngine, text: str, language: str) -> None:
    """Each did, as it stands, with espeak 1.52."""
    assert seconds(engine, text, language) >= 0


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("๑", "en-US"),
        ("ก", "th"),
        ("x", "en-US"),
        ("9", "de"),
        ("= ", "en-US"),
        ("a ", "en-US"),
        ("ж", "fr-FR"),
        ("あ", "ja"),
    ],
)
def test_a_long_run_takes_as_long_as_its_pieces(engine: EspeakEngine, text: str, language: str) -> None:
    piece = (text * 40)[:40]
    assert seconds(engine, piece * 25, language) == pytest.approx(
        25 * seconds(engine, piece, language), rel=0.3
    )


def test_silence_without_end_is_nothing_to_say(engine: EspeakEngine) -> None:
    """Each pause was once scanned with all those before it: the server seemed to hang."""
    assert seconds(engine, ("\u200b,\n" + "Ꭰ,\n") * 4000) == 0


SAID = {
    "prose": lambda language: " ".join([PROSE[language]] * 3),
    "twelve digits": lambda _: " ".join(_numbers(12, 12)),
    "small numbers": lambda _: ", ".join(_numbers(60, 5)),
    "digits": lambda _: "".join(_numbers(20, 10)),
}


def _numbers(count: int, digits: int) -> list[str]:
    random = Random(digits)
    return [str(random.randrange(10 ** (digits - 1), 10**digits)) for _ in range(count)]


@pytest.mark.parametrize("speed", [0.5, 1.0, 4.0])
@pytest.mark.parametrize("language", PROSE)
def test_the_length_is_foreseen(engine: EspeakEngine, language: str, speed: float) -> None:
    for kind, written in SAID.items():
        text = written(language)
        ratio = estimated_seconds(text, language, speed) / seconds(engine, text, language, speed)
        assert 0.65 < ratio < 1.3, (kind, ratio)
