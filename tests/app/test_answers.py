"""Speech in the answer: whole or while it is made; who leaves, who waits, and what it costs."""

import http.client
import json
import time
from collections.abc import Callable, Generator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any
from uuid import UUID

import httpx
import pytest

from db import chunks, work
from db.chunks import End as Ending
from db.chunks import Live
from db.rows import Finished
from db.work import WorkerConnection

from .conftest import AUDIO, End, Person, Run, Say, Take
from .front import Front

WHOLE, STREAM = "/api/v1/tts/generate", "/api/v1/tts/generate/stream"
HELLO = {"text": "hello", "voice": "ryan", "format": "wav"}
Answering = Callable[..., Future[httpx.Response]]


@pytest.fixture
def answering(front: Front, person: Person) -> Generator[Answering]:
    """Sends a request for speech, and does not wait for the answer."""
    with ThreadPoolExecutor(8) as threads:

        def send(path: str = WHOLE, on: Front = front, **headers: str) -> Future[httpx.Response]:
            named = {name.replace("_", "-"): value for name, value in headers.items()}
            return threads.submit(on.call, "POST", path, person.key, json=HELLO, headers=named)

        yield send


def until(act: Callable[[], Any], seconds: float = 10) -> Any:
    """What `act` finds, once it finds something."""
    deadline = time.monotonic() + seconds
    while not (found := act()):
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.005)
    return found


def jobs_of(front: Front, person: Person, status: str = "queued") -> list[str]:
    found = front.call("GET", "/v1/jobs", person.key, params={"status": status}).json()["jobs"]
    return [job["job_id"] for job in found]


def the_job(front: Front, person: Person, status: str = "queued") -> str:
    (found,) = until(lambda: jobs_of(front, person, status))
    return found


def credits_of(front: Front, person: Person) -> tuple[int, int]:
    """(left, held)"""
    found = front.call("GET", "/api/auth/me", person.key).json()["credits"]
    return found["total_remaining"], found["held"]


class Mouth:
    """A worker's side of live audio, sound by sound."""

    def __init__(self, redis_url: str, worker: WorkerConnection, take: Take, end: End) -> None:
        self._redis = chunks.connect(redis_url)
        self._worker = worker
        self._take = take
        self._finish = end
        self._attempts: dict[str, int] = {}

    def say(self, job: str, *audio: bytes) -> None:
        if job not in self._attempts:
            self._attempts[job] = self._take(job)
        with self._redis.pipeline() as pipeline:
            for part in audio:
                chunks.append(pipeline, self._live(job), part, keep_s=60)
            pipeline.execute()

    def stop(self, job: str, ending: Any, **told: Any) -> None:
        with self._redis.pipeline() as pipeline:
            chunks.end(pipeline, self._live(job), Ending(ending=ending, **told))
            pipeline.execute()

    def again(self, job: str) -> None:
        """The attempt comes to nothing; another is to follow."""
        lost = Finished(id=UUID(job), attempt=self._attempts.pop(job), outcome="hand_back")
        work.finish(self._worker, [lost], worker="w1", tries_max=3, keep_s=60)

    def complete(self, job: str, audio: bytes) -> None:
        self._finish(job, audio=audio, attempt=self._attempts[job])

    def _live(self, job: str) -> Live:
        return Live(UUID(job), self._attempts[job])


@pytest.fixture
def mouth(redis_url: str, parrot: WorkerConnection, take: Take, end: End) -> Mouth:
    return Mouth(redis_url, parrot, take, end)


class Listener:
    """A client on a socket of its own, which reads as it likes and leaves when it likes."""

    def __init__(self, front: Front, person: Person, path: str = STREAM, **headers: str) -> None:
        self._connection = http.client.HTTPConnection(*front.address, timeout=10)
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        sent = {"X-API-Key": person.key, "Content-Type": "application/json", **named}
        method, body = ("POST", json.dumps(HELLO)) if path in (STREAM, WHOLE) else ("GET", None)
        self._connection.request(method, path, body, sent)
        self._answer: http.client.HTTPResponse | None = None

    @property
    def answer(self) -> http.client.HTTPResponse:
        if self._answer is None:
            self._answer = self._connection.getresponse()
        return self._answer

    def hear(self, length: int) -> bytes:
        return self.answer.read(length)

    def leave(self) -> None:
        if self._answer is not None:
            self._answer.close()
        self._connection.close()


Listen = Callable[..., Listener]


@pytest.fixture
def listen(front: Front, person: Person) -> Generator[Listen]:
    """Makes listeners; those that have not left by then leave at the end."""
    made: list[Listener] = []

    def listen(path: str = STREAM, on: Front = front, **headers: str) -> Listener:
        made.append(Listener(on, person, path, **headers))
        return made[-1]

    yield listen
    for listener in made:
        listener.leave()


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

    assert min(took_ms) < 50, took_ms  # others are at work on this machine too
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
    mouth.say(job)
    mouth.complete(job, b"whole")
    assert credits_of(front, person) == (59, 0)


def test_a_worker_that_fails_in_the_middle_is_not_paid(
    listen: Listen, front: Front, person: Person, mouth: Mouth, end: End
) -> None:
    listener = listen()
    job = the_job(front, person)
    mouth.say(job, b"first")
    listener.hear(5)
    end(job, "refuse", code="engine_failed", attempt=1)
    mouth.stop(job, "failed", code="engine_failed")

    with pytest.raises(http.client.IncompleteRead):
        listener.hear(100)
    assert credits_of(front, person) == (60, 0)


def test_what_the_stream_lacks_comes_from_the_store(
    listen: Listen, front: Front, person: Person, mouth: Mouth
) -> None:
    listener = listen()
    job = the_job(front, person)
    mouth.say(job, AUDIO[:100])
    listener.hear(100)
    mouth.complete(job, AUDIO)

    assert listener.hear(len(AUDIO)) == AUDIO[100:]


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


def test_anybody_with_the_id_hears_a_queued_job(
    listen: Listen, front: Front, person: Person, say: Say, mouth: Mouth
) -> None:
    job = say(person.key)
    listener = listen(f"/tts/stream/{job}")
    mouth.say(job, b"first")
    listener.hear(5)
    listener.leave()
    late = listen(f"/tts/stream/{job}")
    assert late.hear(5) == b"first"
    mouth.complete(job, AUDIO)
    part = front.call("GET", f"/tts/stream/{job}", headers={"Range": "bytes=0-9"})

    assert (part.status_code, part.content) == (206, AUDIO[:10])
    assert credits_of(front, person) == (59, 0)


def test_a_job_is_followed_to_its_end(
    listen: Listen, front: Front, person: Person, say: Say, mouth: Mouth
) -> None:
    job = say(person.key)
    listener = listen(f"/v1/jobs/{job}/events")
    assert listener.answer.headers["Content-Type"].startswith("text/event-stream")
    told = [event(listener)]
    mouth.say(job)
    told.append(event(listener))
    mouth.complete(job, AUDIO)
    told.append(event(listener))

    assert [status for status, _ in told] == ["queued", "processing", "completed"]
    assert told[-1][1]["duration_ms"] == 1234
    assert listener.hear(1) == b""


def event(listener: Listener) -> tuple[str, dict[str, Any]]:
    name, data, blank = (listener.answer.readline().decode().rstrip("\n") for _ in range(3))
    assert (name, blank) == ("event: status", "")
    found = json.loads(data.removeprefix("data: "))
    return found["status"], found


def test_own_jobs_are_paged(front: Front, person: Person, say: Say) -> None:
    made = [say(person.key) for _ in range(3)]
    first = front.call("GET", "/v1/jobs", person.key, params={"limit": 2}).json()
    second = front.call(
        "GET", "/v1/jobs", person.key, params={"limit": 2, "cursor": first["next_cursor"]}
    ).json()

    assert [job["job_id"] for page in (first, second) for job in page["jobs"]] == made[::-1]
    assert (first["has_more"], second["has_more"], second["next_cursor"]) == (True, False, None)


@pytest.mark.parametrize("query", [{"status": "done"}, {"limit": 0}, {"limit": 101}, {"cursor": "x"}])
def test_a_wrong_page_is_named(front: Front, person: Person, query: dict[str, Any]) -> None:
    answer = front.call("GET", "/v1/jobs", person.key, params=query)

    assert (answer.status_code, answer.json()["detail"]["field"]) == (422, next(iter(query)))
