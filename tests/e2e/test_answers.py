"""Synchronous speech on a whole stack: every format and route, and listeners that disconnect."""

import io
import time
from typing import Any

import av
import pytest
import requests

from tests.e2e.clients.programs import poll

from .conftest import Stack

WHOLE, STREAM = "/api/v1/tts/generate", "/api/v1/tts/generate/stream"
TYPES = {
    "mp3": "audio/mpeg",
    "wav": "audio/wav",
    "ogg": "audio/ogg",
    "opus": "audio/ogg",
    "flac": "audio/flac",
    "aac": "audio/aac",
    "pcm": "audio/pcm",
}
SENTENCE = "The quick brown fox jumps over the lazy dog, again and again. "
TEXTS = ["one", "Hello, world!", SENTENCE * 8, (SENTENCE * 81)[:5000]]
RATE_HZ = 22_050
_TOLERANCE_S = 0.2


def seconds_of(audio: bytes, kind: str) -> float:
    """How long it sounds, by what a decoder makes of it."""
    if kind == "pcm":
        return len(audio) / 2 / RATE_HZ
    with av.open(io.BytesIO(audio), format={"opus": "ogg"}.get(kind, kind)) as container:
        return sum(frame.samples / frame.sample_rate for frame in container.decode(audio=0))


def speed_of(text: str) -> int:
    """Long texts are spoken quickly, or every way of every format would encode six minutes."""
    return 4 if len(text) > 100 else 1


def ask(stack: Stack, path: str, text: str, kind: str, **more: Any) -> requests.Response:
    body = {"text": text, "voice": "Peter", "language": "en-US", "format": kind, "speed": speed_of(text)}
    return requests.post(stack.url + path, json=body, headers=stack.headers, timeout=120, **more)


@pytest.fixture(scope="module")
def funded(stack: Stack) -> Stack:
    stack.grant(1000)
    return stack


@pytest.mark.parametrize("text", TEXTS, ids=[str(len(text)) for text in TEXTS])
@pytest.mark.parametrize("kind", TYPES)
def test_every_format_is_served_by_every_route(funded: Stack, kind: str, text: str) -> None:
    whole, live = ask(funded, WHOLE, text, kind), ask(funded, STREAM, text, kind)
    job = funded.speak(text, "Peter", format=kind, language="en-US", speed=speed_of(text))
    status = poll(funded, job)
    queued = requests.get(funded.url + status["audio_url"], timeout=30)

    for answer in (whole, live, queued):
        assert answer.status_code == 200, answer.text
        assert answer.headers["Content-Type"] == TYPES[kind]
    seconds = int(whole.headers["X-Duration-Ms"]) / 1000
    assert seconds == status["duration_ms"] / 1000 > 0.1
    for content in {whole.content, live.content, queued.content}:  # mostly one
        assert abs(seconds_of(content, kind) - seconds) < _TOLERANCE_S
    assert whole.headers["Content-Length"] == str(len(whole.content))
    assert whole.headers["X-Credits-Used"] == "1"
    assert "Content-Length" not in live.headers


def test_streamed_audio_equals_stored_audio(funded: Stack) -> None:
    live = ask(funded, STREAM, TEXTS[2], "mp3")
    job = requests.get(
        f"{funded.url}/v1/jobs/{live.headers['X-Request-ID']}", headers=funded.headers, timeout=10
    )
    stored = requests.get(f"{funded.url}/tts/audio/{live.headers['X-Job-ID']}", timeout=10)

    assert live.content == stored.content
    assert (job.json()["audio_bytes"], job.json()["credits"]) == (len(live.content), 1)


def test_raw_audio_by_the_stream_alias_has_the_requested_rate(funded: Stack) -> None:
    body = {"text": "Hello, world!", "voice": "Peter", "sample_rate": 16000}
    answer = requests.post(f"{funded.url}/api/v1/tts/stream", json=body, headers=funded.headers, timeout=30)

    stream_info = [
        answer.headers[name] for name in ("Content-Type", "X-Sample-Rate", "X-Bits-Per-Sample", "X-Channels")
    ]
    assert stream_info == ["audio/pcm", "16000", "16", "1"]
    assert 0.5 < len(answer.content) / 2 / 16000 < 2


def test_listeners_who_disconnect_near_the_end_are_charged_for_what_they_received(funded: Stack) -> None:
    before = funded.credits()["total_remaining"]
    text = SENTENCE * 10
    length = len(ask(funded, WHOLE, text, "pcm").content)
    for _ in range(20):
        with ask(funded, STREAM, text, "pcm", stream=True) as answer:
            received = 0
            for chunk in answer.iter_content(4096):
                received += len(chunk)
                if received >= 0.9 * length:
                    break
    after = settled(funded)

    assert before - after["total_remaining"] == 21
    assert funded.audit_is_clean()


def settled(stack: Stack) -> dict[str, Any]:
    """The credits, once nothing is held."""
    deadline = time.monotonic() + 60
    while (found := stack.credits())["held"]:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return found
