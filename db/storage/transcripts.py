"""Transcripts: one JSON object each in the store, written by a worker and read by the API server."""

from collections.abc import Sequence

from msgspec import Struct

CONTENT_TYPE = "application/json"


class Word(Struct, frozen=True, kw_only=True):
    """One word; times are seconds from the beginning of the audio."""

    word: str
    start: float
    end: float


class Segment(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The speech between two pauses. `words` are present if requested; Whisper's figures (`tokens` and after)
    if the engine has them.
    """

    id: int  # from 0
    start: float
    end: float
    text: str
    words: tuple[Word, ...] = ()
    tokens: tuple[int, ...] | None = None
    temperature: float | None = None
    avg_logprob: float | None = None  # of a token, natural logarithm
    compression_ratio: float | None = None  # of the text; above 2.4 it repeats itself
    no_speech_prob: float | None = None


class Transcript(Struct, frozen=True, kw_only=True):
    """The transcript of a recording. `text` may be empty: there was no speech."""

    text: str
    language: str
    duration: float  # seconds of audio
    segments: tuple[Segment, ...]
    warnings: tuple[str, ...] = ()  # defects of the file, and doubtful parts of the text
    engine: str = ""  # that transcribed it


def join_segments(segments: Sequence[Segment]) -> str:
    """The text of all segments."""
    return " ".join(segment.text for segment in segments if segment.text)
