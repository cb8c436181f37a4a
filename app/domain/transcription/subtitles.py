"""A transcript as text and as subtitles: what every dialect and page writes."""

from collections.abc import Callable

from db.storage.transcripts import Segment, Transcript

_PLAIN = "text/plain"  # the framework says which charset


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


# By the name of the format: what writes it, and its media type.
TEXTS: dict[str, tuple[Callable[[Transcript], str], str]] = {
    "text": (_text, _PLAIN),
    "srt": (_srt, _PLAIN),
    "vtt": (_vtt, "text/vtt"),
}
