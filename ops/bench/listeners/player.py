"""What a player would do with a stream: when playback starts, how long its buffer is empty."""

from collections.abc import Sequence

from msgspec import Struct


class Arrival(Struct, frozen=True, array_like=True):
    """So many bytes of audio, at that moment of one clock."""

    at_s: float
    size: int


class Playback(Struct, frozen=True):
    """`worst_gap_s`: the longest time without sound after the first; `gaps_s`: all such times together."""

    first_at_s: float
    worst_gap_s: float
    gaps_s: float
    audio_s: float


def played(arrivals: Sequence[Arrival], bytes_per_s: int) -> Playback:
    """The playback of a player that starts at the first byte and, once empty, resumes at the next."""
    first = arrivals[0].at_s
    dry_at, worst, total, size = first, 0.0, 0.0, 0
    for arrival in arrivals:
        gap = max(0.0, arrival.at_s - dry_at)
        worst, total = max(worst, gap), total + gap
        dry_at = max(dry_at, arrival.at_s) + arrival.size / bytes_per_s
        size += arrival.size
    return Playback(first, worst, total, size / bytes_per_s)
