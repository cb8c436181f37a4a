"""Speech in the answer: whole or while it is made; who leaves, who waits, and what it costs."""

import http.client
import time
from typing import Any

import psycopg
import pytest

from tests.app.conftest import AUDIO, End, Person, Run
from tests.app.front import Front
from tests.app.listeners import (
    STREAM,
    WHOLE,
    Answering,
    Listen,
    Mouth,
    answering,
    credits_of,
    jobs_of,
    listen,
    mouth,
    the_job,
    until,
)
from tests.clock import unhurried

__all__ = ["answering", "listen", "mouth"]  # fixtures


def test_the_whole_audio_comes_with_all_its_headers(
    front: Front, person: Person, answering: Answering, end: End
) -> None:
    asked = answering(WHOLE)
    job = the_job(front, person)
    end(job)
    answer = asked.result()

    assert answer.content == AUDIO
    told = {name: answer.headers[name] for name in _WHOLE}
    assert told == {**_WHOLE, "x-job-id": job}
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
def test_a_key_gives_the_same_audio_again_and_a_conflict_until_it_is_there(
    front: Front, person: Person, answering: Answering, end: End, path: str
) -> None:
    first = answering(path, Idempotency_Key="k")
    job = the_job(front, person)
    early = answering(path, Idempotency_Key="k").result()
    end(job)
    again = answering(path, Idempotency_Key="k").result()

    assert (early.status_code, early.headers["Retry-After"]) == (409, "1")
    assert early.json()["error"]["code"] == "REQUEST_IN_FLIGHT"
    assert first.result().content == again.content == AUDIO
    assert "Idempotent-Replayed" not in first.result().headers
    assert again.headers["Idempotent-Replayed"] == "true"
    assert credits_of(front, person) == (59, 0)


@pytest.mark.parametrize("path", [WHOLE, STREAM])
def test_who_leaves_before_the_first_byte_pays_nothing_and_is_noticed_at_once(
    listen: Listen, front: Front, person: Person, path: str
) -> None:
    took_ms = []
    for _ in range(5):
        listener = listen(path)
        job = the_job(front, person)
        left_at = time.monotonic()
        listener.leave()
        until(lambda job=job: front.call("GET", f"/tts/status/{job}").json()["status"] == "failed")
        took_ms.append(1000 * (time.monotonic() - left_at))

    assert min(took_ms) < unhurried(50), took_ms  # others are at work on this machine too
    assert credits_of(front, person) == (60, 0)


@pytest.mark.parametrize("path", [WHOLE, STREAM])
def test_who_leaves_with_a_key_finds_the_job_done(
    listen: Listen, front: Front, person: Person, answering: Answering, end: End, path: str
) -> None:
    listener = listen(path, Idempotency_Key="k")
    job = the_job(front, person)
    listener.leave()
    end(job)

    assert answering(path, Idempotency_Key="k").result().headers["Idempotent-Replayed"] == "true"
    assert credits_of(front, person) == (59, 0)


def test_a_stream_sounds_while_it_is_made_and_names_its_job(
    listen: Listen, front: Front, person: Person, mouth: Mouth
) -> None:
    listener = listen()
    job = the_job(front, person)
    mouth.say(job, b"first")
    early = listener.hear(5)
    mouth.say(job, b"second", b"third")
    mouth.stop(job, "complete", audio_bytes=16)
    rest = listener.hear(100)
    mouth.complete(job, b"firstsecondthird")

    headers = listener.answer.headers
    assert (early, rest) == (b"first", b"secondthird")
    assert headers["X-Job-ID"] == headers["X-Request-ID"] == job
    assert (headers["X-Sample-Rate"], headers["X-Channels"], headers["Content-Length"]) == (
        "22050",
        "1",
        None,
    )
    assert front.call("GET", f"/v1/jobs/{job}", person.key).json()["credits"] == 1
    assert credits_of(front, person) == (59, 0)


def test_the_callers_own_request_id_is_kept(
    listen: Listen, front: Front, person: Person, mouth: Mouth
) -> None:
    listener = listen(X_Request_ID="mine")
    job = the_job(front, person)
    mouth.say(job, b"first")

    assert (listener.answer.headers["X-Request-ID"], listener.answer.headers["X-Job-ID"]) == ("mine", job)
    listener.leave()


def test_who_leaves_in_the_middle_pays(listen: Listen, front: Front, person: Person, mouth: Mouth) -> None:
    listener = listen()
    job = the_job(front, person)
    mouth.say(job, b"first")
    listener.hear(5)
    listener.leave()

    until(lambda: jobs_of(front, person, "cancelled"))
    assert credits_of(front, person) == (59, 0)


def test_a_new_attempt_before_the_first_byte_is_followed(
    listen: Listen, front: Front, person: Person, mouth: Mouth
) -> None:
    listener = listen()
    job = the_job(front, person)
    mouth.say(job)
    mouth.stop(job, "again")
    mouth.again(job)
    mouth.say(job, b"anew")
    mouth.stop(job, "complete", audio_bytes=4)

    assert listener.hear(100) == b"anew"


def test_a_new_attempt_after_the_first_byte_cuts_the_connection(
    listen: Listen, front: Front, person: Person, mouth: Mouth
) -> None:
    listener = listen()
    job = the_job(front, person)
    mouth.say(job, b"first")
    listener.hear(5)
    mouth.stop(job, "again")
    mouth.again(job)

    with pytest.raises(http.client.IncompleteRead):
        listener.hear(100)
    assert until(lambda: credits_of(front, person) == (60, 0))  # our fault: it costs nothing
    assert jobs_of(front, person, "failed") == [job]


def test_a_worker_that_fails_in_the_middle_is_not_paid(
    listen: Listen, front: Front, person: Person, mouth: Mouth, end: End
) -> None:
    listener = listen()
    job = the_job(front, person)
    mouth.say(job, b"first")
    listener.hear(5)
    end(job, "retry", code="engine_failed", attempt=1)
    mouth.stop(job, "again")

    with pytest.raises(http.client.IncompleteRead):
        listener.hear(100)
    assert until(lambda: status_of(front, job)["status"] == "failed")
    assert (status_of(front, job)["reason"], status_of(front, job)["charged"]) == ("broken_off", False)
    assert credits_of(front, person) == (60, 0)


def test_a_text_refused_after_the_first_byte_is_paid_for(
    listen: Listen, front: Front, person: Person, mouth: Mouth, end: End
) -> None:
    listener = listen()
    job = the_job(front, person)
    mouth.say(job, b"first")
    listener.hear(5)
    end(job, "refuse", code="unspeakable_text", attempt=1)
    mouth.stop(job, "failed", code="unspeakable_text")

    with pytest.raises(http.client.IncompleteRead):
        listener.hear(100)
    status = status_of(front, job)
    assert (status["status"], status["reason"], status["charged"]) == ("failed", "unspeakable_text", True)
    assert "was charged" in status["error"]
    assert credits_of(front, person) == (59, 0)


def test_audio_is_recorded_as_given_before_it_leaves(
    listen: Listen, front: Front, person: Person, mouth: Mouth
) -> None:
    """So a cancellation on another connection at the first byte finds the job heard."""
    listener = listen()
    job = the_job(front, person)
    mouth.say(job, b"first")
    listener.hear(1)
    assert front.call("DELETE", f"/v1/jobs/{job}", person.key).status_code == 200
    status = status_of(front, job)
    assert (status["reason"], status["charged"]) == ("cancelled", True)
    assert credits_of(front, person) == (59, 0)


def test_an_account_with_too_many_refunded_streams_waits_until_midnight(
    front: Front, person: Person, answering: Answering, owner: psycopg.Connection[Any]
) -> None:
    for table in ("cv.broken_stream", "cv.lost_worker"):  # other tests': together they would be an incident
        owner.execute(f"DELETE FROM {table}".encode())
    owner.execute(
        "INSERT INTO cv.broken_stream (job, owner) SELECT gen_random_uuid(), %s FROM generate_series(1, 21)",
        [person.id],
    )
    answer = answering(STREAM).result()
    assert (answer.status_code, answer.json()["error"]["code"]) == (429, "RATE_LIMIT_EXCEEDED")
    assert 0 < int(answer.headers["Retry-After"]) <= 86_400
    assert "POST /v1/tts" in answer.json()["error"]["message"]
    assert jobs_of(front, person) == []


def status_of(front: Front, job: str) -> dict[str, Any]:
    return front.call("GET", f"/tts/status/{job}").json()


def test_who_listens_hears_at_once_that_nothing_will_come(
    front: Front, person: Person, answering: Answering
) -> None:
    waited_s: list[float] = []
    for _ in range(3):
        answer, job = answering(STREAM), the_job(front, person)
        began = time.monotonic()
        assert front.call("DELETE", f"/v1/jobs/{job}", person.key).status_code == 200
        assert answer.result().status_code >= 400
        waited_s.append(time.monotonic() - began)
    assert min(waited_s) < 0.5  # not until it looks by itself, which is each second


def test_what_the_stream_lacks_comes_from_the_store(
    listen: Listen, front: Front, person: Person, mouth: Mouth
) -> None:
    listener = listen()
    job = the_job(front, person)
    mouth.say(job, AUDIO[:100])
    listener.hear(100)
    mouth.complete(job, AUDIO)

    assert listener.hear(len(AUDIO)) == AUDIO[100:]


def test_a_stream_that_redis_dropped_goes_on_from_the_store_without_a_hole(
    listen: Listen, front: Front, person: Person, mouth: Mouth
) -> None:
    early, job = listen(), the_job(front, person)
    mouth.say(job, AUDIO[:100])
    early.hear(100)
    mouth.drop(job)  # with AUDIO[100:200], which nobody has read yet
    mouth.say(job, AUDIO[200:300])
    late = listen(f"/tts/stream/{job}")
    mouth.complete(job, AUDIO)

    assert early.hear(len(AUDIO)) == AUDIO[100:]
    assert late.hear(len(AUDIO)) == AUDIO


@pytest.fixture
def strict(front_with: Run) -> Front:
    """A front door where nobody waits long, nor with many others."""
    return front_with(
        CODEVOICE_FIRST_AUDIO_WAIT_S="0.5", CODEVOICE_STREAMS_MAX="1", CODEVOICE_ANSWERS_WAITING_MAX="2"
    )


@pytest.mark.parametrize(("path", "key"), [(WHOLE, None), (STREAM, None), (WHOLE, "k"), (STREAM, "k")])
def test_who_has_waited_long_enough_is_told_so(
    front: Front, strict: Front, person: Person, answering: Answering, path: str, key: str | None
) -> None:
    headers = {"Idempotency_Key": key} if key else {}
    answer = answering(path, strict, **headers).result()

    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")
    assert answer.json()["error"]["code"] == "SERVICE_UNAVAILABLE"
    assert len(jobs_of(front, person, "queued")) == (1 if key else 0)
    assert credits_of(front, person) == ((59, 1) if key else (60, 0))


@pytest.mark.parametrize("path", [WHOLE, STREAM, "/api/v1/tts/stream"])
def test_who_prefers_a_job_gets_one(front: Front, person: Person, answering: Answering, path: str) -> None:
    answer = answering(path, Prefer="respond-async").result()

    job = answer.json()["job_id"]
    assert (answer.status_code, answer.headers["Location"]) == (202, f"/v1/jobs/{job}")
    assert front.call("GET", answer.json()["status_url"]).json()["status"] == "queued"


def test_a_key_may_have_so_many_streams(
    listen: Listen, front: Front, strict: Front, person: Person, mouth: Mouth, answering: Answering
) -> None:
    listener = listen(on=strict)
    job = the_job(front, person)
    mouth.say(job, b"first")
    listener.hear(5)
    refused = answering(STREAM, strict).result()
    listener.leave()
    until(lambda: jobs_of(front, person, "cancelled"))
    listen(on=strict)

    assert (refused.status_code, refused.json()["error"]["code"]) == (429, "RATE_LIMIT_EXCEEDED")
    assert refused.headers["Retry-After"] == "1"
    assert refused.json()["error"]["details"]["limit"] == 1
    the_job(front, person)  # there is room again


def test_so_many_may_wait(front: Front, strict: Front, person: Person, answering: Answering) -> None:
    waiting = [answering(WHOLE, strict) for _ in range(2)]
    until(lambda: len(jobs_of(front, person)) == 2)
    refused = answering(WHOLE, strict).result()

    assert (refused.status_code, refused.headers["Retry-After"]) == (503, "1")
    assert "Too many requests are waiting" in refused.json()["error"]["message"]
    assert all("no audio came in time" in asked.result().json()["error"]["message"] for asked in waiting)


def test_without_redis_the_audio_comes_a_little_later(
    front_with: Run, person: Person, answering: Answering, end: End
) -> None:
    front = front_with(REDIS_URL="redis://127.0.0.1:1/0")
    both = [answering(path, front) for path in (WHOLE, STREAM)]
    for job in until(lambda: len(found := jobs_of(front, person)) == 2 and found):
        end(job)

    assert [asked.result().content for asked in both] == [AUDIO, AUDIO]
