"""S2c: a text whose audio would be too long is refused before it is made; digits count as their words."""

from typing import Any

import pytest

from tests.findings.accounts import Account

CHARACTERS = 100_000
DIGITS = {
    "long numbers": "9999999999999 ",
    "one number": "7",
    "commas": "9,999,999,999 ",
    "Arabic digits": "٩٩٩٩٩٩٩٩٩٩٩ ",
    "Devanagari digits": "९९९९९९९९९९९ ",
    "full width digits": "９９９９９９９９９９ ",
    "decimals": "3.14159265358979 ",
}


def filled(part: str, characters: int = CHARACTERS) -> str:
    return (part * (characters // len(part) + 1))[:characters]


def submitted(account: Account, text: str, **more: Any) -> tuple[int, str]:
    """Status and text of the response. An accepted job is cancelled, so that it delays no other."""
    answer = account.ask("POST", "/v1/tts", {"text": text, "voice": "ryan", **more})
    if answer.status_code == 200:
        account.ask("DELETE", f"/v1/jobs/{answer.json()['job_id']}")
    return answer.status_code, answer.text


@pytest.mark.parametrize("form", ["mp3", "wav"])
@pytest.mark.parametrize("digits", DIGITS)
def test_digits_that_would_sound_too_long_are_refused_at_once(
    account: Account, digits: str, form: str
) -> None:
    status, answer = submitted(account, filled(DIGITS[digits]), speed=0.5, format=form)

    assert status in (413, 422), answer[:200]
    assert '"limit"' in answer
    assert account.credits()["total_remaining"] == 60


def test_prose_first_makes_no_difference(account: Account) -> None:
    text = "What is wanted comes first. " * 500 + filled(DIGITS["long numbers"], 86_000)
    status, answer = submitted(account, text, speed=0.5, format="mp3")

    assert status in (413, 422), answer[:200]
    assert account.credits()["total_remaining"] == 60


@pytest.mark.parametrize("digits", ["0123456789", "9999999999999 ", "12 "])
def test_digits_that_fit_are_spoken(account: Account, digits: str) -> None:
    text = filled(digits, 240)
    job = account.ended(account.queue(text, format="mp3"))

    assert job["status"] == "completed"
    assert job["duration_ms"] >= 50 * sum(letter.isdigit() for letter in text)


def test_prose_as_long_as_a_text_may_be_is_spoken(account: Account) -> None:
    text = filled("It was a long way to the end of the book. ", CHARACTERS)
    job = account.ended(account.queue(text, speed=2), within_s=120)

    assert job["status"] == "completed"
    assert job["duration_ms"] > 20 * CHARACTERS
