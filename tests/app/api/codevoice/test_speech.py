"""Queue speech and look after it: rows 1 to 3, cancelling, money, idempotency."""

import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any

import psycopg
import pytest

from db.postgres import jobs_worker
from db.postgres.jobs_worker import WorkerConnection
from tests.app.conftest import End, OpenAccount, Person, Run, Say, SetPrice, Take
from tests.app.front import Front

Ask = Callable[..., dict[str, Any]]
HELLO = {"text": "hello", "voice": "ryan"}


def detail(front: Front, key: str, status: int, **fields: object) -> dict[str, Any]:
    answer = front.call("POST", "/v1/tts", key, json={**HELLO, **fields})
    assert answer.status_code == status, answer.text
    return answer.json()["detail"]


def credits_of(front: Front, key: str) -> dict[str, Any]:
    return front.call("GET", "/api/auth/me", key).json()["credits"]


def give(owner: psycopg.Connection[Any], account: str, credits: float) -> None:
    amount = int(credits * 1_000_000)
    owner.execute("SELECT cv.grant_credits(%s, %s, %s, 'test', 'test')", (account, uuid.uuid4(), amount))


def test_ids_are_random_version_4(say: Say, person: Person) -> None:
    assert uuid.UUID(say(person.key)).version == 4


def test_paid_credits_are_used_when_the_free_ones_are(
    front: Front, owner: psycopg.Connection[Any], set_price: SetPrice, person: Person
) -> None:
    give(owner, person.id, 40.5)
    set_price("speech", "request", 30)

    messages = [front.call("POST", "/v1/tts", person.key, json=HELLO).json()["message"] for _ in range(3)]

    assert messages == [
        "Free credit used. 30 remaining.",
        "Free credit used. 0 remaining.",
        "Paid credit used. 10.5 remaining.",
    ]


def test_an_api_only_account_uses_its_month_then_its_extra_credits(
    front: Front, owner: psycopg.Connection[Any], open_account: OpenAccount
) -> None:
    key = open_account("api_only", monthly=2_000_000)
    give(owner, front.call("GET", "/api/auth/me", key).json()["user"]["id"], 1)

    answers = [front.call("POST", "/v1/tts", key, json=HELLO).json() for _ in range(4)]

    assert [answer.get("message") for answer in answers[:3]] == [
        "Monthly API credit used. 1 remaining.",
        "Monthly API credit used. 0 remaining.",
        "Extra credit used. 0 remaining.",
    ]
    assert answers[0]["user_type"] == "api_only"
    assert answers[3] == {
        "detail": {
            "error": "insufficient_credits",
            "message": "Monthly API credit limit reached. Please contact admin or enable unlimited access.",
            "user_type": "api_only",
            "required": 1,
            "remaining": 0,
        }
    }


def test_an_unlimited_account_is_told_so(front: Front, open_account: OpenAccount) -> None:
    key = open_account("api_only", unlimited=True)

    assert front.call("POST", "/v1/tts", key, json=HELLO).json()["message"] == "Unlimited account."


def test_a_person_without_credits_is_told_what_is_needed(
    front: Front, set_price: SetPrice, person: Person
) -> None:
    set_price("speech", "request", 60.5)

    found = detail(front, person.key, 402)

    assert (found["error"], found["user_type"]) == ("insufficient_credits", "registered")
    assert (found["required"], found["remaining"]) == (60.5, 60)
    assert "needs 60.5, you have 60." in found["message"]


def test_what_is_paid_by_the_second_holds_its_most_and_by_characters_its_price(
    front: Front, set_price: SetPrice, person: Person
) -> None:
    held = []
    for unit in ("audio_second", "1000_characters"):
        set_price("speech", unit, 0.5)
        front.call("POST", "/v1/tts", person.key, json={**HELLO, "text": "x" * 20})
        held.append(front.call("GET", "/api/auth/me", person.key).json()["credits"]["free"]["remaining"])

    assert held == [60 - 10, 60 - 10 - 0.01]


def test_a_closed_account_is_refused(
    front: Front, owner: psycopg.Connection[Any], open_account: OpenAccount
) -> None:
    key = open_account("api_only", monthly=7_000_007)
    owner.execute("UPDATE cv.wallet SET closed = true WHERE monthly = 7000007")

    assert detail(front, key, 403)["error"] == "account_closed"


def test_an_account_may_not_queue_without_end(front_with: Run, person: Person) -> None:
    small = front_with(CODEVOICE_JOBS_WAITING_MAX="1")
    small.call("POST", "/v1/tts", person.key, json=HELLO)

    answer = small.call("POST", "/v1/tts", person.key, json=HELLO)

    assert (answer.status_code, answer.json()["detail"]["error"]) == (429, "too_many_waiting")
    assert int(answer.headers["Retry-After"]) > 0
    assert answer.json()["detail"]["limit"] == 1


@pytest.mark.parametrize(
    ("fields", "status", "error", "field"),
    [
        ({"text": ""}, 422, "missing_text", "text"),
        ({"text": " \n\t"}, 422, "missing_text", "text"),
        ({"text": "a\0b"}, 422, "validation_error", "text"),
        ({"text": "a" * 2001}, 413, "text_too_long", "text"),
        ({"text": 7}, 422, "validation_error", "text"),
        ({"text": None}, 422, "validation_error", "text"),
        ({"voice": "nobody"}, 422, "unknown_voice", "voice"),
        ({"voice": ""}, 422, "unknown_voice", "voice"),
        ({"voice": ["ryan"]}, 422, "validation_error", "voice"),
        ({"language": "tlh"}, 422, "unknown_language", "language"),
        ({"language": 5}, 422, "validation_error", "language"),
        ({"format": "midi"}, 422, "unknown_format", "format"),
        ({"speed": 2.01}, 422, "validation_error", "speed"),
        ({"speed": 0}, 422, "validation_error", "speed"),
        ({"speed": "fast"}, 422, "validation_error", "speed"),
        ({"pitch": 1}, 422, "validation_error", "pitch"),
    ],
)
def test_what_is_wrong_is_named_and_costs_nothing(
    front: Front, person: Person, fields: dict[str, object], status: int, error: str, field: str
) -> None:
    found = detail(front, person.key, status, **fields)

    assert (found["error"], found["field"], found["user_type"]) == (error, field, "registered")
    assert credits_of(front, person.key)["total_remaining"] == 60


def test_limits_are_told(front: Front, person: Person) -> None:
    too_long = detail(front, person.key, 413, text="a" * 2001)
    too_fast = detail(front, person.key, 422, speed=9)

    assert (too_long["limit"], too_long["length"]) == (2000, 2001)
    assert too_fast["limit"] == [0.5, 2.0]
    assert detail(front, person.key, 422, voice="Ann")["suggestions"] == ["Anna"]
    assert detail(front, person.key, 422, language="fr")["languages"] == ["en-US"]
    assert detail(front, person.key, 422, format="ogg")["formats"] == ["wav", "mp3"]


def test_missing_fields_are_named(front: Front, person: Person) -> None:
    answer = front.call("POST", "/v1/tts", person.key, json={"voice": "ryan"})

    assert (answer.status_code, answer.json()["detail"]["field"]) == (422, "text")


@pytest.mark.parametrize(
    "fields",
    [
        {"voice": "RYAN"},
        {"voice": "zoË"},
        {"voice": "anna", "language": "de-at"},
        {"voice": "anna", "language": "DE_AT"},
        {"language": None, "format": None, "speed": None, "pitch": None},
        {"format": "MP3", "speed": 2, "pitch": 0},
        {"text": "😀 \u202e مرحبا"},
        {"surprise": {"deep": [1, 2]}},
    ],
)
def test_what_means_well_is_understood(
    front: Front, say: Say, person: Person, fields: dict[str, Any]
) -> None:
    assert say(person.key, **fields)


def test_defaults_are_the_voices_first_language_and_wav(
    say: Say, person: Person, owner: psycopg.Connection[Any]
) -> None:
    job_id = say(person.key, voice="Anna")

    statement = "SELECT params - '{request_id,cost_us}'::text[], lane, characters FROM cv.job WHERE id = %s"
    row = owner.execute(statement, [job_id]).fetchone()

    assert row == (
        {
            "text": "hello",
            "voice": "anna",
            "language": "de-DE",
            "format": "wav",
            "speed": 1.0,
            "pitch": 0.0,
            "rate_hz": 0,
            "bitrate_kbps": 0,
        },
        "anna",
        5,
    )


def status_of(front: Front, job_id: str) -> dict[str, Any]:
    answer = front.call("GET", f"/tts/status/{job_id}")
    assert answer.headers["Cache-Control"] == "no-store"
    return answer.json()


def test_a_job_is_queued_then_processing_until_it_ends(
    front: Front, say: Say, person: Person, take: Take, end: End
) -> None:
    job_id = say(person.key)
    queued = status_of(front, job_id)
    attempt = take(job_id)
    taken = status_of(front, job_id)
    end(job_id, "retry", code="broke", attempt=attempt)
    waiting_again = status_of(front, job_id)

    assert (queued["status"], queued["duration_ms"]) == ("queued", None)
    assert queued["position"] >= 0
    assert datetime.fromisoformat(queued["created_at"]).tzinfo
    assert taken["status"] == waiting_again["status"] == "processing"
    assert "audio_url" not in taken


def test_a_completed_job_says_where_its_audio_is(front: Front, say: Say, person: Person, end: End) -> None:
    job_id = say(person.key)
    end(job_id)

    found = status_of(front, job_id)

    assert (found["status"], found["duration_ms"], found["position"]) == ("completed", 1234, None)
    assert found["audio_url"].startswith(f"/tts/audio/{job_id}?expires=")
    of_all = {"status", "created_at", "duration_ms", "position", "charged", "engine"}
    assert set(found) == of_all | {"credits", "audio_url"}
    assert (found["charged"], found["credits"]) == (True, 1)


@pytest.mark.parametrize("code", ["unspeakable_text", "unsupported_script", "worker_lost"])
def test_a_failed_job_says_why_and_returns_its_credit(
    front: Front, say: Say, person: Person, end: End, code: str
) -> None:
    job_id = say(person.key)
    end(job_id, "refuse", code=code)

    found = status_of(front, job_id)

    assert (found["status"], found["reason"]) == ("failed", code)
    assert (found["charged"], found["credits"]) == (False, 0)
    assert found["error"].endswith("Nothing was charged: the credits held for it were returned.")
    assert credits_of(front, person.key)["total_remaining"] == 60


def test_a_cancelled_job_has_failed_and_returns_its_credit(front: Front, say: Say, person: Person) -> None:
    job_id = say(person.key)

    cancelled = front.call("DELETE", f"/v1/jobs/{job_id}", person.key)
    found = status_of(front, job_id)
    again = front.call("DELETE", f"/v1/jobs/{job_id}", person.key)

    assert cancelled.json()["status"] == "cancelled"
    assert (found["status"], found["reason"]) == ("failed", "cancelled")
    assert credits_of(front, person.key)["held"] == 0
    assert (again.status_code, again.json()["detail"]["error"]) == (409, "too_late")


def test_an_expired_job_has_failed(
    front_with: Run, person: Person, owner: psycopg.Connection[Any], parrot: WorkerConnection
) -> None:
    front = front_with(CODEVOICE_QUEUE_WAIT_S="1")
    job_id = front.call("POST", "/v1/tts", person.key, json=HELLO).json()["job_id"]
    owner.execute("UPDATE cv.job SET deadline = clock_timestamp() WHERE id = %s", [job_id])
    jobs_worker.sweep(parrot, tries_max=3, limit=1000)

    found = status_of(front, job_id)

    assert (found["status"], found["reason"]) == ("failed", "expired")


def test_nobody_cancels_anothers_job(
    front: Front, say: Say, person: Person, open_account: OpenAccount
) -> None:
    job_id = say(person.key)
    stranger = open_account("api_only", unlimited=True)

    answer = front.call("DELETE", f"/v1/jobs/{job_id}", stranger)

    assert answer.status_code == 404
    assert status_of(front, job_id)["status"] == "queued"


@pytest.mark.parametrize(
    "job_id",
    [
        "7b1c9a52-6f0d-4c3e-9a41-2d8e5f7a0b16",
        "1",
        "undefined",
        "%00",
        "{" + "0" * 34 + "}",
        "é" * 36,
        "..%2f",
    ],
)
def test_a_job_nobody_knows_is_a_failure_pollers_stop_on(front: Front, job_id: str) -> None:
    answer = front.call("GET", f"/tts/status/{job_id}")

    assert answer.status_code == 404
    assert answer.json() == {
        "detail": {"error": "not_found", "message": "There is no such job.", "user_type": None},
        "status": "failed",
        "error": "There is no such job.",
    }


def test_audio_past_its_time_is_a_failure_pollers_stop_on(
    front: Front, say: Say, person: Person, end: End
) -> None:
    job_id = say(person.key)
    end(job_id, keep_s=0)

    answers = [front.call("GET", f"/tts/{what}/{job_id}") for what in ("status", "audio")]

    assert [answer.status_code for answer in answers] == [410, 410]
    assert [answer.json()["status"] for answer in answers] == ["failed", "failed"]


def test_the_same_key_and_request_is_the_same_job(front: Front, person: Person) -> None:
    key = {"Idempotency-Key": "order-1"}
    first = front.call("POST", "/v1/tts", person.key, json=HELLO, headers=key)
    spaced = b'{ "voice":"ryan",  "text":"hello", "api_key":"not looked at" }'

    again = front.call("POST", "/v1/tts", person.key, content=spaced, headers=key)

    assert again.json() == first.json()
    assert (again.headers["Idempotent-Replayed"], "Idempotent-Replayed" in first.headers) == ("true", False)
    assert credits_of(front, person.key)["total_remaining"] == 59


def test_the_same_key_with_another_request_is_refused(front: Front, person: Person) -> None:
    key = {"Idempotency-Key": "order-2"}
    front.call("POST", "/v1/tts", person.key, json=HELLO, headers=key)

    answer = front.call("POST", "/v1/tts", person.key, json={**HELLO, "text": "bye"}, headers=key)

    assert (answer.status_code, answer.json()["detail"]["error"]) == (422, "idempotency_key_reused")


def test_a_key_whose_job_was_cancelled_is_free_again(front: Front, person: Person) -> None:
    key = {"Idempotency-Key": "order-3"}
    first = front.call("POST", "/v1/tts", person.key, json=HELLO, headers=key).json()["job_id"]
    front.call("DELETE", f"/v1/jobs/{first}", person.key)

    answer = front.call("POST", "/v1/tts", person.key, json=HELLO, headers=key)

    assert answer.json()["job_id"] != first


def test_twenty_at_once_with_one_key_are_one_job(front: Front, person: Person) -> None:
    def ask(_: int) -> str:
        headers = {"Idempotency-Key": "race"}
        return front.call("POST", "/v1/tts", person.key, json=HELLO, headers=headers).json()["job_id"]

    with ThreadPoolExecutor(20) as threads:
        jobs = set(threads.map(ask, range(20)))

    assert len(jobs) == 1
    assert credits_of(front, person.key)["total_remaining"] == 59


@pytest.mark.parametrize("key", ["", "a\tb", "a" * 256, "caf\xe9"])
def test_a_key_is_1_to_255_printable_characters(front: Front, person: Person, key: str) -> None:
    headers = {"Idempotency-Key": key.encode("latin-1")}

    answer = front.client.request("POST", "/v1/tts", headers={**headers, "X-API-Key": person.key}, json=HELLO)

    assert answer.status_code == 422
    assert answer.json()["detail"]["field"] == "Idempotency-Key"
