"""Measures of speech from its samples: loudness, edges, pitch. Samples are floats, full scale 1."""

import math
from collections.abc import Sequence

import numpy as np
import soxr
from msgspec import Struct
from numpy.typing import NDArray

Samples = NDArray[np.float32]

_LOUDNESS_RATE_HZ = 48_000  # the rate for which ITU-R BS.1770-4 specifies its filters
_SHELF = ((1.53512485958697, -2.69169618940638, 1.19839281085285), (1.0, -1.69065929318241, 0.73248077421585))
_HIGH_PASS = ((1.0, -2.0, 1.0), (1.0, -1.99004745483398, 0.99007225036621))
_BLOCK_S, _STEP_S = 0.4, 0.1
_GATE_LUFS, _RELATIVE_GATE_LU = -70.0, -10.0

_SILENCE_DBFS = -50.0  # a frame below it is silent
_FRAME_S = 0.005
_CLICK_STEP = 0.05  # between full silence and the first sample, or the last one and silence

_PITCH_FRAME_S, _PITCH_STEP_S = 0.04, 0.02
_PITCH_HZ = (60.0, 400.0)
_PERIODIC = 0.15  # YIN's dip below which a frame is voiced
_VOICED_DBFS = -40.0


class Edges(Struct, frozen=True):
    """`clicks`: ends, of the two, where the sound begins or stops within a sample."""

    before_ms: float
    after_ms: float
    clicks: int


def loudness_lufs(samples: Samples, rate_hz: int) -> float:
    """Integrated loudness of one channel by ITU-R BS.1770-4, gated; -inf if all is silent."""
    weighted = _weighted(soxr.resample(samples.astype(np.float64), rate_hz, _LOUDNESS_RATE_HZ))
    block, step = round(_BLOCK_S * _LOUDNESS_RATE_HZ), round(_STEP_S * _LOUDNESS_RATE_HZ)
    if len(weighted) < block:
        weighted = np.pad(weighted, (0, block - len(weighted)))
    energy = np.concatenate(([0.0], np.cumsum(np.square(weighted))))
    powers = (energy[block:] - energy[:-block])[::step] / block
    audible = powers[powers > _power(_GATE_LUFS)]
    if not len(audible):
        return -math.inf
    gate = _power(_lufs(float(np.mean(audible))) + _RELATIVE_GATE_LU)
    return _lufs(float(np.mean(audible[audible > gate])))


def edges(samples: Samples, rate_hz: int) -> Edges:
    """Silence before the first sound and after the last, and whether either is cut."""
    frame = round(_FRAME_S * rate_hz)
    loud = np.flatnonzero(_levels_dbfs(samples, frame, frame) > _SILENCE_DBFS)
    if not len(loud):
        whole_ms = 1000 * len(samples) / rate_hz
        return Edges(whole_ms, whole_ms, 0)
    after = len(samples) - min((int(loud[-1]) + 1) * frame, len(samples))
    return Edges(
        before_ms=1000 * int(loud[0]) * frame / rate_hz,
        after_ms=1000 * after / rate_hz,
        clicks=int(abs(samples[0]) > _CLICK_STEP) + int(abs(samples[-1]) > _CLICK_STEP),
    )


def pitch_hz(clips: Sequence[Samples], rate_hz: int) -> float:
    """The median fundamental frequency of the clips' voiced frames, by YIN; NaN if none is voiced."""
    found = [_pitches(samples, rate_hz) for samples in clips]
    together = np.concatenate(found) if found else np.empty(0)
    return float(np.median(together)) if len(together) else math.nan


def _weighted(samples: NDArray[np.float64]) -> NDArray[np.float64]:
    """K-weighted: the two filters applied in the spectrum, padded by a second for their tails."""
    size = len(samples) + _LOUDNESS_RATE_HZ
    delay = np.exp(-2j * np.pi * np.fft.rfftfreq(size))
    response = np.ones(len(delay), np.complex128)
    for ahead, back in (_SHELF, _HIGH_PASS):
        response *= np.polyval(ahead[::-1], delay) / np.polyval(back[::-1], delay)
    return np.fft.irfft(np.fft.rfft(samples, size) * response, size)[: len(samples)]


def _lufs(power: float) -> float:
    return -0.691 + 10 * math.log10(power)


def _power(lufs: float) -> float:
    return 10 ** ((lufs + 0.691) / 10)


def _levels_dbfs(samples: Samples, frame: int, step: int) -> NDArray[np.float64]:
    padded = np.pad(samples.astype(np.float64), (0, max(0, frame - len(samples))))
    frames = np.lib.stride_tricks.sliding_window_view(padded, frame)[::step]
    return 20 * np.log10(np.sqrt(np.mean(np.square(frames), axis=1)) + 1e-12)


def _pitches(samples: Samples, rate_hz: int) -> NDArray[np.float64]:
    """The pitch of each voiced frame."""
    window, step = round(_PITCH_FRAME_S * rate_hz), round(_PITCH_STEP_S * rate_hz)
    shortest, longest = (round(rate_hz / hz) for hz in reversed(_PITCH_HZ))
    size = window + longest
    if len(samples) < size:
        return np.empty(0)
    frames = np.lib.stride_tricks.sliding_window_view(samples.astype(np.float64), size)[::step]
    loud = frames[_levels_dbfs(samples, size, step)[: len(frames)] > _VOICED_DBFS]
    lags = [_period(_dissimilarity(frame, window, longest), shortest) for frame in loud]
    return np.array([rate_hz / lag for lag in lags if lag])


def _dissimilarity(frame: NDArray[np.float64], window: int, longest: int) -> NDArray[np.float64]:
    """YIN's cumulative mean normalized difference, a value for each lag from 0 to `longest`."""
    size = 2 * len(frame)
    products = np.fft.rfft(frame, size) * np.conj(np.fft.rfft(frame[:window], size))
    correlation = np.fft.irfft(products, size)[: longest + 1]
    energy = np.concatenate(([0.0], np.cumsum(np.square(frame))))
    energies = energy[window : window + longest + 1] - energy[: longest + 1]
    difference = np.maximum(energies[0] + energies - 2 * correlation, 0.0)
    sums = np.cumsum(difference[1:])
    normal = difference[1:] * np.arange(1, longest + 1) / np.maximum(sums, 1e-12)
    return np.concatenate(([1.0], normal))


def _period(curve: NDArray[np.float64], shortest: int) -> float:
    """The lag of the first dip, to a fraction of a sample; 0 if the frame is not periodic."""
    below = np.flatnonzero(curve[shortest:] < _PERIODIC)
    if not len(below):
        return 0.0
    lag = int(below[0]) + shortest
    while lag + 1 < len(curve) and curve[lag + 1] < curve[lag]:
        lag += 1
    if lag + 1 >= len(curve):
        return 0.0
    before, at, after = (float(value) for value in curve[lag - 1 : lag + 2])
    bend = before - 2 * at + after
    return lag + (0.5 * (before - after) / bend if bend > 0 else 0.0)
