"""Queued speech: submission, status, cancellation, credits and idempotency."""

import uuid
from collections.abc import Callable
from datetime import datetime
from typing import Any

import psycopg
import pytest

from db.postgres import jobs_worker
from db.postgres.jobs_worker import WorkerConnection
from tests.app.api_process import ApiProcess
from tests.app.conftest import End, OpenAccount, Person, Run, Say, SetPrice, Take

Ask = Callable[..., dict[str, Any]]
HELLO = {"text": "hello", "voice": "ryan"}


def detail(api: ApiProcess, key: str, status: int, **fields: object) -> dict[str, Any]:
    answer = api.call("POST", "/v1/tts", key, json={**HELLO, **fields})
    assert answer.status_code == status, answer.text
    return answer.json()["detail"]


def credits_of(api: ApiProcess, key: str) -> dict[str, Any]:
    return api.call("GET", "/api/auth/me", key).json()["credits"]


def give(owner: psycopg.Connection[Any], account: str, credits: float) -> None:
    amount = int(credits * 1_000_000)
    owner.execute("SELECT cv.grant_credits(%s, %s, %s, 'test', 'test')", (account, uuid.uuid4(), amount))


def test_ids_are_random_version_4(say: Say, person: Person) -> None:
    assert uuid.UUID(say(person.key)).version == 4


def test_paid_credits_are_used_after_the_free_ones(
    api: ApiProcess, owner: psycopg.Connection[Any], set_price: SetPrice, person: Person
) -> None:
    give(owner, person.id, 40.5)
    set_price("speech", "request", 30)

    messages = [api.call("POST", "/v1/tts", person.key, json=HELLO).json()["message"] for _ in range(3)]

    assert messages == [
        "Free credit used. 30 remaining.",
        "Free credit used. 0 remaining.",
        "Paid credit used. 10.5 remaining.",
    ]


def test_an_api_only_account_uses_its_month_then_its_extra_credits(
    api: ApiProcess, owner: psycopg.Connection[Any], open_account: OpenAccount
) -> None:
    key = open_account("api_only", monthly=2_000_000)
    give(owner, api.call("GET", "/api/auth/me", key).json()["user"]["id"], 1)

    answers = [api.call("POST", "/v1/tts", key, json=HELLO).json() for _ in range(4)]

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


def test_an_unlimited_account_is_reported_as_unlimited(api: ApiProcess, open_account: OpenAccount) -> None:
    key = open_account("api_only", unlimited=True)

    assert api.call("POST", "/v1/tts", key, json=HELLO).json()["message"] == "Unlimited account."


def test_insufficient_credits_name_the_required_amount(
    api: ApiProcess, set_price: SetPrice, person: Person
) -> None:
    set_price("speech", "request", 60.5)

    found = detail(api, person.key, 402)

    assert (found["error"], found["user_type"]) == ("insufficient_credits", "registered")
    assert (found["required"], found["remaining"]) == (60.5, 60)
    assert "needs 60.5, you have 60." in found["message"]


def test_a_price_per_second_holds_its_maximum_and_a_price_per_character_its_amount(
    api: ApiProcess, set_price: SetPrice, person: Person
) -> None:
    held = []
    for unit in ("audio_second", "1000_characters"):
        set_price("speech", unit, 0.5)
        api.call("POST", "/v1/tts", person.key, json={**HELLO, "text": "x" * 20})
        held.append(api.call("GET", "/api/auth/me", person.key).json()["credits"]["free"]["remaining"])

    assert held == [60 - 10, 60 - 10 - 0.01]


def test_a_closed_account_is_refused(
    api: ApiProcess, owner: psycopg.Connection[Any], open_account: OpenAccount
) -> None:
    key = open_account("api_only", monthly=7_000_007)
    owner.execute("UPDATE cv.wallet SET closed = true WHERE monthly = 7000007")

    assert detail(api, key, 403)["error"] == "account_closed"


def test_an_account_may_not_queue_without_end(api_with: Run, person: Person) -> None:
    small = api_with(CODEVOICE_JOBS_WAITING_MAX="1")
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
def test_an_invalid_request_names_the_field_and_costs_nothing(
    api: ApiProcess, person: Person, fields: dict[str, object], status: int, error: str, field: str
) -> None:
    found = detail(api, person.key, status, **fields)

    assert (found["error"], found["field"], found["user_type"]) == (error, field, "registered")
    assert credits_of(api, person.key)["total_remaining"] == 60


def test_limits_are_reported(api: ApiProcess, person: Person) -> None:
    too_long = detail(api, person.key, 413, text="a" * 2001)
    too_fast = detail(api, person.key, 422, speed=9)

    assert (too_long["limit"], too_long["length"]) == (2000, 2001)
    assert too_fast["limit"] == [0.5, 2.0]
    assert detail(api, person.key, 422, voice="Ann")["suggestions"] == ["Anna"]
    assert detail(api, person.key, 422, language="fr")["languages"] == ["en-US"]
    assert detail(api, person.key, 422, format="ogg")["formats"] == ["wav", "mp3"]


def test_missing_fields_are_named(api: ApiProcess, person: Person) -> None:
    answer = api.call("POST", "/v1/tts", person.key, json={"voice": "ryan"})

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
def test_lenient_spellings_and_unknown_fields_are_accepted(
    api: ApiProcess, say: Say, person: Person, fields: dict[str, Any]
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


def status_of(api: ApiProcess, job_id: str) -> dict[str, Any]:
    answer = api.call("GET", f"/tts/status/{job_id}")
    assert answer.headers["Cache-Control"] == "no-store"
    return answer.json()


def test_a_job_is_queued_then_processing_until_it_ends(
    api: ApiProcess, say: Say, person: Person, take: Take, end: End
) -> None:
    job_id = say(person.key)
    queued = status_of(api, job_id)
    attempt = take(job_id)
    taken = status_of(api, job_id)
    end(job_id, "retry", code="broke", attempt=attempt)
    waiting_again = status_of(api, job_id)

    assert (queued["status"], queued["duration_ms"]) == ("queued", None)
    assert queued["position"] >= 0
    assert datetime.fromisoformat(queued["created_at"]).tzinfo
    assert taken["status"] == waiting_again["status"] == "processing"
    assert "audio_url" not in taken


def test_a_completed_job_has_the_url_of_its_audio(
    api: ApiProcess, say: Say, person: Person, end: End
) -> None:
    job_id = say(person.key)
    end(job_id)

    found = status_of(api, job_id)

    assert (found["status"], found["duration_ms"], found["position"]) == ("completed", 1234, None)
    assert found["audio_url"].startswith(f"/tts/audio/{job_id}?expires=")
    of_all = {"status", "created_at", "duration_ms", "position", "charged", "engine"}
    assert set(found) == of_all | {"credits", "audio_url"}
    assert (found["charged"], found["credits"]) == (True, 1)


@pytest.mark.parametrize("code", ["unspeakable_text", "unsupported_script", "worker_lost"])
def test_a_failed_job_has_its_error_and_returns_its_credit(
    api: ApiProcess, say: Say, person: Person, end: End, code: str
) -> None:
    job_id = say(person.key)
    end(job_id, "refuse", code=code)

    found = status_of(api, job_id)

    assert (found["status"], found["reason"]) == ("failed", code)
    assert (found["charged"], found["credits"]) == (False, 0)
    assert found["error"].endswith("Nothing was charged: the credits held for it were returned.")
    assert credits_of(api, person.key)["total_remaining"] == 60


def test_a_cancelled_job_has_failed_and_returns_its_credit(api: ApiProcess, say: Say, person: Person) -> None:
    job_id = say(person.key)

    cancelled = api.call("DELETE", f"/v1/jobs/{job_id}", person.key)
    found = status_of(api, job_id)
    again = api.call("DELETE", f"/v1/jobs/{job_id}", person.key)

    assert cancelled.json()["status"] == "cancelled"
    assert (found["status"], found["reason"]) == ("failed", "cancelled")
    assert credits_of(api, person.key)["held"] == 0
    assert (again.status_code, again.json()["detail"]["error"]) == (409, "too_late")


def test_an_expired_job_has_failed(
    api_with: Run, person: Person, owner: psycopg.Connection[Any], parrot: WorkerConnection
) -> None:
    api = api_with(CODEVOICE_QUEUE_WAIT_S="1")
    job_id = api.call("POST", "/v1/tts", person.key, json=HELLO).json()["job_id"]
    owner.execute("UPDATE cv.job SET deadline = clock_timestamp() WHERE id = %s", [job_id])
    jobs_worker.sweep(parrot, tries_max=3, limit=1000)

    found = status_of(api, job_id)

    assert (found["status"], found["reason"]) == ("failed", "expired")


def test_another_accounts_job_cannot_be_cancelled(
    api: ApiProcess, say: Say, person: Person, open_account: OpenAccount
) -> None:
    job_id = say(person.key)
    stranger = open_account("api_only", unlimited=True)

    answer = api.call("DELETE", f"/v1/jobs/{job_id}", stranger)

    assert answer.status_code == 404
    assert status_of(api, job_id)["status"] == "queued"


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
def test_an_unknown_job_has_a_status_that_pollers_stop_on(api: ApiProcess, job_id: str) -> None:
    answer = api.call("GET", f"/tts/status/{job_id}")

    assert answer.status_code == 404
    assert answer.json() == {
        "detail": {"error": "not_found", "message": "There is no such job.", "user_type": None},
        "status": "failed",
        "error": "There is no such job.",
    }


def test_expired_audio_has_a_status_that_pollers_stop_on(
    api: ApiProcess, say: Say, person: Person, end: End
) -> None:
    job_id = say(person.key)
    end(job_id, keep_s=0)

    answers = [api.call("GET", f"/tts/{what}/{job_id}") for what in ("status", "audio")]

    assert [answer.status_code for answer in answers] == [410, 410]
    assert [answer.json()["status"] for answer in answers] == ["failed", "failed"]
