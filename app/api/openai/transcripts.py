"""Transcripts in OpenAI's response formats: json, text, srt, verbose_json, vtt, and events."""

import zlib
from collections.abc import AsyncIterator, Container
from math import ceil
from typing import Any, Literal

from litestar import Response
from msgspec import UNSET, Struct, UnsetType

from app.api.codevoice.transcription import or_unset
from app.api.openai.events import event
from app.domain.transcription.service import Transcribed
from app.domain.transcription.subtitles import TEXTS
from app.domain.voices.languages import word
from app.http.disconnects import LiveResponse
from app.openapi.operations import EVENTS
from db.storage.transcripts import Segment, Transcript


class Usage(Struct, frozen=True, kw_only=True):
    """The duration of the audio in whole seconds, rounded up."""

    type: Literal["duration"] = "duration"
    seconds: int


class JsonView(Struct, frozen=True, kw_only=True):
    """The format `json`."""

    text: str
    usage: Usage


class OpenAISegment(Struct, frozen=True, kw_only=True):
    """A segment. `avg_logprob` and `no_speech_prob` are present if the engine measures them."""

    id: int
    start: float
    end: float
    text: str
    seek: int = 0  # every segment is of the whole recording
    tokens: tuple[int, ...]
    temperature: float
    avg_logprob: float | UnsetType
    compression_ratio: float
    no_speech_prob: float | UnsetType


class WordView(Struct, frozen=True, kw_only=True):
    """A word; times in seconds."""

    word: str
    start: float
    end: float


class VerboseView(Struct, frozen=True, kw_only=True):
    """The format `verbose_json`."""

    task: Literal["transcribe", "translate"]
    language: str
    duration: float
    text: str
    segments: list[OpenAISegment] | UnsetType
    words: list[WordView] | UnsetType
    usage: Usage


class Delta(Struct, frozen=True, tag_field="type", tag="transcript.text.delta"):
    """The text that one more segment adds."""

    delta: str


class Done(Struct, frozen=True, kw_only=True, tag_field="type", tag="transcript.text.done"):
    """The whole text. OpenAI adds only the number of tokens, which we do not count."""

    text: str


def render(done: Transcribed, form: str, *, granularities: Container[str], translated: bool) -> Response[Any]:
    """The response with the transcript in one of `FORMS`."""
    transcript = done.transcript
    if form == "json":
        return Response(JsonView(text=transcript.text, usage=_usage(transcript)))
    if form == "verbose_json":
        return Response(_verbose(done, granularities, translated=translated))
    write, media_type = TEXTS[form]
    return Response(write(transcript).encode(), media_type=media_type)


def as_events(transcript: Transcript) -> Response[Any]:
    """The transcript as events, one per segment. Transcription is complete before the first is sent."""

    async def events() -> AsyncIterator[bytes]:
        texts = [segment.text for segment in transcript.segments if segment.text]
        for number, text in enumerate(texts):
            yield event(Delta(f" {text}" if number else text))
        yield event(Done(text=transcript.text))

    return LiveResponse(events(), headers={}, media_type=EVENTS)


def _usage(transcript: Transcript) -> Usage:
    return Usage(seconds=ceil(transcript.duration))


def _verbose(done: Transcribed, granularities: Container[str], *, translated: bool) -> VerboseView:
    transcript = done.transcript
    segments = [_segment(segment) for segment in transcript.segments]
    words = [WordView(word=w.word, start=w.start, end=w.end) for s in transcript.segments for w in s.words]
    return VerboseView(
        task="translate" if translated else "transcribe",
        language=word(done.language_name) or transcript.language,
        duration=transcript.duration,
        text=transcript.text,
        segments=segments if "segment" in granularities else UNSET,
        words=words if "word" in granularities else UNSET,
        usage=_usage(transcript),
    )


def _segment(segment: Segment) -> OpenAISegment:
    return OpenAISegment(
        id=segment.id,
        start=segment.start,
        end=segment.end,
        text=segment.text,
        tokens=segment.tokens or (),
        temperature=segment.temperature or 0.0,
        avg_logprob=or_unset(segment.avg_logprob),
        compression_ratio=_compression_ratio(segment),
        no_speech_prob=or_unset(segment.no_speech_prob),
    )


def _compression_ratio(segment: Segment) -> float:
    """The engine's value; without one, that of the text, computed as Whisper does."""
    if segment.compression_ratio is not None:
        return segment.compression_ratio
    text = segment.text.encode()
    return round(len(text) / len(zlib.compress(text)), 4)


FORMS = ("json", "verbose_json", *TEXTS)
