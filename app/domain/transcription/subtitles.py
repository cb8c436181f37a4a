"""Formats a transcript as plain text and as subtitles, for all dialects and pages."""

from collections.abc import Callable

from db.storage.transcripts import Segment, Transcript

_PLAIN = "text/plain"  # the framework adds the charset


def _text(transcript: Transcript) -> str:
    return f"{transcript.text}\n"


def _srt(transcript: Transcript) -> str:
    cues = enumerate((segment for segment in transcript.segments if segment.text), start=1)
    return "".join(f"{number}\n{_cue(segment, ',')}" for number, segment in cues)


def _vtt(transcript: Transcript) -> str:
    return "WEBVTT\n\n" + "".join(_cue(segment, ".") for segment in transcript.segments if segment.text)


def _cue(segment: Segment, mark: str) -> str:
    """One cue. A line with an arrow, or an empty one, would begin another cue, so both are removed."""
    text = " ".join(segment.text.replace("-->", "→").split())
    return f"{_clock(segment.start, mark)} --> {_clock(segment.end, mark)}\n{text}\n\n"


def _clock(seconds: float, mark: str) -> str:
    whole_s, ms = divmod(round(seconds * 1000), 1000)
    return f"{whole_s // 3600:02}:{whole_s // 60 % 60:02}:{whole_s % 60:02}{mark}{ms:03}"


# By format name: the formatter and the media type.
TEXTS: dict[str, tuple[Callable[[Transcript], str], str]] = {
    "text": (_text, _PLAIN),
    "srt": (_srt, _PLAIN),
    "vtt": (_vtt, "text/vtt"),
}
