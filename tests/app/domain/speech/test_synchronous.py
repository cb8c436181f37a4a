"""Synchronous speech, whole or streamed: disconnects, waits and what they cost."""

import http.client
import time
from typing import Any

import psycopg
import pytest

from tests.app.api_process import ApiProcess
from tests.app.conftest import AUDIO, End, Person
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
from tests.clock import unhurried

__all__ = ["answering", "fake_worker", "listen"]  # fixtures


def test_the_whole_audio_comes_with_all_its_headers(
    api: ApiProcess, person: Person, answering: Answering, end: End
) -> None:
    pending = answering(WHOLE)
    job = the_job(api, person)
    end(job)
    answer = pending.result()

    assert answer.content == AUDIO
    headers = {name: answer.headers[name] for name in _WHOLE}
    assert headers == {**_WHOLE, "x-job-id": job}
    assert int(answer.headers["x-processing-time-ms"]) >= 0
    assert answer.headers["x-request-id"] != job


_WHOLE = {
    "content-type": "audio/wav",
    "content-length": str(len(AUDIO)),
    "content-disposition": 'attachment; filename="codevoice.wav"',
    "x-credits-used": "1",
    "x-credits-remaining": "59",
    "x-duration-ms": "1234",
    "x-job-id": "",
}


@pytest.mark.parametrize("path", [WHOLE, STREAM])
def test_an_idempotency_key_is_a_conflict_until_the_audio_is_complete_and_then_returns_it(
    api: ApiProcess, person: Person, answering: Answering, end: End, path: str
) -> None:
    first = answering(path, Idempotency_Key="k")
    job = the_job(api, person)
    early = answering(path, Idempotency_Key="k").result()
    end(job)
    again = answering(path, Idempotency_Key="k").result()

    assert (early.status_code, early.headers["Retry-After"]) == (409, "1")
    assert early.json()["error"]["code"] == "REQUEST_IN_FLIGHT"
    assert first.result().content == again.content == AUDIO
    assert "Idempotent-Replayed" not in first.result().headers
    assert again.headers["Idempotent-Replayed"] == "true"
    assert credits_of(api, person) == (59, 0)


@pytest.mark.parametrize("path", [WHOLE, STREAM])
def test_disconnecting_before_the_first_byte_is_free_and_noticed_at_once(
    listen: Listen, api: ApiProcess, person: Person, path: str
) -> None:
    took_ms = []
    for _ in range(5):
        listener = listen(path)
        job = the_job(api, person)
        left_at = time.monotonic()
        listener.leave()
        until(lambda job=job: api.call("GET", f"/tts/status/{job}").json()["status"] == "failed")
        took_ms.append(1000 * (time.monotonic() - left_at))

    assert min(took_ms) < unhurried(50), took_ms  # others are at work on this machine too
    assert credits_of(api, person) == (60, 0)


@pytest.mark.parametrize("path", [WHOLE, STREAM])
def test_a_job_with_an_idempotency_key_completes_after_a_disconnect(
    listen: Listen, api: ApiProcess, person: Person, answering: Answering, end: End, path: str
) -> None:
    listener = listen(path, Idempotency_Key="k")
    job = the_job(api, person)
    listener.leave()
    end(job)

    assert answering(path, Idempotency_Key="k").result().headers["Idempotent-Replayed"] == "true"
    assert credits_of(api, person) == (59, 0)


def test_a_stream_is_sent_while_it_is_made_and_names_its_job(
    listen: Listen, api: ApiProcess, person: Person, fake_worker: FakeWorker
) -> None:
    listener = listen()
    job = the_job(api, person)
    fake_worker.say(job, b"first")
    early = listener.read(5)
    fake_worker.say(job, b"second", b"third")
    fake_worker.stop(job, "complete", audio_bytes=16)
    rest = listener.read(100)
    fake_worker.complete(job, b"firstsecondthird")

    headers = listener.answer.headers
    assert (early, rest) == (b"first", b"secondthird")
    assert headers["X-Job-ID"] == headers["X-Request-ID"] == job
    assert (headers["X-Sample-Rate"], headers["X-Channels"], headers["Content-Length"]) == (
        "22050",
        "1",
        None,
    )
    assert api.call("GET", f"/v1/jobs/{job}", person.key).json()["credits"] == 1
    assert credits_of(api, person) == (59, 0)


def test_the_callers_own_request_id_is_kept(
    listen: Listen, api: ApiProcess, person: Person, fake_worker: FakeWorker
) -> None:
    listener = listen(X_Request_ID="mine")
    job = the_job(api, person)
    fake_worker.say(job, b"first")

    assert (listener.answer.headers["X-Request-ID"], listener.answer.headers["X-Job-ID"]) == ("mine", job)
    listener.leave()


def test_who_leaves_in_the_middle_pays(
    listen: Listen, api: ApiProcess, person: Person, fake_worker: FakeWorker
) -> None:
    listener = listen()
    job = the_job(api, person)
    fake_worker.say(job, b"first")
    listener.read(5)
    listener.leave()

    until(lambda: jobs_of(api, person, "cancelled"))
    assert credits_of(api, person) == (59, 0)


def test_a_new_attempt_before_the_first_byte_is_followed(
    listen: Listen, api: ApiProcess, person: Person, fake_worker: FakeWorker
) -> None:
    listener = listen()
    job = the_job(api, person)
    fake_worker.say(job)
    fake_worker.stop(job, "again")
    fake_worker.again(job)
    fake_worker.say(job, b"anew")
    fake_worker.stop(job, "complete", audio_bytes=4)

    assert listener.read(100) == b"anew"


def test_a_new_attempt_after_the_first_byte_cuts_the_connection(
    listen: Listen, api: ApiProcess, person: Person, fake_worker: FakeWorker
) -> None:
    listener = listen()
    job = the_job(api, person)
    fake_worker.say(job, b"first")
    listener.read(5)
    fake_worker.stop(job, "again")
    fake_worker.again(job)

    with pytest.raises(http.client.IncompleteRead):
        listener.read(100)
    assert until(lambda: credits_of(api, person) == (60, 0))  # our failure: it costs nothing
    assert jobs_of(api, person, "failed") == [job]


def test_a_worker_failure_in_mid_stream_is_free(
    listen: Listen, api: ApiProcess, person: Person, fake_worker: FakeWorker, end: End
) -> None:
    listener = listen()
    job = the_job(api, person)
    fake_worker.say(job, b"first")
    listener.read(5)
    end(job, "retry", code="engine_failed", attempt=1)
    fake_worker.stop(job, "again")

    with pytest.raises(http.client.IncompleteRead):
        listener.read(100)
    assert until(lambda: status_of(api, job)["status"] == "failed")
    assert (status_of(api, job)["reason"], status_of(api, job)["charged"]) == ("broken_off", False)
    assert credits_of(api, person) == (60, 0)


def test_a_text_refused_after_the_first_byte_is_charged(
    listen: Listen, api: ApiProcess, person: Person, fake_worker: FakeWorker, end: End
) -> None:
    listener = listen()
    job = the_job(api, person)
    fake_worker.say(job, b"first")
    listener.read(5)
    end(job, "refuse", code="unspeakable_text", attempt=1)
    fake_worker.stop(job, "failed", code="unspeakable_text")

    with pytest.raises(http.client.IncompleteRead):
        listener.read(100)
    status = status_of(api, job)
    assert (status["status"], status["reason"], status["charged"]) == ("failed", "unspeakable_text", True)
    assert "was charged" in status["error"]
    assert credits_of(api, person) == (59, 0)


def test_audio_is_recorded_as_given_before_it_is_sent(
    listen: Listen, api: ApiProcess, person: Person, fake_worker: FakeWorker
) -> None:
    """So a cancellation on another connection at the first byte finds that audio was given."""
    listener = listen()
    job = the_job(api, person)
    fake_worker.say(job, b"first")
    listener.read(1)
    assert api.call("DELETE", f"/v1/jobs/{job}", person.key).status_code == 200
    status = status_of(api, job)
    assert (status["reason"], status["charged"]) == ("cancelled", True)
    assert credits_of(api, person) == (59, 0)


def test_an_account_with_too_many_refunded_streams_waits_until_midnight(
    api: ApiProcess, person: Person, answering: Answering, owner: psycopg.Connection[Any]
) -> None:
    for table in (
        "cv.broken_stream",
        "cv.lost_worker",
    ):  # those of other tests: together they would be an incident
        owner.execute(f"DELETE FROM {table}".encode())
    owner.execute(
        "INSERT INTO cv.broken_stream (job, owner) SELECT gen_random_uuid(), %s FROM generate_series(1, 21)",
        [person.id],
    )
    answer = answering(STREAM).result()
    assert (answer.status_code, answer.json()["error"]["code"]) == (429, "RATE_LIMIT_EXCEEDED")
    assert 0 < int(answer.headers["Retry-After"]) <= 86_400
    assert "POST /v1/tts" in answer.json()["error"]["message"]
    assert jobs_of(api, person) == []


def status_of(api: ApiProcess, job: str) -> dict[str, Any]:
    return api.call("GET", f"/tts/status/{job}").json()


def test_a_waiting_stream_is_answered_at_once_when_its_job_is_cancelled(
    api: ApiProcess, person: Person, answering: Answering
) -> None:
    waited_s: list[float] = []
    for _ in range(3):
        answer, job = answering(STREAM), the_job(api, person)
        began = time.monotonic()
        assert api.call("DELETE", f"/v1/jobs/{job}", person.key).status_code == 200
        assert answer.result().status_code >= 400
        waited_s.append(time.monotonic() - began)
    assert min(waited_s) < 0.5  # not only at its own poll, once a second


def test_audio_missing_from_the_stream_comes_from_the_store(
    listen: Listen, api: ApiProcess, person: Person, fake_worker: FakeWorker
) -> None:
    listener = listen()
    job = the_job(api, person)
    fake_worker.say(job, AUDIO[:100])
    listener.read(100)
    fake_worker.complete(job, AUDIO)

    assert listener.read(len(AUDIO)) == AUDIO[100:]


def test_a_stream_that_redis_dropped_goes_on_from_the_store_without_a_hole(
    listen: Listen, api: ApiProcess, person: Person, fake_worker: FakeWorker
) -> None:
    early, job = listen(), the_job(api, person)
    fake_worker.say(job, AUDIO[:100])
    early.read(100)
    fake_worker.drop(job)  # with AUDIO[100:200], which no listener has read yet
    fake_worker.say(job, AUDIO[200:300])
    late = listen(f"/tts/stream/{job}")
    fake_worker.complete(job, AUDIO)

    assert early.read(len(AUDIO)) == AUDIO[100:]
    assert late.read(len(AUDIO)) == AUDIO
