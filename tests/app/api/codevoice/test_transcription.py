"""`POST /transcribe` with a published engine; the test itself acts as the worker."""

import io
import socket
import time
import uuid
from collections.abc import Callable
from hashlib import sha256
from typing import Any

import msgspec
import psycopg
import pytest

from db.postgres import jobs_worker
from db.postgres.jobs_worker import WorkerConnection
from db.storage.objects import Objects
from db.storage.uploads import upload_key
from db.types import TranscriptionParams
from tests.app.api_process import ApiProcess
from tests.app.conftest import OpenAccount, Person
from tests.app.transcription_worker import CLIP, TRANSCRIBER, Finish, left, send
from workers.jobs.connection import WorkerLink
from workers.jobs.orphaned_uploads import sweep_uploads

pytestmark = pytest.mark.usefixtures("transcription_engine")


def test_a_transcript_is_charged_when_it_is_complete(
    api: ApiProcess, person: Person, finish: Finish, beside: Callable[..., Any]
) -> None:
    pending = beside(send, api, person.key, language="de-AT")
    job = finish()
    answer = pending.result()

    assert answer.json() == {
        "job_id": str(job.id),
        "text": "good morning",
        "language": "en",
        "duration": 1.5,
        "segments": [
            {
                "id": 0,
                "start": 0.1,
                "end": 1.2,
                "text": "good morning",
                "avg_logprob": -0.25,
                "compression_ratio": 0.6,
                "no_speech_prob": 0.01,
            }
        ],
        "engine": "transcriber",
        "credits": {"used": 1, "remaining": 59},
    }
    assert answer.headers["x-voice-engine"] == "transcriber"
    assert job.params == TranscriptionParams(
        object=upload_key(job.id), sha256=sha256(CLIP).hexdigest(), language="de", seconds_max=600
    )


def test_an_engine_that_has_just_started_is_used_for_its_languages(
    api: ApiProcess, person: Person, parrot: WorkerConnection, finish: Finish, beside: Callable[..., Any]
) -> None:
    pending = beside(send, api, person.key)  # the API now knows the engines
    finish()
    pending.result()
    known = {"languages": ("en", "de", "fi"), "language_names": ("English", "German", "Finnish")}
    jobs_worker.publish(parrot, msgspec.structs.replace(TRANSCRIBER, **known), worker="transcriber1")

    pending = beside(send, api, person.key, language="fi")
    job = finish()

    assert pending.result().status_code == 200
    assert isinstance(job.params, TranscriptionParams)
    assert job.params.language == "fi"


def test_the_most_accurate_engine_is_chosen_before_the_one_of_most_languages(
    api: ApiProcess, parrot: WorkerConnection, person: Person, finish: Finish, beside: Callable[..., Any]
) -> None:
    known = {"languages": ("en", "de", "fr"), "language_names": ("English", "German", "French")}
    rough = msgspec.structs.replace(TRANSCRIBER, engine="rough", accuracy="low", **known)
    jobs_worker.publish(parrot, rough, worker="rough1")
    try:
        listed = api.call("GET", "/api/stt/languages").json()
        pending = beside(send, api, person.key, language="german")
        job = finish()
        engine = pending.result().json()["engine"]
    finally:
        jobs_worker.retire(parrot, engine="rough", worker="rough1")

    assert isinstance(job.params, TranscriptionParams)
    assert (engine, job.params.language) == ("transcriber", "de")
    assert listed["engine"] == "transcriber"


def test_while_the_only_capable_engine_is_unavailable_a_request_is_to_be_retried(
    api: ApiProcess, person: Person, parrot: WorkerConnection
) -> None:
    known = {"languages": ("en", "is"), "language_names": ("English", "Icelandic")}
    jobs_worker.publish(
        parrot, msgspec.structs.replace(TRANSCRIBER, engine="renewed", **known), worker="renewed1"
    )
    jobs_worker.retire(parrot, engine="renewed", worker="renewed1")

    by_language = send(api, person.key, language="is")
    spoken = {"file": ("a.wav", CLIP)}, {"model": "renewed"}
    by_name = api.call("POST", "/v1/audio/transcriptions", person.key, files=spoken[0], data=spoken[1])
    unknown = send(api, person.key, language="sw")

    assert [answer.status_code for answer in (by_language, by_name, unknown)] == [503, 503, 422]
    assert by_language.headers["Retry-After"] == "5"


@pytest.mark.parametrize("field", ["prompt"])
def test_a_nul_in_a_field_is_named(api: ApiProcess, person: Person, field: str) -> None:
    form = {"model": "whisper-1", field: "a\0b"}
    answer = api.call(
        "POST", "/v1/audio/transcriptions", person.key, files={"file": ("a.wav", CLIP)}, data=form
    )
    assert (answer.status_code, answer.json()["error"]["param"]) == (422, field)


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
    api: ApiProcess,
    person: Person,
    finish: Finish,
    beside: Callable[..., Any],
    code: str,
    status: int,
    error: str,
) -> None:
    pending = beside(send, api, person.key)
    finish(code)
    answer = pending.result()

    assert (answer.status_code, answer.json()["detail"]["error"]) == (status, error)
    assert left(api, person.key) == 60


def test_the_same_idempotency_key_returns_the_first_transcript(
    api: ApiProcess, person: Person, finish: Finish, beside: Callable[..., Any]
) -> None:
    first = beside(send, api, person.key, again="k")
    _until_queued(api, person.key)
    early = send(api, person.key, again="k")
    finish()
    done = first.result()
    again = send(api, person.key, again="k")
    other = send(api, person.key, CLIP + b"\0", again="k")

    assert (early.status_code, early.json()["detail"]["error"]) == (409, "request_in_flight")
    assert "retry-after" in early.headers
    assert again.json() == done.json()
    assert again.headers["idempotent-replayed"] == "true"
    assert (other.status_code, other.json()["detail"]["error"]) == (422, "idempotency_key_reused")
    assert left(api, person.key) == 59


def _until_queued(api: ApiProcess, key: str) -> None:
    deadline = time.monotonic() + 30
    while api.call("GET", "/api/auth/me", key).json()["credits"]["held"] == 0:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_disconnecting_cancels_the_transcription(
    api: ApiProcess, person: Person, owner: psycopg.Connection[Any], store: Objects
) -> None:
    body = b'--b\r\nContent-Disposition: form-data; name="file"\r\n\r\n' + CLIP + b"\r\n--b--\r\n"
    head = [
        "POST /transcribe HTTP/1.1",
        "Host: x",
        f"X-API-Key: {person.key}",
        "Content-Type: multipart/form-data; boundary=b",
        f"Content-Length: {len(body)}",
    ]
    with socket.create_connection(api.address, timeout=10) as connection:
        connection.sendall("\r\n".join(head).encode() + b"\r\n\r\n" + body)
        _until_queued(api, person.key)

    deadline = time.monotonic() + 30
    sql = "SELECT id, state FROM cv.job WHERE owner = %s"
    while (found := owner.execute(sql, [person.id]).fetchone()) and found[1] != "cancelled":
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert found is not None
    assert left(api, person.key) == 60
    while [key for key, _ in store.found(upload_key(found[0]).rpartition("/")[0])]:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_wait_for_a_transcript_times_out(api_with: Callable[..., ApiProcess], person: Person) -> None:
    api = api_with(CODEVOICE_TRANSCRIPTION_WAIT_S="0.3")
    answer = send(api, person.key)

    assert (answer.status_code, answer.json()["detail"]["error"]) == (503, "service_unavailable")
    assert "retry-after" in answer.headers
    assert left(api, person.key) == 60


def test_a_file_too_large_is_refused_while_it_arrives(
    api_with: Callable[..., ApiProcess], person: Person, store: Objects
) -> None:
    api = api_with(CODEVOICE_UPLOAD_BYTES_MAX="1000")
    head = b"POST /transcribe HTTP/1.1\r\nHost: x\r\nX-API-Key: %s\r\n" % person.key.encode()
    kind = b"Content-Type: multipart/form-data; boundary=b\r\nTransfer-Encoding: chunked\r\n\r\n"
    part = b'--b\r\nContent-Disposition: form-data; name="file"\r\n\r\n' + CLIP[:2000]

    with socket.create_connection(api.address, timeout=10) as connection:
        connection.sendall(head + kind + b"%x\r\n%s\r\n" % (len(part), part))  # and nothing more is sent
        received = b""
        while b'"limit"' not in received and (more := connection.recv(65_536)):
            received += more

    assert received.startswith(b"HTTP/1.1 413 ")
    assert b'"field":"file"' in received
    assert b'"limit":1000' in received
    assert send(api, person.key, bytes(3_000_000)).status_code == 413


def test_an_invalid_form_has_a_specific_error(
    api: ApiProcess, person: Person, open_account: OpenAccount
) -> None:
    def refused(**options: Any) -> tuple[int, str, Any]:
        answer = api.call("POST", "/transcribe", person.key, **options)
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
    assert left(api, person.key) == 60
    poor = send(api, open_account(monthly=0))
    assert (poor.status_code, poor.json()["detail"]["error"]) == (402, "insufficient_credits")


def test_a_transcript_is_not_had_by_the_jobs_id(
    api: ApiProcess, person: Person, finish: Finish, beside: Callable[..., Any]
) -> None:
    pending = beside(send, api, person.key)
    job = finish()
    pending.result()

    assert api.call("GET", f"/tts/status/{job.id}").status_code == 404
    assert api.call("GET", f"/tts/audio/{job.id}").status_code == 404


def test_uploads_without_a_job_are_deleted(
    store: Objects, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    orphan = upload_key(uuid.uuid4())
    store.put(orphan, io.BytesIO(CLIP))
    link = WorkerLink(database_url, "sweep")

    sweep_uploads(store, link, keep_s=0)
    early = [key for key, _ in store.found("uploads")]
    monkeypatch.setattr("workers.jobs.orphaned_uploads._UNKNOWN_S", -1.0)
    sweep_uploads(store, link, keep_s=0)
    late = [key for key, _ in store.found("uploads")]
    link.close()

    assert (orphan in early, orphan in late) == (True, False)
