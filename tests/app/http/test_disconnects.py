"""Clients that disconnect from speech and from HTTP/1.0: what they pay, and what the log says of them."""

import json
from collections.abc import Callable, Generator
from typing import Any

import pytest

from tests.app.conftest import AUDIO, End, Person, Say
from tests.app.front import Front
from tests.app.listeners import Mouth, credits_of, jobs_of, mouth, the_job, until
from tests.app.small_server import Client, request

__all__ = ["mouth"]  # fixtures

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
def connect(front: Front) -> Generator[Connect]:
    opened: list[Client] = []

    def connect() -> Client:
        opened.append(Client(front.address))
        return opened[-1]

    yield connect
    for client in opened:
        client.leave("close")


def speech(person: Person, asked: tuple[str, dict[str, Any]], *lines: str, version: str = "1.1") -> bytes:
    path, body = asked
    headers = (f"X-API-Key: {person.key}", "Content-Type: application/json", *lines)
    return request(path, *headers, method="POST", version=version, body=json.dumps(body).encode())


@pytest.mark.parametrize("how", ["close", "reset", "half-close"])
@pytest.mark.parametrize("behind", BEHIND.values(), ids=BEHIND)
@pytest.mark.parametrize("asked", STREAMS.values(), ids=STREAMS)
def test_leaving_a_stream_is_paid_whatever_came_behind_its_request(
    front: Front,
    person: Person,
    connect: Connect,
    mouth: Mouth,
    asked: tuple[str, dict[str, Any]],
    behind: bytes,
    how: str,
) -> None:
    client = connect()
    client.send(speech(person, asked) + behind)
    job = the_job(front, person)
    mouth.say(job, b"first")
    client.head()
    client.chunk()
    client.leave(how)

    assert until(lambda: jobs_of(front, person, "cancelled")) == [job]
    assert credits_of(front, person) == (59, 0)


@pytest.mark.parametrize("how", ["close", "reset", "half-close"])
@pytest.mark.parametrize("behind", BEHIND.values(), ids=BEHIND)
@pytest.mark.parametrize("asked", [*STREAMS.values(), *WHOLES.values()], ids=[*STREAMS, *WHOLES])
def test_leaving_before_the_first_byte_is_free_and_no_bad_request(
    front: Front,
    person: Person,
    connect: Connect,
    asked: tuple[str, dict[str, Any]],
    behind: bytes,
    how: str,
) -> None:
    client = connect()
    client.send(speech(person, asked, f"X-Request-ID: {person.id}") + behind)
    job = the_job(front, person)
    client.leave(how)

    assert until(lambda: jobs_of(front, person, "cancelled")) == [job]
    assert credits_of(front, person) == (60, 0)
    assert until(lambda: status_logged(front, person.id)) == 499


def status_logged(front: Front, request_id: str) -> int | None:
    lines = [json.loads(line) for line in front.log.read_text().splitlines() if request_id in line]
    return next((line["status"] for line in lines if "status" in line), None)


@pytest.mark.parametrize("how", ["close", "reset", "half-close"])
def test_leaving_a_stream_of_events_or_a_file_is_no_error(
    front: Front, person: Person, say: Say, end: End, connect: Connect, how: str
) -> None:
    errors_before = errors(front)
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

    assert until(lambda: [status_logged(front, name) for name in (person.id, job)] == [200, 200])
    assert errors(front) == errors_before


def errors(front: Front) -> list[str]:
    return [line for line in front.log.read_text().splitlines() if '"error"' in line or "Traceback" in line]


@pytest.mark.parametrize("asked", STREAMS.values(), ids=STREAMS)
def test_speech_for_an_http_1_0_client_is_the_bytes_alone(
    front: Front, person: Person, connect: Connect, mouth: Mouth, asked: tuple[str, dict[str, Any]]
) -> None:
    client = connect()
    client.send(speech(person, asked, "Expect: 100-continue", "Connection: keep-alive", version="1.0"))
    job = the_job(front, person)
    mouth.say(job, b"first", b"second")
    mouth.stop(job, "complete", audio_bytes=11)
    status, headers, body = client.answer()

    assert (status, headers["connection"], "transfer-encoding" in headers) == (200, "close", False)
    is_events = headers["content-type"].startswith("text/event-stream")
    assert body.startswith(b"data: {") and body.endswith(b"}\n\n") if is_events else body == b"firstsecond"


def test_a_stream_broken_for_an_http_1_0_client_is_reset_and_free(
    front: Front, person: Person, connect: Connect, mouth: Mouth, end: End
) -> None:
    client = connect()
    client.send(speech(person, STREAMS["YourVoic's"], version="1.0"))
    job = the_job(front, person)
    mouth.say(job, b"first")
    client.head()
    assert client.read(5) == b"first"
    end(job, "retry", code="engine_failed", attempt=1)
    mouth.stop(job, "again")

    with pytest.raises(ConnectionResetError):
        client.read()
    assert until(lambda: credits_of(front, person) == (60, 0))


def test_files_pages_and_refusals_for_an_http_1_0_client_are_framed_by_length_or_by_the_end(
    front: Front, person: Person, say: Say, end: End, connect: Connect
) -> None:
    job = say(person.key)
    end(job)
    asked = {
        (f"/tts/audio/{job}", "A: b"): (200, AUDIO),
        (f"/tts/audio/{job}", "Range: bytes=2-4"): (206, AUDIO[2:5]),
        (f"/tts/status/{job}", "A: b"): (200, b"}"),
        ("/login", "A: b"): (200, b"</html>"),
        ("/nowhere", "A: b"): (404, b"}"),
        (f"/v1/jobs/{job}/events", f"X-API-Key: {person.key}"): (200, b"}\n\n"),
    }
    answers = {}
    for path, line in asked:
        client = connect()
        client.send(request(path, line, "Connection: keep-alive", version="1.0"))
        answers[path, line] = client.answer()
        assert client.is_closed()

    for wanted, (status, headers, body) in answers.items():
        assert (status, headers["connection"], "transfer-encoding" in headers) == (
            asked[wanted][0],
            "close",
            False,
        )
        assert body.strip().endswith(asked[wanted][1].strip()), wanted
