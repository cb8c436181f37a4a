"""OpenAI's SDK for JavaScript against a newcomer's stack: every call, and refusals by its classes."""

from base64 import b64decode
from typing import Any

import jiwer
import srt
import webvtt

from tests.e2e.clients.test_sdks import SAID
from tests.e2e.conftest import Stack
from tests.e2e.test_answers import seconds_of
from tests.openai_js import OpenaiJs

HELLO: dict[str, Any] = {"model": "tts-1", "voice": "nova", "input": "Hello, world!"}
TRANSCRIBE: dict[str, Any] = {"model": "whisper-1", "language": "en-US"}


def test_every_call_of_the_js_sdk_succeeds(stack: Stack, openai_js: OpenaiJs) -> None:
    stack.grant(20)
    before = stack.credits()["total_remaining"]
    granular = {"response_format": "verbose_json", "timestamp_granularities": ["word", "segment"]}
    outcomes = openai_js(
        stack.url,
        stack.headers["X-API-Key"],
        ["speech", HELLO],
        ["speech", {**HELLO, "voice": {"id": "ryan"}, "response_format": "wav", "speed": 1.5}],
        ["speech", {**HELLO, "stream_format": "sse"}],
        ["transcription", TRANSCRIBE],
        ["transcription", {**TRANSCRIBE, **granular}],
        ["transcription", {**TRANSCRIBE, "response_format": "text"}],
        ["transcription", {**TRANSCRIBE, "response_format": "srt"}],
        ["transcription", {**TRANSCRIBE, "response_format": "vtt"}],
        ["events", TRANSCRIBE],
        ["models", {}],
        ["model", {"id": "tts-1"}],
    )

    found = [outcome.get("found", outcome) for outcome in outcomes]
    spoken, by_id, as_events, transcript, verbose, text, as_srt, as_vtt, events, models, model = found
    assert (spoken["type"], by_id["type"]) == ("audio/mpeg", "audio/wav")
    assert 0.5 < seconds_of(b64decode(spoken["audio"]), "mp3") < 3
    assert b64decode(by_id["audio"])[:4] == b"RIFF"
    assert b64decode(as_events["audio"]).startswith(b'data: {"type":"speech.audio.delta"')
    assert jiwer.wer(SAID, transcript["text"]) <= 0.4
    assert [word["word"] for word in verbose["words"]] == transcript["text"].split()
    assert verbose["segments"][0]["text"] == verbose["text"] == transcript["text"] == text.strip()
    assert [cue.content for cue in srt.parse(as_srt)] == [transcript["text"]]
    assert [caption.text for caption in webvtt.from_string(as_vtt)] == [transcript["text"]]
    assert [event["type"] for event in events] == ["transcript.text.delta", "transcript.text.done"]
    assert {"espeak", "pocketsphinx", "tts-1", "whisper-1"} <= set(models)
    assert model == {"id": "tts-1", "object": "model", "created": 0, "owned_by": "codevoice"}
    assert before - stack.credits()["total_remaining"] == 9


def test_refusals_raise_the_js_sdks_error_classes(stack: Stack, openai_js: OpenaiJs) -> None:
    before = stack.credits()["total_remaining"]
    outcomes = openai_js(
        stack.url,
        stack.headers["X-API-Key"],
        ["speech", {**HELLO, "voice": "nobody"}],
        ["speech", {**HELLO, "input": "a" * 5001}],
        ["speech", {**HELLO, "model": "nothing-1"}],
        ["transcription", {**TRANSCRIBE, "response_format": "pdf"}],
        ["translation", {"model": "whisper-1"}],
        ["model", {"id": "nothing-1"}],
        retries=2,
    )
    [stranger] = openai_js(stack.url, "wrong", ["models", {}], retries=2)

    outcomes = [*outcomes, stranger]
    assert [(each["raised"], each["status"], each["code"], each.get("param")) for each in outcomes] == [
        ("UnprocessableEntityError", 422, "unknown_voice", "voice"),
        ("APIError", 413, "text_too_long", "input"),
        ("NotFoundError", 404, "model_not_found", "model"),
        ("UnprocessableEntityError", 422, "validation_error", "response_format"),
        ("UnprocessableEntityError", 422, "validation_error", "model"),
        ("NotFoundError", 404, "model_not_found", "model"),
        ("AuthenticationError", 401, "invalid_token", None),
    ]
    assert [each["type"] for each in outcomes] == 6 * ["invalid_request_error"] + ["authentication_error"]
    assert all(each["requestID"] for each in outcomes)
    assert stack.credits()["total_remaining"] == before
