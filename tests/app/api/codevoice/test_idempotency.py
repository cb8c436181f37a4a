"""Idempotency keys of `POST /v1/tts`."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.app.api.codevoice.test_speech import HELLO, credits_of
from tests.app.api_process import ApiProcess
from tests.app.conftest import Person


def test_the_same_idempotency_key_and_request_return_the_same_job(api: ApiProcess, person: Person) -> None:
    key = {"Idempotency-Key": "order-1"}
    first = api.call("POST", "/v1/tts", person.key, json=HELLO, headers=key)
    spaced = b'{ "voice":"ryan",  "text":"hello", "api_key":"not looked at" }'

    again = api.call("POST", "/v1/tts", person.key, content=spaced, headers=key)

    assert again.json() == first.json()
    assert (again.headers["Idempotent-Replayed"], "Idempotent-Replayed" in first.headers) == ("true", False)
    assert credits_of(api, person.key)["total_remaining"] == 59


def test_an_idempotency_key_with_another_request_is_refused(api: ApiProcess, person: Person) -> None:
    key = {"Idempotency-Key": "order-2"}
    api.call("POST", "/v1/tts", person.key, json=HELLO, headers=key)

    answer = api.call("POST", "/v1/tts", person.key, json={**HELLO, "text": "bye"}, headers=key)

    assert (answer.status_code, answer.json()["detail"]["error"]) == (422, "idempotency_key_reused")


def test_the_idempotency_key_of_a_cancelled_job_can_be_used_again(api: ApiProcess, person: Person) -> None:
    key = {"Idempotency-Key": "order-3"}
    first = api.call("POST", "/v1/tts", person.key, json=HELLO, headers=key).json()["job_id"]
    api.call("DELETE", f"/v1/jobs/{first}", person.key)

    answer = api.call("POST", "/v1/tts", person.key, json=HELLO, headers=key)

    assert answer.json()["job_id"] != first


def test_twenty_at_once_with_one_key_are_one_job(api: ApiProcess, person: Person) -> None:
    def ask(_: int) -> str:
        headers = {"Idempotency-Key": "race"}
        return api.call("POST", "/v1/tts", person.key, json=HELLO, headers=headers).json()["job_id"]

    with ThreadPoolExecutor(20) as threads:
        jobs = set(threads.map(ask, range(20)))

    assert len(jobs) == 1
    assert credits_of(api, person.key)["total_remaining"] == 59


@pytest.mark.parametrize("key", ["", "a\tb", "a" * 256, "caf\xe9"])
def test_an_idempotency_key_has_1_to_255_printable_characters(
    api: ApiProcess, person: Person, key: str
) -> None:
    headers = {"Idempotency-Key": key.encode("latin-1")}

    answer = api.client.request("POST", "/v1/tts", headers={**headers, "X-API-Key": person.key}, json=HELLO)

    assert answer.status_code == 422
    assert answer.json()["detail"]["field"] == "Idempotency-Key"
