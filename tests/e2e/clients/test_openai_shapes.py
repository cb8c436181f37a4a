"""What a newcomer's stack answers in OpenAI's dialect has the shapes that OpenAI publishes."""

import json
from typing import Any

import pytest
import requests

from tests import openai_shapes as shapes
from tests.e2e.clients.test_sdks import upload
from tests.e2e.conftest import Stack

HELLO = {"model": "tts-1", "voice": "nova", "input": "Hello."}


def ask(stack: Stack, method: str, path: str, key: str = "", **sent: Any) -> requests.Response:
    headers = {"Authorization": f"Bearer {key or stack.headers['X-API-Key']}"}
    return requests.request(method, f"{stack.url}/v1/{path}", headers=headers, timeout=60, **sent)


def transcribe(stack: Stack, **fields: Any) -> requests.Response:
    fields = {"model": "whisper-1", **fields}
    return ask(stack, "POST", "audio/transcriptions", files={"file": upload()}, data=fields)


def events_of(answer: requests.Response) -> list[Any]:
    assert answer.headers["Content-Type"].startswith("text/event-stream")
    return [json.loads(line[6:]) for line in answer.text.splitlines() if line.startswith("data: ")]


def test_models(stack: Stack) -> None:
    listed = ask(stack, "GET", "models").json()

    assert shapes.faults(shapes.MODELS, listed) == []
    assert shapes.faults(shapes.MODEL, ask(stack, "GET", f"models/{listed['data'][0]['id']}").json()) == []


def test_transcripts(stack: Stack) -> None:
    granular = {"timestamp_granularities[]": ["word", "segment"]}
    verbose = transcribe(stack, response_format="verbose_json", **granular).json()

    assert shapes.faults(shapes.TRANSCRIPTION, transcribe(stack).json()) == []
    assert shapes.faults(shapes.VERBOSE_TRANSCRIPTION, verbose) == []
    assert verbose["words"]
    assert verbose["segments"]


def test_events(stack: Stack) -> None:
    transcript_events = events_of(transcribe(stack, stream="true"))
    spoken = events_of(ask(stack, "POST", "audio/speech", json={**HELLO, "stream_format": "sse"}))

    assert [
        fault for event in transcript_events for fault in shapes.faults(shapes.TRANSCRIPT_EVENT, event)
    ] == []
    assert [fault for event in spoken for fault in shapes.faults(shapes.SPEECH_EVENT, event)] == []
    assert (len(transcript_events) > 1, len(spoken) > 1) == (True, True)


@pytest.mark.parametrize(
    ("method", "path", "status", "sent"),
    [
        ("GET", "models", 401, {"key": "wrong"}),
        ("GET", "models/nothing-1", 404, {}),
        ("DELETE", "models", 405, {}),
        ("POST", "audio/speech", 400, {"data": b"{"}),
        ("POST", "audio/speech", 413, {"json": {**HELLO, "input": "a" * 5001}}),
        ("POST", "audio/speech", 422, {"json": {**HELLO, "voice": "nobody"}}),
        ("POST", "audio/transcriptions", 422, {"files": {"file": ("a.wav", b"")}}),
        ("POST", "audio/nothing", 404, {}),
    ],
)
def test_refusals(stack: Stack, method: str, path: str, status: int, sent: dict[str, Any]) -> None:
    answer = ask(stack, method, path, **sent)

    assert answer.status_code == status, answer.text
    assert shapes.faults(shapes.ERROR, answer.json()) == []


def test_the_shape_check_finds_faults() -> None:
    assert shapes.faults(shapes.MODEL, {"id": 1, "object": "model", "created": 0}) == [
        "$: 'owned_by' is a required property",
        "$.id: 1 is not of type 'string'",
    ]
