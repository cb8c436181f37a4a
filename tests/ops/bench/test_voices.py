"""`codevoice bench voices`: what is computed without a judge."""

import math
import os
import subprocess
import sys
from pathlib import Path

import jiwer
import numpy as np
import pytest

from ops.bench.harness.cpu import worker_of
from ops.bench.harness.memory import family_pss_mib
from ops.bench.voices.sound import Edges, Samples, edges, loudness_lufs, pitch_hz
from ops.bench.voices.texts import TEXTS
from ops.bench.voices.words import WordErrors, word_error_rate, word_errors

RATE_HZ = 24_000


def sine(hz: float, *, dbfs: float, seconds: float = 2.0, rate_hz: int = RATE_HZ) -> Samples:
    at = np.arange(round(seconds * rate_hz)) / rate_hz
    return (10 ** (dbfs / 20) * np.sin(2 * np.pi * hz * at)).astype(np.float32)


def silence(seconds: float) -> Samples:
    return np.zeros(round(seconds * RATE_HZ), np.float32)


@pytest.mark.parametrize("rate_hz", [22_050, 24_000, 48_000])
def test_the_reference_tone_of_bs_1770_has_the_loudness_it_names(rate_hz: int) -> None:
    assert loudness_lufs(sine(997, dbfs=-20, rate_hz=rate_hz), rate_hz) == pytest.approx(-23.01, abs=0.02)


def test_silence_around_a_tone_does_not_change_its_loudness() -> None:
    tone = sine(997, dbfs=-20, seconds=10)
    padded = np.concatenate([silence(5), tone, silence(5)])
    assert loudness_lufs(padded, RATE_HZ) == pytest.approx(loudness_lufs(tone, RATE_HZ), abs=0.15)


def test_silence_alone_has_no_loudness() -> None:
    assert loudness_lufs(silence(1), RATE_HZ) == -math.inf


def test_edges_are_the_silence_before_and_after_the_sound() -> None:
    samples = np.concatenate([silence(0.3), sine(200, dbfs=-10, seconds=1), silence(0.5)])
    found = edges(samples, RATE_HZ)
    assert (found.before_ms, found.after_ms) == pytest.approx((300, 500), abs=5)
    assert found.clicks == 0


def test_a_sound_that_is_cut_off_clicks() -> None:
    tone = sine(200, dbfs=-6, seconds=1)
    assert edges(tone[: -RATE_HZ // 800], RATE_HZ).clicks == 1  # a quarter of a period: at its peak


def test_the_edges_of_silence_are_all_of_it() -> None:
    assert edges(silence(0.5), RATE_HZ) == Edges(500.0, 500.0, 0)


@pytest.mark.parametrize("hz", [85.0, 120.0, 197.3, 310.0])
def test_the_pitch_of_a_tone_with_overtones_is_its_fundamental(hz: float) -> None:
    parts = [sine(n * hz, dbfs=-20 - 3 * n) for n in range(1, 6)]
    assert pitch_hz([np.sum(parts, axis=0)], RATE_HZ) == pytest.approx(hz, rel=0.01)


def test_the_median_pitch_is_that_of_most_frames() -> None:
    clips = [sine(110, dbfs=-12, seconds=3), sine(300, dbfs=-12, seconds=1)]
    assert pitch_hz(clips, RATE_HZ) == pytest.approx(110, rel=0.01)


def test_noise_has_no_pitch() -> None:
    noise = np.random.default_rng(7).normal(0, 0.1, 2 * RATE_HZ).astype(np.float32)
    assert math.isnan(pitch_hz([noise, silence(1)], RATE_HZ))


@pytest.mark.parametrize(
    ("reference", "recognised"),
    [
        ("a quiet fox slipped through the garden", "a quiet fox slept in the the garden"),
        ("turn left", ""),
        ("stop", "please stop right now"),
        ("one two three four", "two three four five"),
    ],
)
def test_the_word_error_rate_is_jiwers(reference: str, recognised: str) -> None:
    ours = word_error_rate([word_errors([reference.split()], recognised.split())])
    assert ours == pytest.approx(jiwer.wer(reference, recognised))


def test_of_two_references_the_one_that_fits_counts() -> None:
    written, spoken = ["at", "9", "15"], ["at", "nine", "fifteen", "sharp"]
    assert word_errors([written, spoken], ["at", "nine", "fifteen", "sharp"]) == WordErrors(0, 4)


def test_the_rate_of_several_texts_counts_their_words_together() -> None:
    assert word_error_rate([WordErrors(1, 2), WordErrors(0, 8)]) == pytest.approx(0.1)


def test_there_are_24_texts_and_no_two_alike() -> None:
    assert len({text.written for text in TEXTS}) == 24
    assert not any(character.isdigit() for text in TEXTS for character in text.spoken)


def test_the_judges_program_needs_nothing_of_ours_to_start() -> None:
    """Its environment has none of our packages; what it loads there comes after its wishes were read."""
    program = Path(__file__).parents[3] / "ops/bench/voices/judge.py"
    done = subprocess.run([sys.executable, "-P", program], input="{}", capture_output=True, text=True)
    assert "KeyError: 'whisper'" in done.stderr


def test_the_memory_of_a_process_includes_its_children() -> None:
    pids = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {_HOLD!r}])"
    with subprocess.Popen(
        [sys.executable, "-c", pids], stdout=subprocess.PIPE, stdin=subprocess.PIPE
    ) as parent:
        assert parent.stdout is not None
        parent.stdout.readline()
        held = family_pss_mib(parent.pid)
        parent.communicate()
    assert held > 64


_HOLD = "import sys; held = b'x' * (64 << 20); print(flush=True); sys.stdin.read()"


def test_an_engines_worker_is_found_by_its_environment() -> None:
    environ = {**os.environ, "CODEVOICE_ENGINE": "paced"}
    program = [sys.executable, "-c", "import sys; print(flush=True); sys.stdin.read()"]
    with subprocess.Popen(program, stdout=subprocess.PIPE, stdin=subprocess.PIPE, env=environ) as worker:
        assert worker.stdout is not None
        worker.stdout.readline()
        found = worker_of(os.getpid(), "paced"), worker_of(os.getpid(), "other")
        worker.communicate()
    assert found == (worker.pid, 0)
