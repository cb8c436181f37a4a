"""Clients that disconnect from speech, also by HTTP/1.0: what they are charged, and what is logged."""

import json
from collections.abc import Callable, Generator
from typing import Any

import pytest

from tests.app.api_process import ApiProcess
from tests.app.conftest import AUDIO, End, Person, Say
from tests.app.listeners import FakeWorker, credits_of, fake_worker, jobs_of, the_job, until
from tests.app.small_server import Client, request

__all__ = ["fake_worker"]  # fixtures

TEXT: dict[str, Any] = {"text": "hello", "voice": "ryan", "format": "wav"}
OPENAI: dict[str, Any] = {"input": "hello", "voice": "ryan", "response_format": "wav"}
STREAMS: dict[str, tuple[str, dict[str, Any]]] = {
    "YourVoic's": ("/api/v1/tts/stream", TEXT),
    "YourVoic's other": ("/api/v1/tts/generate/stream", TEXT),
    "OpenAI's": ("/v1/audio/speech", OPENAI),
    "OpenAI's events": ("/v1/audio/speech", OPENAI | {"stream_format": "sse"}),
    "ElevenLabs'": ("/v1/text-to-speech/ryan/stream?output_format=wav_22050", TEXT),
}
WHOLES = {
    "YourVoic's": ("/api/v1/tts/generate", TEXT),
    "ElevenLabs'": ("/v1/text-to-speech/ryan?output_format=wav_22050", TEXT),
}
BEHIND = {"nothing": b"", "a request": request("/health/live")}
Connect = Callable[[], Client]


@pytest.fixture
def connect(api: ApiProcess) -> Generator[Connect]:
    opened: list[Client] = []

    def connect() -> Client:
        opened.append(Client(api.address))
        return opened[-1]

    yield connect
    for client in opened:
        client.leave("close")


def speech(
    person: Person, path_and_body: tuple[str, dict[str, Any]], *lines: str, version: str = "1.1"
) -> bytes:
    path, body = path_and_body
    headers = (f"X-API-Key: {person.key}", "Content-Type: application/json", *lines)
    return request(path, *headers, method="POST", version=version, body=json.dumps(body).encode())


@pytest.mark.parametrize("how", ["close", "reset", "half-close"])
@pytest.mark.parametrize("behind", BEHIND.values(), ids=BEHIND)
@pytest.mark.parametrize("path_and_body", STREAMS.values(), ids=STREAMS)
def test_leaving_a_stream_is_paid_whatever_came_behind_its_request(
    api: ApiProcess,
    person: Person,
    connect: Connect,
    fake_worker: FakeWorker,
    path_and_body: tuple[str, dict[str, Any]],
    behind: bytes,
    how: str,
) -> None:
    client = connect()
    client.send(speech(person, path_and_body) + behind)
    job = the_job(api, person)
    fake_worker.say(job, b"first")
    client.head()
    client.chunk()
    client.leave(how)

    assert until(lambda: jobs_of(api, person, "cancelled")) == [job]
    assert credits_of(api, person) == (59, 0)


@pytest.mark.parametrize("how", ["close", "reset", "half-close"])
@pytest.mark.parametrize("behind", BEHIND.values(), ids=BEHIND)
@pytest.mark.parametrize("path_and_body", [*STREAMS.values(), *WHOLES.values()], ids=[*STREAMS, *WHOLES])
def test_disconnecting_before_the_first_byte_is_free_and_no_bad_request(
    api: ApiProcess,
    person: Person,
    connect: Connect,
    path_and_body: tuple[str, dict[str, Any]],
    behind: bytes,
    how: str,
) -> None:
    client = connect()
    client.send(speech(person, path_and_body, f"X-Request-ID: {person.id}") + behind)
    job = the_job(api, person)
    client.leave(how)

    assert until(lambda: jobs_of(api, person, "cancelled")) == [job]
    assert credits_of(api, person) == (60, 0)
    assert until(lambda: status_logged(api, person.id)) == 499


def status_logged(api: ApiProcess, request_id: str) -> int | None:
    lines = [json.loads(line) for line in api.log.read_text().splitlines() if request_id in line]
    return next((line["status"] for line in lines if "status" in line), None)


@pytest.mark.parametrize("how", ["close", "reset", "half-close"])
def test_disconnecting_from_events_or_a_file_is_no_error(
    api: ApiProcess, person: Person, say: Say, end: End, connect: Connect, how: str
) -> None:
    errors_before = errors(api)
    job = say(person.key)
    follower, downloader = connect(), connect()
    follower.send(request(f"/v1/jobs/{job}/events", f"X-API-Key: {person.key}", f"X-Request-ID: {person.id}"))
    follower.head()
    assert b"queued" in follower.chunk()
    follower.leave(how)
    end(job, audio=bytes(32 << 20))
    downloader.send(request(f"/tts/audio/{job}", f"X-Request-ID: {job}"))
    downloader.head()
    downloader.leave(how)

    assert until(lambda: [status_logged(api, name) for name in (person.id, job)] == [200, 200])
    assert errors(api) == errors_before


def errors(api: ApiProcess) -> list[str]:
    return [line for line in api.log.read_text().splitlines() if '"error"' in line or "Traceback" in line]


@pytest.mark.parametrize("path_and_body", STREAMS.values(), ids=STREAMS)
def test_speech_for_an_http_1_0_client_is_the_bytes_alone(
    api: ApiProcess,
    person: Person,
    connect: Connect,
    fake_worker: FakeWorker,
    path_and_body: tuple[str, dict[str, Any]],
) -> None:
    client = connect()
    client.send(
        speech(person, path_and_body, "Expect: 100-continue", "Connection: keep-alive", version="1.0")
    )
    job = the_job(api, person)
    fake_worker.say(job, b"first", b"second")
    fake_worker.stop(job, "complete", audio_bytes=11)
    status, headers, body = client.answer()

    assert (status, headers["connection"], "transfer-encoding" in headers) == (200, "close", False)
    is_events = headers["content-type"].startswith("text/event-stream")
    assert body.startswith(b"data: {") and body.endswith(b"}\n\n") if is_events else body == b"firstsecond"


def test_a_stream_broken_for_an_http_1_0_client_is_reset_and_free(
    api: ApiProcess, person: Person, connect: Connect, fake_worker: FakeWorker, end: End
) -> None:
    client = connect()
    client.send(speech(person, STREAMS["YourVoic's"], version="1.0"))
    job = the_job(api, person)
    fake_worker.say(job, b"first")
    client.head()
    assert client.read(5) == b"first"
    end(job, "retry", code="engine_failed", attempt=1)
    fake_worker.stop(job, "again")

    with pytest.raises(ConnectionResetError):
        client.read()
    assert until(lambda: credits_of(api, person) == (60, 0))


def test_files_pages_and_refusals_for_an_http_1_0_client_are_framed_by_length_or_by_the_end(
    api: ApiProcess, person: Person, say: Say, end: End, connect: Connect
) -> None:
    job = say(person.key)
    end(job)
    path_and_body = {
        (f"/tts/audio/{job}", "A: b"): (200, AUDIO),
        (f"/tts/audio/{job}", "Range: bytes=2-4"): (206, AUDIO[2:5]),
        (f"/tts/status/{job}", "A: b"): (200, b"}"),
        ("/login", "A: b"): (200, b"</html>"),
        ("/nowhere", "A: b"): (404, b"}"),
        (f"/v1/jobs/{job}/events", f"X-API-Key: {person.key}"): (200, b"}\n\n"),
    }
    answers = {}
    for path, line in path_and_body:
        client = connect()
        client.send(request(path, line, "Connection: keep-alive", version="1.0"))
        answers[path, line] = client.answer()
        assert client.is_closed()

    for wanted, (status, headers, body) in answers.items():
        assert (status, headers["connection"], "transfer-encoding" in headers) == (
            path_and_body[wanted][0],
            "close",
            False,
        )
        assert body.strip().endswith(path_and_body[wanted][1].strip()), wanted
