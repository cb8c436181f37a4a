"""Live transcripts: one credit per session, however often and concurrently it is completed."""

import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import psycopg
import pytest

from tests.app.api_process import ApiProcess
from tests.app.conftest import OpenAccount, Person, SetPrice, SignUp


def complete(api: ApiProcess, key: str, idempotency_key: str | None = None, **body: object) -> httpx.Response:
    headers = {} if idempotency_key is None else {"Idempotency-Key": idempotency_key}
    return api.call(
        "POST", "/api/stt/live/complete", key, json={"transcript": "hello", **body}, headers=headers
    )


def start(api: ApiProcess, key: str) -> str:
    return str(api.call("POST", "/api/stt/live/start", key).json()["session_id"])


def remaining(api: ApiProcess, key: str) -> int:
    return int(api.call("GET", "/api/auth/me", key).json()["credits"]["total_remaining"])


def test_a_transcript_costs_a_credit(api: ApiProcess, person: Person, owner: psycopg.Connection[Any]) -> None:
    answer = complete(api, person.key, language="en-US", duration_ms=2500)

    assert (answer.status_code, answer.headers["Cache-Control"]) == (200, "no-store")
    assert answer.json() == {
        "status": "completed",
        "credits": {"used": 1, "remaining": 59},
        "message": "Free credit used. 59 remaining.",
    }
    kept = owner.execute(
        "SELECT kind, state, price, hold, duration_ms, params ->> 'language', params ? 'transcript'"
        " FROM cv.job WHERE owner = %s",
        [person.id],
    ).fetchall()
    assert kept == [("live_transcript", "completed", 1_000_000, 1_000_000, 2500, "en-US", False)]


def test_concurrent_identical_transcripts_are_one_session_and_a_different_one_is_another(
    api: ApiProcess, person: Person
) -> None:
    with ThreadPoolExecutor(20) as threads:
        answers = list(threads.map(lambda _: complete(api, person.key), range(20)))

    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.content for answer in answers}) == 1
    assert sum("Idempotent-Replayed" not in answer.headers for answer in answers) == 1
    assert remaining(api, person.key) == 59
    assert complete(api, person.key, transcript="goodbye").json()["credits"] == {"used": 1, "remaining": 58}


def test_the_same_transcript_ten_minutes_later_is_another_session(
    api: ApiProcess, person: Person, owner: psycopg.Connection[Any]
) -> None:
    complete(api, person.key)
    owner.execute("UPDATE cv.idempotency SET at = at - interval '9 minutes' WHERE owner = %s", [person.id])
    soon = complete(api, person.key)
    owner.execute("UPDATE cv.idempotency SET at = at - interval '2 minutes' WHERE owner = %s", [person.id])
    late = complete(api, person.key)

    assert [answer.json()["credits"]["remaining"] for answer in (soon, late)] == [59, 58]


def test_the_same_transcript_of_two_accounts_is_two_sessions(api: ApiProcess, sign_up: SignUp) -> None:
    answers = [complete(api, sign_up().key) for _ in range(2)]

    assert [answer.json()["credits"]["remaining"] for answer in answers] == [59, 59]
    assert all("Idempotent-Replayed" not in answer.headers for answer in answers)


def test_a_started_session_is_charged_once_for_any_transcript(api: ApiProcess, person: Person) -> None:
    session = start(api, person.key)

    with ThreadPoolExecutor(8) as threads:
        answers = list(
            threads.map(lambda n: complete(api, person.key, session_id=session, transcript=str(n)), range(8))
        )

    assert {answer.status_code for answer in answers} == {200}
    assert remaining(api, person.key) == 59


def test_two_started_sessions_with_the_same_transcript_are_both_charged(
    api: ApiProcess, person: Person
) -> None:
    for _ in range(2):
        complete(api, person.key, session_id=start(api, person.key))

    assert remaining(api, person.key) == 58


@pytest.mark.parametrize("session", ["", "nothing", "é" * 40, "x" * 5000])
def test_an_unknown_session_is_not_found(api: ApiProcess, person: Person, session: str) -> None:
    answer = complete(api, person.key, session_id=session)

    assert (answer.status_code, answer.json()["detail"]["field"]) == (404, "session_id")


def test_a_session_belongs_to_its_account(api: ApiProcess, sign_up: SignUp) -> None:
    one, other = sign_up(), sign_up()

    answer = complete(api, other.key, session_id=start(api, one.key))

    assert answer.status_code == 404
    assert remaining(api, other.key) == 60


def test_an_idempotency_key_makes_a_retry_safe(api: ApiProcess, person: Person) -> None:
    key = str(uuid.uuid4())

    first, again = complete(api, person.key, key), complete(api, person.key, key)
    other = complete(api, person.key, key, transcript="goodbye")

    assert (again.json(), again.headers["Idempotent-Replayed"]) == (first.json(), "true")
    assert "Idempotent-Replayed" not in first.headers
    assert (other.status_code, other.json()["detail"]["error"]) == (422, "idempotency_key_reused")
    assert remaining(api, person.key) == 59


def test_two_idempotency_keys_with_the_same_transcript_are_two_sessions(
    api: ApiProcess, person: Person
) -> None:
    for _ in range(2):
        complete(api, person.key, str(uuid.uuid4()))

    assert remaining(api, person.key) == 58


def test_a_replay_returns_the_first_response_whatever_was_spent_since(
    api: ApiProcess, person: Person
) -> None:
    first = complete(api, person.key)
    complete(api, person.key, transcript="goodbye")

    assert complete(api, person.key).json() == first.json()


@pytest.mark.parametrize(
    ("body", "status", "error", "field"),
    [
        ({"transcript": ""}, 422, "missing_text", "transcript"),
        ({"transcript": " \n"}, 422, "missing_text", "transcript"),
        ({"transcript": None}, 422, "validation_error", "transcript"),
        ({"transcript": "x" * 100_001}, 413, "text_too_long", "transcript"),
        ({"duration_ms": -1}, 422, "validation_error", "duration_ms"),
        ({"duration_ms": 10**20}, 422, "validation_error", "duration_ms"),
        ({"language": "x" * 36}, 422, "validation_error", "language"),
        ({"language": "a\0"}, 422, "validation_error", "language"),
        ({"session_id": 5}, 422, "validation_error", "session_id"),
    ],
)
def test_a_refused_transcript_costs_nothing(
    api: ApiProcess, person: Person, body: dict[str, object], status: int, error: str, field: str
) -> None:
    answer = complete(api, person.key, **body)

    found = answer.json()["detail"]
    assert (answer.status_code, found["error"], found["field"]) == (status, error, field)
    assert remaining(api, person.key) == 60


def test_without_credits_nothing_is_charged(api: ApiProcess, open_account: OpenAccount) -> None:
    key = open_account("api_only", monthly=1_000_000)

    answers = [complete(api, key, transcript=str(n)) for n in range(3)]

    assert [answer.status_code for answer in answers] == [200, 402, 402]
    assert answers[0].json()["message"] == "Monthly API credit used. 0 remaining."
    assert answers[1].json()["detail"]["user_type"] == "api_only"
    assert complete(api, key, transcript="0").status_code == 200


def test_an_unlimited_account_is_reported_as_unlimited(api: ApiProcess, open_account: OpenAccount) -> None:
    answer = complete(api, open_account("api_only", unlimited=True)).json()

    assert answer["credits"] == {"used": 1, "remaining": None}
    assert answer["message"] == "Unlimited account."


def test_a_free_request_is_reported_as_free(api: ApiProcess, set_price: SetPrice, person: Person) -> None:
    set_price("live_transcript", "request", 0)

    answer = complete(api, person.key).json()

    assert answer["credits"] == {"used": 0, "remaining": 60}
