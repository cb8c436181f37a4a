"""`GET /v1/voices`: the list of voices, filtered and paged."""

import time
from typing import Any

import pytest

from db.postgres import jobs_worker
from db.postgres.jobs_worker import WorkerConnection
from db.types import Capabilities
from tests.app.api_process import ApiProcess
from tests.app.conftest import ENGINE, Person, Run, Say, voice

STOCK = (
    *("Emma", "Peter", "James"),  # ryan is one of the engine's own voices
    *("alloy", "ash", "ballad", "cedar", "coral", "echo", "fable", "marin", "nova", "onyx", "sage"),
    *("shimmer", "verse"),
)


def voices(api: ApiProcess, query: str = "") -> list[dict[str, Any]]:
    answer = api.call("GET", f"/v1/voices{query}")
    assert answer.status_code == 200, answer.text
    return list(answer.json()["voices"])


def names(api: ApiProcess, query: str = "") -> list[str]:
    """Names of voices, without aliases."""
    return [voice["name"] for voice in voices(api, query) if voice["voice_used"] == voice["id"]]


def test_a_voice_has_the_fields_of_every_dialect(api: ApiProcess) -> None:
    answer = api.call("GET", "/v1/voices")

    assert answer.headers["content-type"] == "application/json"
    assert {key: answer.json()[key] for key in ("has_more", "total_count", "next_cursor")} == {
        "has_more": False,
        "total_count": len(STOCK) + 3,
        "next_cursor": None,
    }
    assert answer.json()["voices"][-2] == {
        "name": "Anna",
        "gender": "female",
        "language": "de-DE",
        "language_name": "Language de-DE",
        "description": "Voice: Anna",
        "quality": "low",
        "id": "anna",
        "voice_id": "anna",
        "languages": ["de-DE", "de-AT"],
        "age": "adult",
        "style": "neutral",
        "engine": "parrot",
        "voice_used": "anna",
        "category": "premade",
        "labels": {"gender": "female", "age": "adult", "language": "de-DE"},
        "sample_url": "/samples/anna.mp3",
        "preview_url": "/samples/anna.mp3",
    }


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("", ["ryan", "Anna", "Zoë"]),
        ("?language=de", ["Anna"]),
        ("?language=DE-at", ["Anna"]),
        ("?language=d", []),
        ("?language=de-CH", []),
        ("?gender=female", ["Anna", "Zoë"]),
        ("?gender=Female&quality=standard", ["Zoë"]),
        ("?quality=high&language=", ["ryan"]),
        ("?limit=2&cursor=verse", ["ryan", "Anna"]),
        ("?limit=2&cursor=anna", ["Zoë"]),
        ("?unknown=1", ["ryan", "Anna", "Zoë"]),
    ],
)
def test_the_list_is_filtered_and_paged(api: ApiProcess, query: str, found: list[str]) -> None:
    assert names(api, query) == found


@pytest.mark.parametrize(
    ("query", "field"),
    [("limit=0", "limit"), ("limit=x", "limit"), ("limit=9999", "limit"), ("cursor=x", "cursor")],
)
def test_an_invalid_page_parameter_is_named(api: ApiProcess, query: str, field: str) -> None:
    answer = api.call("GET", f"/v1/voices?{query}")

    assert (answer.status_code, answer.json()["detail"]["field"]) == (422, field)


def test_a_page_has_the_cursor_of_the_next_page(api: ApiProcess) -> None:
    page = api.call("GET", "/v1/voices?limit=1&gender=female&language=de").json()
    first = api.call("GET", "/v1/voices?limit=1").json()

    assert (page["has_more"], page["total_count"]) == (False, 1)
    assert (first["has_more"], first["total_count"], first["next_cursor"]) == (True, len(STOCK) + 3, "emma")


def test_aliases_come_first_with_the_properties_of_their_voices(api: ApiProcess) -> None:
    listed = voices(api)

    assert [voice["name"] for voice in listed] == [*STOCK, "ryan", "Anna", "Zoë"]
    fields = ("id", "voice_used", "engine", "gender", "quality", "language", "sample_url")
    assert [listed[0][field] for field in fields] == [
        *("emma", "zoë", "parrot", "female", "standard", "fr-FR", "/samples/emma.mp3")
    ]


def test_a_newly_published_voice_can_speak_at_once(
    api: ApiProcess, say: Say, person: Person, parrot: WorkerConnection
) -> None:
    names(api)
    newer = Capabilities(**{**_fields(ENGINE), "engine": "newer", "voices": (voice("Nova", "it-IT"),)})
    jobs_worker.publish(parrot, newer, worker="w2")
    time.sleep(0.2)

    try:
        assert say(person.key, voice="nova")
    finally:
        parrot.execute("DELETE FROM cv.engine WHERE name = 'newer'")


def test_without_an_engine_speech_is_unavailable(
    api_with: Run, person: Person, parrot: WorkerConnection
) -> None:
    parrot.execute("DELETE FROM cv.engine")
    try:
        api = api_with()
        answer = api.call("POST", "/v1/tts", person.key, json={"text": "hello", "voice": "ryan"})
        listed = names(api)
    finally:
        jobs_worker.publish(parrot, ENGINE, worker="w1")

    assert (answer.status_code, answer.json()["detail"]["error"]) == (503, "service_unavailable")
    assert int(answer.headers["Retry-After"]) > 0
    assert listed == []
    assert names(api) == ["ryan", "Anna", "Zoë"]


def _fields(capabilities: Capabilities) -> dict[str, object]:
    return {name: getattr(capabilities, name) for name in Capabilities.__struct_fields__}
