"""The SDKs of OpenAI and ElevenLabs against the stack as a newcomer has it."""

from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import jiwer
import openai
import pytest
import requests
import srt
import webvtt
from openai import OpenAI

from tests.e2e.clients.programs import download, poll
from tests.e2e.conftest import Stack
from tests.e2e.test_answers import seconds_of
from tests.sounds import clips

SAID = "please turn off the lights"
MANY = 64


@pytest.fixture(scope="module")
def sdk(stack: Stack) -> Generator[OpenAI]:
    stack.grant(1000)
    with OpenAI(base_url=f"{stack.url}/v1", api_key=stack.headers["X-API-Key"], timeout=60) as client:
        yield client


def upload() -> tuple[str, bytes, str]:
    """As the JavaScript SDK sends it: with a generic content type."""
    return "a.wav", clips()["lights"][0], "application/octet-stream"


def transcribed(sdk: OpenAI, form: Any, **more: Any) -> Any:
    return sdk.audio.transcriptions.create(
        file=upload(), model="whisper-1", language="en-US", response_format=form, **more
    )


@pytest.mark.parametrize("kind", ["mp3", "opus", "aac", "flac", "wav", "pcm"])
def test_every_openai_format_is_served(sdk: OpenAI, kind: Any) -> None:
    answer = sdk.audio.speech.create(
        model="gpt-4o-mini-tts", voice="nova", input="Hello, world!", response_format=kind
    )

    seconds = len(answer.content) / 2 / 24_000 if kind == "pcm" else seconds_of(answer.content, kind)
    assert 0.5 < seconds < 3


def test_parallel_streams_are_each_received_whole_and_charged_once(sdk: OpenAI, stack: Stack) -> None:
    def listen(number: int) -> tuple[str, bytes]:
        text = f"This is listener number {number}."
        with sdk.audio.speech.with_streaming_response.create(
            model="tts-1", voice="alloy", input=text, response_format="pcm"
        ) as answer:
            return answer.headers["x-job-id"], b"".join(answer.iter_bytes())

    before = stack.credits()["total_remaining"]
    with ThreadPoolExecutor(MANY) as threads:
        transcribed = list(threads.map(listen, range(MANY)))

    assert all(download(stack, poll(stack, job)) == audio for job, audio in transcribed)
    assert len({audio for _, audio in transcribed}) == MANY  # each its own number
    assert stack.credits()["total_remaining"] == before - MANY


def test_every_transcript_format_is_served(sdk: OpenAI) -> None:
    plain = transcribed(sdk, "text")
    verbose = transcribed(sdk, "verbose_json", timestamp_granularities=["word", "segment"])
    words_only = transcribed(sdk, "verbose_json", timestamp_granularities=["word"])
    (cue,) = srt.parse(transcribed(sdk, "srt"))
    (caption,) = webvtt.from_string(transcribed(sdk, "vtt"))

    assert jiwer.wer(SAID, plain.strip()) <= 0.4
    assert transcribed(sdk, "json").text == verbose.text == cue.content == caption.text == plain.strip()
    (segment,) = verbose.segments
    assert abs(cue.start.total_seconds() - segment.start) < 0.001
    assert abs(caption.end_in_seconds - segment.end) < 1
    assert " ".join(word.word for word in verbose.words) == verbose.text
    assert words_only.segments is None
    assert words_only.words == verbose.words
    assert abs(verbose.duration - 1.97) < 0.2


def test_a_transcript_is_streamed_as_events(sdk: OpenAI) -> None:
    events = list(transcribed(sdk, "json", stream=True))

    assert [event.type for event in events] == ["transcript.text.delta", "transcript.text.done"]
    assert "".join(event.delta for event in events[:-1]) == events[-1].text == transcribed(sdk, "json").text


def test_a_transcripts_fields_may_follow_its_file(sdk: OpenAI, stack: Stack) -> None:
    parts = [("file", upload()), ("response_format", (None, "text")), ("model", (None, "whisper-1"))]
    url = f"{stack.url}/v1/audio/transcriptions"
    answer = requests.post(url, headers=stack.headers, files=parts, timeout=60)

    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/plain; charset=utf-8")
    assert answer.text == transcribed(sdk, "text")


@pytest.mark.parametrize(
    ("fields", "kind", "param"),
    [
        ({"model": "nothing-1"}, openai.NotFoundError, "model"),
        ({"language": "tlh"}, openai.UnprocessableEntityError, "language"),
        ({"response_format": "pdf"}, openai.UnprocessableEntityError, "response_format"),
        ({"response_format": "srt", "stream": True}, openai.UnprocessableEntityError, "response_format"),
        ({"temperature": 7}, openai.UnprocessableEntityError, "temperature"),
        ({"timestamp_granularities": ["day"]}, openai.UnprocessableEntityError, "timestamp_granularities[]"),
        ({"file": ("a.wav", b"no audio")}, openai.APIStatusError, "file"),
        ({"file": ("a.wav", b"")}, openai.UnprocessableEntityError, "file"),
    ],
)
def test_an_invalid_transcription_request_is_an_error_and_free(
    sdk: OpenAI, stack: Stack, fields: dict[str, Any], kind: type, param: str
) -> None:
    before = stack.credits()["total_remaining"]
    wanted: dict[str, Any] = {"file": upload(), "model": "whisper-1"} | fields
    with pytest.raises(openai.APIStatusError) as refused:
        sdk.audio.transcriptions.create(**wanted)

    assert (type(refused.value), refused.value.param) == (kind, param)
    assert stack.credits()["total_remaining"] == before


def test_translation_is_refused_where_no_engine_translates(sdk: OpenAI) -> None:
    translations: Any = sdk.audio.translations  # the SDK calls it deprecated
    refusal = pytest.raises(openai.UnprocessableEntityError)
    with pytest.warns(DeprecationWarning, match="deprecated"), refusal as refused:
        translations.create(file=upload(), model="whisper-1")

    assert refused.value.param == "model"


def test_a_transcription_with_a_key_is_charged_once(sdk: OpenAI, stack: Stack) -> None:
    before = stack.credits()["total_remaining"]
    once: dict[str, Any] = {"extra_headers": {"Idempotency-Key": "sdk-heard"}}

    assert transcribed(sdk, "json", **once).text == transcribed(sdk, "srt", **once).splitlines()[2]
    assert stack.credits()["total_remaining"] == before - 1
