"""Storage quotas: what an account may keep, and how much disk space must stay free."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psycopg
import pytest

from db.postgres import jobs_worker
from db.postgres.jobs_worker import WorkerConnection
from tests.app.api_process import ApiProcess
from tests.app.conftest import AUDIO, ENGINE, End, Person, Run, Say
from tests.app.listeners import until
from tests.conftest import Lack
from tests.tmpfs import disk

LONG = "7 " * 800  # some 17 MB of wav, 3 MB of mp3
HELLO = {"text": "hello", "voice": "ryan"}
CALLS: list[tuple[str, dict[str, Any]]] = [
    ("/v1/tts", {"json": HELLO}),
    ("/api/v1/tts/generate", {"json": HELLO}),
    ("/api/v1/tts/generate/stream", {"json": HELLO}),
    ("/v1/audio/speech", {"json": {"model": "tts-1", "input": "hello", "voice": "ryan"}}),
    ("/v1/text-to-speech/ryan", {"json": {"text": "hello"}}),
]


def stored(api: ApiProcess, person: Person) -> dict[str, int]:
    me = api.call("GET", "/api/auth/me", person.key).json()["storage"]
    assert api.call("GET", "/api/v1/usage", person.key).json()["storage"] == me
    return me


def code(answer: Any) -> str:
    found = answer.json()
    error = found.get("error") or found["detail"]
    return str(error.get("code") or error.get("error") or error.get("status"))


def speak(api: ApiProcess, person: Person, text: str = LONG, **more: Any) -> Any:
    headers = more.pop("headers", {})
    return api.call("POST", "/v1/tts", person.key, json={**HELLO, "text": text, **more}, headers=headers)


def test_stored_bytes_are_reported_until_they_are_deleted(
    api: ApiProcess, person: Person, say: Say, end: End, parrot: WorkerConnection
) -> None:
    before = stored(api, person)
    end(say(person.key))
    end(say(person.key), keep_s=0)
    both = stored(api, person)
    jobs_worker.forget_audio(parrot, [job for job, _ in jobs_worker.expired_audio(parrot, limit=100)])
    end(say(person.key), "refuse", code="unspeakable_text")

    assert before == {"stored_bytes": 0, "limit_bytes": 1 << 30}
    assert both["stored_bytes"] == 2 * len(AUDIO)
    assert stored(api, person)["stored_bytes"] == len(AUDIO)


@pytest.mark.parametrize(("path", "options"), CALLS, ids=[path for path, _ in CALLS])
def test_over_its_quota_an_account_is_refused_before_a_job_is_taken(
    api_with: Run, api: ApiProcess, person: Person, say: Say, end: End, path: str, options: dict[str, Any]
) -> None:
    small = api_with(CODEVOICE_FREE_STORED_BYTES_MAX=str(len(AUDIO)))
    end(say(person.key))

    refused = small.call("POST", path, person.key, **options)

    assert refused.status_code == 403
    assert code(refused).lower() == "storage_quota_exceeded"
    credits = api.call("GET", "/api/auth/me", person.key).json()["credits"]
    assert (credits["held"], credits["total_remaining"]) == (0, 59)


def test_large_jobs_that_wait_are_counted_however_many_come_at_once(api_with: Run, person: Person) -> None:
    small = api_with(CODEVOICE_FREE_STORED_BYTES_MAX=str(40_000_000))

    with ThreadPoolExecutor(4) as threads:
        answers = list(threads.map(lambda _: speak(small, person), range(4)))
    taken = [answer.json()["job_id"] for answer in answers if answer.status_code == 200]

    assert len(taken) == 2
    assert {code(answer) for answer in answers if answer.status_code != 200} == {"storage_quota_exceeded"}
    assert small.call("DELETE", f"/v1/jobs/{taken[0]}", person.key).status_code == 200
    assert speak(small, person).status_code == 200  # the space reserved for it is free again
    assert speak(small, person, format="mp3").status_code == 200  # a sixth of its size


def test_large_jobs_that_wait_are_counted_before_they_take_the_disk(
    api_with: Run, person: Person, owner: psycopg.Connection[Any], tmp_path: Path, lack: Lack
) -> None:
    owner.execute("DELETE FROM cv.expected_store")  # of other tests
    with disk(tmp_path / "disk", mib=64, lack=lack) as found:
        api = api_with(
            CODEVOICE_OBJECTS=found.folder.as_uri(),
            CODEVOICE_STORE_FREE_BYTES_MIN=str(24 << 20),
            CODEVOICE_STORE_FREE_PERCENT_MIN="0",
        )
        answers = [speak(api, person) for _ in range(3)]
        assert [answer.status_code for answer in answers] == [200, 200, 503]
        assert (code(answers[2]), answers[2].headers["Retry-After"]) == ("store_full", "60")
        assert speak(api, person, "hello").status_code == 200
        api.call("DELETE", f"/v1/jobs/{answers[0].json()['job_id']}", person.key)
        assert speak(api, person).status_code == 200


def test_no_space_stays_reserved_for_a_failed_request(
    api_with: Run, person: Person, owner: psycopg.Connection[Any]
) -> None:
    api = api_with(CODEVOICE_JOBS_WAITING_MAX="1")
    key = {"Idempotency-Key": "large"}
    first = speak(api, person, headers=key)
    again, refused = speak(api, person, headers=key), speak(api, person)

    mine = "SELECT e.job FROM cv.expected_store e JOIN cv.job j ON j.owner = e.owner WHERE j.id = %s"
    kept = owner.execute(mine, (first.json()["job_id"],)).fetchall()
    assert (first.status_code, again.status_code, refused.status_code) == (200, 200, 429)
    assert [str(job) for (job,) in kept] == [first.json()["job_id"]]


def test_a_repeated_request_is_answered_even_over_the_quota(api_with: Run, person: Person, end: End) -> None:
    small, key = api_with(CODEVOICE_FREE_STORED_BYTES_MAX=str(len(AUDIO))), {"Idempotency-Key": "once"}
    first = speak(small, person, "hello", headers=key)
    end(first.json()["job_id"])
    assert until(lambda: speak(small, person, "hello").status_code == 403)

    again = speak(small, person, "hello", headers=key)

    assert (again.status_code, again.json()["job_id"]) == (200, first.json()["job_id"])


@pytest.fixture
def full(api_with: Run, parrot: WorkerConnection) -> ApiProcess:
    """An API server whose floor of free disk space is the whole disk."""
    jobs_worker.publish(parrot, ENGINE, worker="w1")
    return api_with(CODEVOICE_STORE_FREE_PERCENT_MIN="100")


@pytest.mark.parametrize(("path", "options"), CALLS, ids=[path for path, _ in CALLS])
def test_below_the_floor_of_free_disk_no_job_is_taken(
    full: ApiProcess, person: Person, path: str, options: dict[str, Any]
) -> None:
    refused = full.call("POST", path, person.key, **options)

    assert (refused.status_code, refused.headers["Retry-After"]) == (503, "60")
    assert code(refused).lower() in ("store_full", "service_unavailable")
    assert full.call("GET", "/v1/jobs", person.key).json()["jobs"] == []


def test_readiness_reports_a_full_disk(full: ApiProcess) -> None:
    answer = full.call("GET", "/health/ready")

    assert (answer.status_code, answer.json()["missing"]) == (503, ["disk"])


def test_a_store_other_than_a_folder_has_no_floor(api_with: Run) -> None:
    api = api_with(
        CODEVOICE_STORE_FREE_PERCENT_MIN="100", CODEVOICE_OBJECTS="s3://nowhere?endpoint=http://127.0.0.1:1"
    )

    assert "disk" not in api.call("GET", "/health/ready").json()["missing"]
