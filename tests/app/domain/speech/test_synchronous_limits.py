"""Limits of synchronous speech: waits, streams of a key, waiting requests."""

import pytest

from tests.app.api_process import ApiProcess
from tests.app.conftest import AUDIO, End, Person, Run
from tests.app.listeners import (
    STREAM,
    WHOLE,
    Answering,
    FakeWorker,
    Listen,
    answering,
    credits_of,
    fake_worker,
    jobs_of,
    listen,
    the_job,
    until,
)

__all__ = ["answering", "fake_worker", "listen"]  # fixtures


@pytest.fixture
def strict(api_with: Run) -> ApiProcess:
    """An API server with a short wait and a small number of waiting requests."""
    return api_with(
        CODEVOICE_FIRST_AUDIO_WAIT_S="0.5", CODEVOICE_STREAMS_MAX="1", CODEVOICE_ANSWERS_WAITING_MAX="2"
    )


@pytest.mark.parametrize(("path", "key"), [(WHOLE, None), (STREAM, None), (WHOLE, "k"), (STREAM, "k")])
def test_a_wait_for_audio_times_out(
    api: ApiProcess, strict: ApiProcess, person: Person, answering: Answering, path: str, key: str | None
) -> None:
    headers = {"Idempotency_Key": key} if key else {}
    answer = answering(path, strict, **headers).result()

    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")
    assert answer.json()["error"]["code"] == "SERVICE_UNAVAILABLE"
    assert len(jobs_of(api, person, "queued")) == (1 if key else 0)
    assert credits_of(api, person) == ((59, 1) if key else (60, 0))


@pytest.mark.parametrize("path", [WHOLE, STREAM, "/api/v1/tts/stream"])
def test_prefer_respond_async_returns_a_job(
    api: ApiProcess, person: Person, answering: Answering, path: str
) -> None:
    answer = answering(path, Prefer="respond-async").result()

    job = answer.json()["job_id"]
    assert (answer.status_code, answer.headers["Location"]) == (202, f"/v1/jobs/{job}")
    assert api.call("GET", answer.json()["status_url"]).json()["status"] == "queued"


def test_a_key_may_have_so_many_streams(
    listen: Listen,
    api: ApiProcess,
    strict: ApiProcess,
    person: Person,
    fake_worker: FakeWorker,
    answering: Answering,
) -> None:
    listener = listen(on=strict)
    job = the_job(api, person)
    fake_worker.say(job, b"first")
    listener.read(5)
    refused = answering(STREAM, strict).result()
    listener.leave()
    until(lambda: jobs_of(api, person, "cancelled"))
    listen(on=strict)

    assert (refused.status_code, refused.json()["error"]["code"]) == (429, "RATE_LIMIT_EXCEEDED")
    assert refused.headers["Retry-After"] == "1"
    assert refused.json()["error"]["details"]["limit"] == 1
    the_job(api, person)  # there is a free place again


def test_the_number_of_waiting_requests_is_bounded(
    api: ApiProcess, strict: ApiProcess, person: Person, answering: Answering
) -> None:
    waiting = [answering(WHOLE, strict) for _ in range(2)]
    until(lambda: len(jobs_of(api, person)) == 2)
    refused = answering(WHOLE, strict).result()

    assert (refused.status_code, refused.headers["Retry-After"]) == (503, "1")
    assert "Too many requests are waiting" in refused.json()["error"]["message"]
    assert all("no audio came in time" in pending.result().json()["error"]["message"] for pending in waiting)


def test_without_redis_the_audio_comes_a_little_later(
    api_with: Run, person: Person, answering: Answering, end: End
) -> None:
    api = api_with(REDIS_URL="redis://127.0.0.1:1/0")
    both = [answering(path, api) for path in (WHOLE, STREAM)]
    for job in until(lambda: len(found := jobs_of(api, person)) == 2 and found):
        end(job)

    assert [pending.result().content for pending in both] == [AUDIO, AUDIO]
