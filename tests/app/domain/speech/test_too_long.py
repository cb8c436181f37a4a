"""A text that would sound too long is refused before it is made."""

import pytest

from tests.app.api_process import ApiProcess
from tests.app.conftest import Person
from tests.app.listeners import credits_of


@pytest.mark.parametrize(("form", "limit"), [("wav", 20_000_000 // (22_050 * 2)), ("mp3", 600)])
def test_a_text_whose_audio_would_be_too_long_is_refused_before_it_is_made(
    api: ApiProcess, person: Person, form: str, limit: int
) -> None:
    """By its length in seconds; a format without compression by its file's size, too."""
    body = {"text": "9999999999999 " * 140, "voice": "ryan", "speed": 0.5, "format": form}
    answer = api.call("POST", "/v1/tts", person.key, json=body)

    detail = answer.json()["detail"]
    assert (answer.status_code, detail["error"], detail["field"]) == (413, "text_too_long", "text")
    assert detail["limit"] == limit < detail["seconds"]
    assert credits_of(api, person) == (60, 0)
