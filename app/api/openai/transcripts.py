"""A transcript in the forms OpenAI's callers ask for: json, text, srt, verbose_json, vtt, and events."""

from collections.abc import AsyncIterator, Callable, Container
from math import ceil
from typing import Any, Literal

from litestar import Response
from litestar.response import Stream
from msgspec import UNSET, Struct, UnsetType

from app.api.openai.events import EVENT_STREAM, event
from db.transcripts import Segment, Transcript

_PLAIN = "text/plain"  # the framework says which charset


class Usage(Struct, frozen=True, kw_only=True):
    """How much audio it was."""

    type: Literal["duration"] = "duration"
    seconds: int


class JsonView(Struct, frozen=True, kw_only=True):
    """`json`."""

    text: str
    usage: Usage


class SegmentView(Struct, frozen=True, kw_only=True):
    """A segment; from `seek` on fields that our engines do not tell, and OpenAI's shape cannot lack."""

    id: int
    start: float
    end: float
    text: str
    seek: int = 0
    tokens: tuple[int, ...] = ()
    temperature: float = 0.0
    avg_logprob: float = 0.0
    compression_ratio: float = 0.0
    no_speech_prob: float = 0.0


class WordView(Struct, frozen=True, kw_only=True):
    """A word; seconds."""

    word: str
    start: float
    end: float


class VerboseView(Struct, frozen=True, kw_only=True):
    """`verbose_json`."""

    task: Literal["transcribe", "translate"]
    language: str
    duration: float
    text: str
    segments: list[SegmentView] | UnsetType
    words: list[WordView] | UnsetType
    usage: Usage


class Delta(Struct, frozen=True, tag_field="type", tag="transcript.text.delta"):
    """What one more segment adds to the text."""

    delta: str


class Done(Struct, frozen=True, kw_only=True, tag_field="type", tag="transcript.text.done"):
    """The whole text. OpenAI tells here how many tokens that was, and nothing else: we count none."""

    text: str


def rendered(
    heard: Transcript, form: str, *, granularities: Container[str], translated: bool
) -> Response[Any]:
    """The transcript in one of `FORMS`."""
    if form == "json":
        return Response(JsonView(text=heard.text, usage=_usage(heard)))
    if form == "verbose_json":
        return Response(_verbose(heard, granularities, translated=translated))
    write, media_type = _TEXTS[form]
    return Response(write(heard).encode(), media_type=media_type)


def as_events(heard: Transcript) -> Response[Any]:
    """The transcript segment by segment; all of it had been heard before the first was sent."""

    async def events() -> AsyncIterator[bytes]:
        texts = [segment.text for segment in heard.segments if segment.text]
        for number, text in enumerate(texts):
            yield event(Delta(f" {text}" if number else text))
        yield event(Done(text=heard.text))

    return Stream(events(), media_type=EVENT_STREAM)


def _usage(heard: Transcript) -> Usage:
    return Usage(seconds=ceil(heard.duration))


def _verbose(heard: Transcript, granularities: Container[str], *, translated: bool) -> VerboseView:
    segments = [SegmentView(id=s.id, start=s.start, end=s.end, text=s.text) for s in heard.segments]
    words = [WordView(word=w.word, start=w.start, end=w.end) for s in heard.segments for w in s.words]
    return VerboseView(
        task="translate" if translated else "transcribe",
        language=heard.language,
        duration=heard.duration,
        text=heard.text,
        segments=segments if "segment" in granularities else UNSET,
        words=words if "word" in granularities else UNSET,
        usage=_usage(heard),
    )


def _text(heard: Transcript) -> str:
    return f"{heard.text}\n"


def _srt(heard: Transcript) -> str:
    cues = enumerate((segment for segment in heard.segments if segment.text), start=1)
    return "".join(f"{number}\n{_cue(segment, ',')}" for number, segment in cues)


def _vtt(heard: Transcript) -> str:
    return "WEBVTT\n\n" + "".join(_cue(segment, ".") for segment in heard.segments if segment.text)


def _cue(segment: Segment, mark: str) -> str:
    """Times and words. A line with an arrow, or an empty one, would be another cue's beginning."""
    text = " ".join(segment.text.replace("-->", "→").split())
    return f"{_clock(segment.start, mark)} --> {_clock(segment.end, mark)}\n{text}\n\n"


def _clock(seconds: float, mark: str) -> str:
    whole_s, ms = divmod(round(seconds * 1000), 1000)
    return f"{whole_s // 3600:02}:{whole_s // 60 % 60:02}:{whole_s % 60:02}{mark}{ms:03}"


_TEXTS: dict[str, tuple[Callable[[Transcript], str], str]] = {
    "text": (_text, _PLAIN),
    "srt": (_srt, _PLAIN),
    "vtt": (_vtt, "text/vtt"),
}
FORMS = ("json", "verbose_json", *_TEXTS)
