"""What was heard: one JSON object in the store, written by a worker and read by the front door."""

from collections.abc import Sequence

from msgspec import Struct

CONTENT_TYPE = "application/json"


class Word(Struct, frozen=True, kw_only=True):
    """One word; times are seconds from the beginning of the audio."""

    word: str
    start: float
    end: float


class Segment(Struct, frozen=True, kw_only=True):
    """What was said between two pauses. `words` are there where they were asked for."""

    id: int  # from 0
    start: float
    end: float
    text: str
    words: tuple[Word, ...] = ()


class Transcript(Struct, frozen=True, kw_only=True):
    """A whole recording. `text` may be empty: nobody spoke."""

    text: str
    language: str
    duration: float  # seconds of audio
    segments: tuple[Segment, ...]
    warnings: tuple[str, ...] = ()  # what was wrong with the file


def joined(segments: Sequence[Segment]) -> str:
    """The text of all segments."""
    return " ".join(segment.text for segment in segments if segment.text)
