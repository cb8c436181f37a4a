"""The list of voices: row 5."""

import time
from typing import Any

import pytest

from db.postgres import jobs_worker
from db.postgres.jobs_worker import WorkerConnection
from db.types import Capabilities
from tests.app.conftest import ENGINE, Person, Run, Say, voice
from tests.app.front import Front

STOCK = (
    *("Emma", "Peter", "James"),  # ryan is a voice of the engine's own
    *("alloy", "ash", "ballad", "cedar", "coral", "echo", "fable", "marin", "nova", "onyx", "sage"),
    *("shimmer", "verse"),
)


def voices(front: Front, query: str = "") -> list[dict[str, Any]]:
    answer = front.call("GET", f"/v1/voices{query}")
    assert answer.status_code == 200, answer.text
    return list(answer.json()["voices"])


def names(front: Front, query: str = "") -> list[str]:
    """Of voices, without the names that stand for one."""
    return [voice["name"] for voice in voices(front, query) if voice["voice_used"] == voice["id"]]


def test_a_voice_has_the_fields_of_every_dialect(front: Front) -> None:
    answer = front.call("GET", "/v1/voices")

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
def test_the_list_is_filtered_and_paged(front: Front, query: str, found: list[str]) -> None:
    assert names(front, query) == found


@pytest.mark.parametrize(
    ("query", "field"),
    [("limit=0", "limit"), ("limit=x", "limit"), ("limit=9999", "limit"), ("cursor=x", "cursor")],
)
def test_a_page_that_makes_no_sense_is_named(front: Front, query: str, field: str) -> None:
    answer = front.call("GET", f"/v1/voices?{query}")

    assert (answer.status_code, answer.json()["detail"]["field"]) == (422, field)


def test_a_page_says_how_to_go_on(front: Front) -> None:
    page = front.call("GET", "/v1/voices?limit=1&gender=female&language=de").json()
    first = front.call("GET", "/v1/voices?limit=1").json()

    assert (page["has_more"], page["total_count"]) == (False, 1)
    assert (first["has_more"], first["total_count"], first["next_cursor"]) == (True, len(STOCK) + 3, "emma")


def test_names_come_first_with_what_is_true_of_the_voice_that_speaks(front: Front) -> None:
    listed = voices(front)

    assert [voice["name"] for voice in listed] == [*STOCK, "ryan", "Anna", "Zoë"]
    told = ("id", "voice_used", "engine", "gender", "quality", "language", "sample_url")
    assert [listed[0][field] for field in told] == [
        *("emma", "zoë", "parrot", "female", "standard", "fr-FR", "/samples/emma.mp3")
    ]


def test_a_voice_just_published_can_speak_at_once(
    front: Front, say: Say, person: Person, parrot: WorkerConnection
) -> None:
    names(front)
    newer = Capabilities(**{**_fields(ENGINE), "engine": "newer", "voices": (voice("Nova", "it-IT"),)})
    jobs_worker.publish(parrot, newer, worker="w2")
    time.sleep(0.2)

    try:
        assert say(person.key, voice="nova")
    finally:
        parrot.execute("DELETE FROM cv.engine WHERE name = 'newer'")


def test_without_an_engine_nothing_can_be_said_yet(
    front_with: Run, person: Person, parrot: WorkerConnection
) -> None:
    parrot.execute("DELETE FROM cv.engine")
    try:
        front = front_with()
        answer = front.call("POST", "/v1/tts", person.key, json={"text": "hello", "voice": "ryan"})
        listed = names(front)
    finally:
        jobs_worker.publish(parrot, ENGINE, worker="w1")

    assert (answer.status_code, answer.json()["detail"]["error"]) == (503, "service_unavailable")
    assert int(answer.headers["Retry-After"]) > 0
    assert listed == []
    assert names(front) == ["ryan", "Anna", "Zoë"]


def _fields(capabilities: Capabilities) -> dict[str, object]:
    return {name: getattr(capabilities, name) for name in Capabilities.__struct_fields__}
