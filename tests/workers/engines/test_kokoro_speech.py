"""The kokoro engine with its real model. One engine: a load takes seconds."""

import os
import time
from collections.abc import Iterator
from contextlib import closing
from uuid import UUID

import numpy as np
import pytest

from tests.conftest import RealModel
from tests.workers.speaking import children, command
from workers.engines.kokoro.engine import Kokoro
from workers.engines.neural.engine import NeuralEngine
from workers.engines.protocol import Refused, Synthesis, Utterance

SECOND_BYTES = 24_000 * 2
IDLE_S = 3.0


@pytest.fixture(scope="module")
def engine(real_model: RealModel) -> Iterator[NeuralEngine]:
    family = Kokoro(real_model("kokoro", "hibari"), idle_s=IDLE_S)
    with closing(NeuralEngine(family, release=family.release)) as engine:
        yield engine


def begin(engine: NeuralEngine, text: str, voice: str = "af_heart", language: str = "en-US") -> Synthesis:
    (speech,) = engine.begin([Utterance(job_id=UUID(int=1), text=text, voice=voice, language=language)])
    return speech


def say(engine: NeuralEngine, text: str, voice: str = "af_heart", language: str = "en-US") -> bytes:
    return b"".join(begin(engine, text, voice, language))


def servers() -> list[int]:
    return [pid for pid in children(os.getpid()) if "neural_server" in command(pid)]


def seconds(pcm: bytes) -> float:
    return len(pcm) / SECOND_BYTES


def test_capabilities_are_known_before_the_model_is_loaded(engine: NeuralEngine) -> None:
    known = {voice.id: voice for voice in engine.capabilities.voices}
    assert servers() == []
    assert len(known) >= 28
    assert known["ef_dora"].languages == ("es-ES",)


def test_equal_texts_give_equal_audio_without_the_models_silence(engine: NeuralEngine) -> None:
    first = say(engine, "Good morning.")
    assert say(engine, "Good morning.") == first
    assert 0.6 < seconds(first) < 1.6
    samples = np.abs(np.frombuffer(first, "<i2"))
    assert samples[: int(0.15 * 24_000)].max() > 300


def test_a_mix_is_neither_of_its_voices_whatever_its_weights_add_up_to(engine: NeuralEngine) -> None:
    mixes = ("af_heart", "af_bella", "af_heart(2)+af_bella(1)", "af_bella(2)+af_heart(4)")
    heart, bella, mix, same = (say(engine, "Yes.", voice) for voice in mixes)
    assert len({heart, bella, mix}) == 3
    assert np.allclose(np.frombuffer(mix, "<i2"), np.frombuffer(same, "<i2"), atol=40)


def test_spanish_is_spoken_by_phonemes_from_espeak(engine: NeuralEngine) -> None:
    assert 0.8 < seconds(say(engine, "¿Qué tal, Dora?", "ef_dora", "es-ES")) < 3


def test_unreadable_text_is_refused_and_text_without_words_is_silent(engine: NeuralEngine) -> None:
    with pytest.raises(Refused, match="unsupported_script"):
        say(engine, "Привет, как дела?")
    with pytest.raises(Refused, match="unspeakable_text"):
        say(engine, "Yes.", "af_nobody")
    assert say(engine, "... !") == b""


def test_the_model_is_unloaded_when_idle_and_loaded_again(engine: NeuralEngine) -> None:
    say(engine, "Yes.")
    deadline = time.monotonic() + 20 * IDLE_S
    while servers():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert say(engine, "Yes.")
