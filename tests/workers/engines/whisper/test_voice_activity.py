"""How a recording is divided into windows, with a detector of speech that is a script."""

import itertools
import threading
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from workers.engines.protocol import Interrupted
from workers.engines.whisper.voice_activity import FRAME, RATE_HZ, Window, windows

MAX_S = 12.0


def speech_at(parts: Sequence[tuple[float, float]], seconds: float) -> NDArray[np.int16]:
    """Samples of that length with energy in those parts, where the detector below finds speech."""
    samples = np.zeros(round(seconds * RATE_HZ), np.int16)
    for start, end in parts:
        samples[round(start * RATE_HZ) : round(end * RATE_HZ)] = 16_384
    return samples


def detector(samples: NDArray[np.float32]) -> Any:
    return np.abs(samples.reshape(-1, FRAME)).mean(axis=1) * 2


def found(parts: Sequence[tuple[float, float]], seconds: float) -> list[Window]:
    return windows(speech_at(parts, seconds), detector, MAX_S, threading.Event())


def test_audio_without_speech_has_no_window() -> None:
    assert found([], 60) == []
    assert found([], 0.02) == []
    assert found([], 0) == []
    assert found([(1, 1.05)], 3) == []  # a click


def test_a_short_recording_is_one_window_with_a_little_around_speech() -> None:
    [window] = found([(1, 2), (2.5, 4)], 10)
    assert (window.start, window.end) == pytest.approx((0.6, 4.4), abs=0.05)
    assert window.speech_after(2.25) == pytest.approx(1.5, abs=0.1)


def test_windows_end_in_pauses_and_cover_all_speech() -> None:
    sentences = [(4.0 * n + 0.3, 4.0 * n + 3.2) for n in range(150)]
    made = found(sentences, 600)
    assert all(window.seconds <= MAX_S for window in made)
    assert all(before.end <= after.start for before, after in itertools.pairwise(made))
    for start, end in sentences:
        assert any(window.start <= start and end <= window.end for window in made), (start, end)


def test_the_longest_pause_of_the_second_half_divides() -> None:
    made = found([(0, 6), (6.2, 7.8), (8.6, 9.4), (9.6, 14)], 15)
    assert made[0].end == pytest.approx(8.2, abs=0.1)


def test_speech_without_a_pause_is_cut() -> None:
    made = found([(0, 40)], 40)
    assert all(window.seconds <= MAX_S for window in made)
    assert sum(window.speech_after(0) for window in made) == pytest.approx(40, abs=0.1)
    assert made[-1].end == 40


def test_a_long_silence_is_in_no_window() -> None:
    made = found([(1, 2), (10, 11)], 20)
    assert [round(window.start) for window in made] == [1, 10]
    assert sum(window.seconds for window in made) < 4


def test_a_stopped_recording_is_given_up() -> None:
    stopped = threading.Event()
    stopped.set()
    with pytest.raises(Interrupted):
        windows(speech_at([(0, 1)], 60), detector, MAX_S, stopped)
