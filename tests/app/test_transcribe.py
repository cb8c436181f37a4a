"""Uploads at the front door, with an engine made known and no worker but the test."""

import io
import socket
import time
import uuid
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from hashlib import sha256
from typing import Any

import msgspec
import psycopg
import pytest

from db import work
from db.objects import Objects
from db.rows import Capabilities, Claimed, Finished, TranscriptionParams
from db.transcripts import Segment, Transcript
from db.uploads import upload_key
from db.work import WorkerConnection
from tests.sounds import wav
from workers.connections import Link
from workers.leftovers import sweep_uploads

from .conftest import OpenAccount, Person
from .front import Front

EAR = Capabilities(
    engine="ear",
    kind="transcription",
    voices=(),
    sample_rate_hz=16_000,
    formats=(),
    characters_max=0,
    cost_us_per_character=0,
    languages=("en", "de"),
    language_names=("English", "German"),
    seconds_max=3600,
)
CLIP = wav(bytes(3200))
HEARD = Transcript(
    text="good morning",
    language="en",
    duration=1.5,
    segments=(Segment(id=0, start=0.1, end=1.2, text="good morning"),),
)


@pytest.fixture(autouse=True)
def _ear(parrot: WorkerConnection) -> Generator[None]:
    """An engine that hears is at work, and is no more when the test has ended."""
    work.publish(parrot, EAR, worker="ear1")
    yield
    work.retire(parrot, engine="ear", worker="ear1")


Finish = Callable[..., Claimed]


@pytest.fixture
def finish(parrot: WorkerConnection, store: Objects) -> Finish:
    """Waits for one job and ends it: with HEARD, or refused with a code."""

    def end(code: str | None = None) -> Claimed:
        job = _claimed(parrot)
        done = Finished(id=job.id, attempt=job.attempt, outcome="refuse" if code else "done", code=code)
        if not code:
            body = msgspec.json.encode(HEARD)
            key = f"jobs/{job.id}/{job.attempt}.json"
            store.put(key, io.BytesIO(body))
            done = msgspec.structs.replace(
                done, object=key, audio_bytes=len(body), sha256=sha256(body).digest()
            )
        work.finish(parrot, [done], worker="ear1", tries_max=3, keep_s=3600)
        return job

    return end


def _claimed(connection: WorkerConnection) -> Claimed:
    claim = partial(work.claim, connection, engine="ear", params=TranscriptionParams, lane=None, mixed=True)
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        if found := claim(limit=1, worker="ear1", lease_s=60):
            return found[0]
        time.sleep(0.01)
    raise AssertionError("no job came")


@pytest.fixture
def beside() -> Generator[Callable[..., Any]]:
    """Runs a request while the test goes on."""
    with ThreadPoolExecutor(4) as threads:
        yield threads.submit


def send(front: Front, key: str, content: bytes = CLIP, *, again: str = "", **fields: str) -> Any:
    headers = {"Idempotency-Key": again} if again else {}
    files = {"file": ("a", content)}
    return front.call("POST", "/transcribe", key, files=files, data=fields, headers=headers)


def left(front: Front, key: str) -> int:
    return front.call("GET", "/api/auth/me", key).json()["credits"]["total_remaining"]


def test_a_transcript_is_paid_for_when_it_is_there(
    front: Front, person: Person, finish: Finish, beside: Callable[..., Any]
) -> None:
    asked = beside(send, front, person.key, language="de-AT")
    job = finish()
    answer = asked.result()

    assert answer.json() == {
        "text": "good morning",
        "language": "en",
        "duration": 1.5,
        "segments": [{"id": 0, "start": 0.1, "end": 1.2, "text": "good morning"}],
        "credits": {"used": 1, "remaining": 59},
    }
    assert job.params == TranscriptionParams(
        object=upload_key(job.id), sha256=sha256(CLIP).hexdigest(), language="de", seconds_max=600
    )


@pytest.mark.parametrize(
    ("code", "status", "error"),
    [
        ("broken_audio", 422, "broken_audio"),
        ("external_reference", 422, "broken_audio"),
        ("audio_too_long", 413, "audio_too_long"),
        ("unsupported_audio", 415, "unsupported_audio"),
        ("engine_interrupted", 503, "service_unavailable"),
    ],
)
def test_what_cannot_be_heard_is_free(
    front: Front,
    person: Person,
    finish: Finish,
    beside: Callable[..., Any],
    code: str,
    status: int,
    error: str,
) -> None:
    asked = beside(send, front, person.key)
    finish(code)
    answer = asked.result()

    assert (answer.status_code, answer.json()["detail"]["error"]) == (status, error)
    assert left(front, person.key) == 60


def test_the_same_key_gets_the_first_transcript(
    front: Front, person: Person, finish: Finish, beside: Callable[..., Any]
) -> None:
    first = beside(send, front, person.key, again="k")
    _until_queued(front, person.key)
    early = send(front, person.key, again="k")
    finish()
    done = first.result()
    again = send(front, person.key, again="k")
    other = send(front, person.key, CLIP + b"\0", again="k")

    assert (early.status_code, early.json()["detail"]["error"]) == (409, "request_in_flight")
    assert "retry-after" in early.headers
    assert again.json() == done.json()
    assert again.headers["idempotent-replayed"] == "true"
    assert (other.status_code, other.json()["detail"]["error"]) == (422, "idempotency_key_reused")
    assert left(front, person.key) == 59


def _until_queued(front: Front, key: str) -> None:
    deadline = time.monotonic() + 30
    while front.call("GET", "/api/auth/me", key).json()["credits"]["held"] == 0:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_who_leaves_has_cancelled(
    front: Front, person: Person, owner: psycopg.Connection[Any], store: Objects
) -> None:
    body = b'--b\r\nContent-Disposition: form-data; name="file"\r\n\r\n' + CLIP + b"\r\n--b--\r\n"
    head = [
        "POST /transcribe HTTP/1.1",
        "Host: x",
        f"X-API-Key: {person.key}",
        "Content-Type: multipart/form-data; boundary=b",
        f"Content-Length: {len(body)}",
    ]
    with socket.create_connection(front.address, timeout=10) as connection:
        connection.sendall("\r\n".join(head).encode() + b"\r\n\r\n" + body)
        _until_queued(front, person.key)

    deadline = time.monotonic() + 30
    sql = "SELECT id, state FROM cv.job WHERE owner = %s"
    while (found := owner.execute(sql, [person.id]).fetchone()) and found[1] != "cancelled":
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert found is not None
    assert left(front, person.key) == 60
    while [key for key, _ in store.found(upload_key(found[0]).rpartition("/")[0])]:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_wait_has_an_end(front_with: Callable[..., Front], person: Person) -> None:
    front = front_with(CODEVOICE_TRANSCRIPTION_WAIT_S="0.3")
    answer = send(front, person.key)

    assert (answer.status_code, answer.json()["detail"]["error"]) == (503, "service_unavailable")
    assert "retry-after" in answer.headers
    assert left(front, person.key) == 60


def test_a_file_too_large_is_refused_while_it_arrives(
    front_with: Callable[..., Front], person: Person, store: Objects
) -> None:
    front = front_with(CODEVOICE_UPLOAD_BYTES_MAX="1000")
    head = b"POST /transcribe HTTP/1.1\r\nHost: x\r\nX-API-Key: %s\r\n" % person.key.encode()
    kind = b"Content-Type: multipart/form-data; boundary=b\r\nTransfer-Encoding: chunked\r\n\r\n"
    part = b'--b\r\nContent-Disposition: form-data; name="file"\r\n\r\n' + CLIP[:2000]

    with socket.create_connection(front.address, timeout=10) as connection:
        connection.sendall(head + kind + b"%x\r\n%s\r\n" % (len(part), part))  # and no more comes
        received = b""
        while b'"limit"' not in received and (more := connection.recv(65_536)):
            received += more

    assert received.startswith(b"HTTP/1.1 413 ")
    assert b'"field":"file"' in received
    assert b'"limit":1000' in received
    assert send(front, person.key, bytes(3_000_000)).status_code == 413


def test_what_is_wrong_with_a_form_is_said(front: Front, person: Person, open_account: OpenAccount) -> None:
    def refused(**options: Any) -> tuple[int, str, Any]:
        answer = front.call("POST", "/transcribe", person.key, **options)
        detail = answer.json()["detail"]
        return answer.status_code, detail["error"], detail.get("field")

    clip = {"file": ("a", CLIP)}
    form = {"Content-Type": "multipart/form-data; boundary=b"}
    assert refused(json={}) == (415, "unsupported_media_type", None)
    assert refused(files={"sound": ("a", CLIP)}) == (422, "validation_error", "file")
    assert refused(files=[("file", ("a", CLIP)), ("file", ("b", CLIP))]) == (422, "validation_error", "file")
    assert refused(files={"file": ("a", b"")}) == (422, "validation_error", "file")
    assert refused(files={"file": ("a", b"text")}) == (415, "unsupported_audio", "file")
    assert refused(files=clip, data={"language": "xx"}) == (422, "unknown_language", "language")
    assert refused(files=clip, data={"language": "x" * 20_000}) == (422, "validation_error", "language")
    assert refused(content=b"--b\r\nnonsense", headers=form) == (400, "bad_request", None)
    assert refused(content=b"", headers=form) == (400, "bad_request", None)
    assert left(front, person.key) == 60
    poor = send(front, open_account(monthly=0))
    assert (poor.status_code, poor.json()["detail"]["error"]) == (402, "insufficient_credits")


def test_a_transcript_is_not_had_by_the_jobs_id(
    front: Front, person: Person, finish: Finish, beside: Callable[..., Any]
) -> None:
    asked = beside(send, front, person.key)
    job = finish()
    asked.result()

    assert front.call("GET", f"/tts/status/{job.id}").status_code == 404
    assert front.call("GET", f"/tts/audio/{job.id}").status_code == 404


def test_uploads_nobody_needs_are_swept(
    store: Objects, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    orphan = upload_key(uuid.uuid4())
    store.put(orphan, io.BytesIO(CLIP))
    link = Link(database_url, "sweep")

    sweep_uploads(store, link, keep_s=0)
    early = [key for key, _ in store.found("uploads")]
    monkeypatch.setattr("workers.leftovers._UNKNOWN_S", -1.0)
    sweep_uploads(store, link, keep_s=0)
    late = [key for key, _ in store.found("uploads")]
    link.close()

    assert (orphan in early, orphan in late) == (True, False)
