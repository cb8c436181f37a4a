"""S1: letters with dots between them, which overflowed the library, are spoken whole, in any script."""

from typing import Any

import pytest

from tests.stack import Running

from .accounts import Account
from .conftest import NewAccount

SECONDS_A_LETTER = 0.05
# Name → (what is repeated, letters in it, how often).
SHAPES: dict[str, tuple[str, int, int]] = {
    "a. x 175": ("a.", 1, 175),
    "a. x 200": ("a.", 1, 200),
    "a. x 1,000": ("a.", 1, 1_000),
    "a. x 2,500": ("a.", 1, 2_500),
    "b. x 250": ("b.", 1, 250),
    "Z. x 300": ("Z.", 1, 300),
    "U.S.A. x 60": ("U.S.A.", 3, 60),
    "U.S.A. x 100": ("U.S.A.", 3, 100),
    "U.S.A. x 800": ("U.S.A.", 3, 800),
    "e.g. x 400": ("e.g.", 2, 400),
    "accents x 300": ("é.ü.", 2, 300),
    "Greek x 300": ("α.β.", 2, 300),
    "Cyrillic x 300": ("б.ж.", 2, 300),
    "behind prose": ("U.S.A.", 3, 150),
    "full width dots": ("a．", 1, 400),
    "dots and commas": ("a.,b.;", 2, 300),
}
BEFORE = {"behind prose": "All is well so far, and the end comes after this sentence.\n\n"}


LETTERS = {"de": "z.B.", "ru": "т.е.", "el": "π.χ.", "he": "א.ב.", "ar": "ا.ب.", "hi": "क.ख.", "ka": "ა.ბ."}


def text_of(shape: str) -> str:
    repeated, _, times = SHAPES[shape]
    return BEFORE.get(shape, "") + repeated * times


@pytest.fixture(scope="module")
def spoken(target: Running) -> dict[str, dict[str, Any]]:
    """Every shape's job, once it has ended."""
    account = Account(target)
    jobs = {shape: account.queue(text_of(shape)) for shape in SHAPES}
    return {shape: account.ended(job, within_s=120) for shape, job in jobs.items()}


@pytest.mark.parametrize("shape", SHAPES)
def test_dotted_letters_are_spoken_whole(spoken: dict[str, dict[str, Any]], shape: str) -> None:
    _, letters, times = SHAPES[shape]
    job = spoken[shape]

    assert (job["status"], job.get("reason")) == ("completed", None)
    assert job["duration_ms"] / 1000 >= SECONDS_A_LETTER * letters * times
    assert job["credits"] == 1


def test_dotted_letters_end_no_engine(
    target: Running, target_pids: dict[str, int], spoken: dict[str, dict[str, Any]]
) -> None:
    reasons = {shape: job.get("reason") for shape, job in spoken.items()}

    assert reasons == dict.fromkeys(SHAPES)
    assert target.env()["pids"]["worker"] == target_pids["worker"]


@pytest.mark.parametrize("voice", ["emma", "ryan"])
@pytest.mark.parametrize("times", [1, 3, 30, 200, 1_200])
def test_dotted_letters_of_any_number_in_speech_in_the_answer(
    account: Account, voice: str, times: int
) -> None:
    answer = account.ask("POST", "/api/v1/tts/stream", {"text": "a.b." * times, "voice": voice}, timeout=60)

    assert answer.status_code == 200, answer.text
    assert len(answer.content) / 2 / 22_050 >= SECONDS_A_LETTER * 2 * times


def test_dotted_letters_of_other_languages(new_account: NewAccount) -> None:
    account = new_account()
    voices = account.ask("GET", "/v1/voices").json()["voices"]
    by_language = {voice["language"].partition("-")[0]: voice["id"] for voice in voices}
    wanted = {language: text * 300 for language, text in LETTERS.items() if language in by_language}
    jobs = {language: account.queue(text, by_language[language]) for language, text in wanted.items()}
    ends = {language: account.ended(job, within_s=120) for language, job in jobs.items()}

    assert {language: job["status"] for language, job in ends.items()} == dict.fromkeys(wanted, "completed")
    assert [job["duration_ms"] >= SECONDS_A_LETTER * 600_000 for job in ends.values()] == [True] * len(ends)
