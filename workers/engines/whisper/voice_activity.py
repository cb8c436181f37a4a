"""Finds speech in a recording with Silero's detector, and divides it into windows for a recogniser.

A window ends in a pause: a recogniser loses a word that is cut in the middle.
"""

import threading
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from workers.engines.protocol import Interrupted

RATE_HZ = 16_000
FRAME = 512  # samples; the detector's own
_BLOCK_FRAMES = 940  # about 30 s
_LEAD_FRAMES = 31  # about 1 s before the block: the detector has no state yet
_SPEECH, _SILENCE = 0.5, 0.35  # the probability at which speech begins, and under which it ends
_SPEECH_FRAMES_MIN = 3  # about 0.1 s: shorter is a click
_PAUSE_FRAMES_MIN = 4  # about 0.13 s: shorter pauses are within words
_PAD_S = 0.4  # around speech: the detector is late for soft beginnings and endings
_GAP_S_MAX = 3.0  # a longer pause is not passed to the recogniser, which may invent words in it

Samples = NDArray[np.int16]
Detector = Any  # faster-whisper's: takes float samples, returns a probability for each frame


class Stretch(NamedTuple):
    """Speech without its surroundings; seconds."""

    start: float
    end: float


class Window(NamedTuple):
    """A part of a recording that is transcribed at once, in seconds, and the speech in it."""

    start: float
    end: float
    speech: tuple[Stretch, ...]

    @property
    def seconds(self) -> float:
        return self.end - self.start

    def speech_after(self, second: float) -> float:
        """How many seconds of speech there are after that second."""
        return sum(max(0.0, end - max(start, second)) for start, end in self.speech)


def windows(
    samples: Samples, detector: Detector, seconds_max: float, stopped: threading.Event
) -> list[Window]:
    """The windows, in order, of `seconds_max` at most; none without speech. Raises Interrupted."""
    blocks = list[NDArray[np.float32]]()
    for block in _probabilities(samples, detector):
        blocks.append(block)
        if stopped.is_set():
            raise Interrupted("closed")
    probabilities = np.concatenate(blocks) if blocks else np.zeros(0, np.float32)
    frames_max = int((seconds_max - 2 * _PAD_S) * RATE_HZ / FRAME)
    groups = _grouped(_stretches(probabilities, frames_max), frames_max)
    return _padded(groups, len(samples) / RATE_HZ)


def _probabilities(samples: Samples, detector: Detector) -> Iterator[NDArray[np.float32]]:
    """The probability of speech per frame; in blocks, so that memory does not grow with the recording."""
    for at in range(0, len(samples), _BLOCK_FRAMES * FRAME):
        lead = min(at // FRAME, _LEAD_FRAMES)
        block = samples[at - lead * FRAME : at + _BLOCK_FRAMES * FRAME].astype(np.float32) / 32768
        found = np.asarray(detector(np.pad(block, (0, -len(block) % FRAME))), np.float32).ravel()
        yield found[lead:]


def _stretches(probabilities: NDArray[np.float32], frames_max: int) -> list[tuple[int, int]]:
    """First and last frame (exclusive) of each stretch of speech between pauses."""
    found, start, quiet = list[tuple[int, int]](), -1, 0
    for frame, probability in enumerate([*probabilities.tolist(), *[0.0] * _PAUSE_FRAMES_MIN]):
        if start < 0:
            if probability >= _SPEECH:
                start, quiet = frame, 0
            continue
        quiet = quiet + 1 if probability < _SILENCE else 0
        if quiet == _PAUSE_FRAMES_MIN:
            end = frame + 1 - quiet
            if end - start >= _SPEECH_FRAMES_MIN:
                found += _cut(start, end, probabilities, frames_max)
            start = -1
    return found


def _cut(
    start: int, end: int, probabilities: NDArray[np.float32], frames_max: int
) -> Iterator[tuple[int, int]]:
    """A stretch without a pause, cut where speech is least probable."""
    while end - start > frames_max:
        half = start + frames_max // 2
        at = half + int(np.argmin(probabilities[half : start + frames_max]))
        yield start, at
        start = at
    yield start, end


def _grouped(stretches: Sequence[tuple[int, int]], frames_max: int) -> list[list[tuple[int, int]]]:
    """Stretches grouped into windows. If there are too many for one, the window ends at the longest pause in
    the second half of its maximum length: most likely the end of a sentence.
    """
    groups, rest = list[list[tuple[int, int]]](), list(stretches)
    gap_max = int(_GAP_S_MAX * RATE_HZ / FRAME)
    while rest:
        count = 1
        while count < len(rest) and _fits(rest, count, frames_max, gap_max):
            count += 1
        is_full = count < len(rest) and rest[count][0] - rest[count - 1][1] <= gap_max
        if is_full:
            count = _best_cut(rest, count, frames_max)
        groups.append(rest[:count])
        rest = rest[count:]
    return groups


def _fits(stretches: Sequence[tuple[int, int]], at: int, frames_max: int, gap_max: int) -> bool:
    is_near = stretches[at][0] - stretches[at - 1][1] <= gap_max
    return is_near and stretches[at][1] - stretches[0][0] <= frames_max


def _best_cut(stretches: Sequence[tuple[int, int]], count: int, frames_max: int) -> int:
    half = stretches[0][0] + frames_max // 2
    late = [n for n in range(1, count + 1) if n == count or stretches[n - 1][1] >= half]
    return max(late, key=lambda n: (stretches[n][0] - stretches[n - 1][1], n))


def _padded(groups: Sequence[Sequence[tuple[int, int]]], seconds: float) -> list[Window]:
    """Each group with a margin on both sides that does not reach into its neighbours."""
    spoken = [[_stretch(start, end, seconds) for start, end in group] for group in groups]
    found = list[Window]()
    for n, speech in enumerate(spoken):
        earliest = (spoken[n - 1][-1].end + speech[0].start) / 2 if n else 0.0
        latest = (speech[-1].end + spoken[n + 1][0].start) / 2 if n + 1 < len(spoken) else seconds
        start, end = max(earliest, speech[0].start - _PAD_S), min(latest, speech[-1].end + _PAD_S)
        found.append(Window(start, end, tuple(speech)))
    return found


def _stretch(start: int, end: int, seconds: float) -> Stretch:
    return Stretch(start * FRAME / RATE_HZ, min(end * FRAME / RATE_HZ, seconds))
