"""The hibari engine with its real model."""

import os
import shutil
import signal
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from uuid import UUID

import numpy as np
import pytest

from db.settings import SettingsError
from tests.conftest import RealModel
from tests.workers.speaking import children, command
from workers.engines.neural.engine import NeuralEngine
from workers.engines.protocol import DeviceLost, Refused, Synthesis, Utterance
from workers.engines.registry import load
from workers.models.store import installed
from workers.text.shapes import prepare_text

SECOND_BYTES = 24_000 * 2
SENTENCE = "The quick brown fox jumps over the lazy dog."


@pytest.fixture(scope="module", autouse=True)
def models(real_model: RealModel) -> Iterator[Path]:
    """The folder of models, which the engine finds in the environment."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CODEVOICE_MODELS", str(real_model("hibari")))
        yield Path(os.environ["CODEVOICE_MODELS"])


@pytest.fixture(scope="module")
def engine(models: Path) -> Iterator[NeuralEngine]:
    engine = load("hibari")
    assert isinstance(engine, NeuralEngine)
    with closing(engine):
        yield engine


def begin(engine: NeuralEngine, text: str, *, live: bool = False, speed: float = 1.0) -> Synthesis:
    (speech,) = engine.begin(
        [
            Utterance(
                job_id=UUID(int=1),
                text=prepare_text(text, "en-US", broken_up=engine.capabilities.texts_broken_up),
                voice="heart",
                language="en-US",
                speed=speed,
                live=live,
            )
        ]
    )
    return speech


def say(engine: NeuralEngine, text: str, **how: float | bool) -> bytes:
    return b"".join(begin(engine, text, **how))  # pyright: ignore[reportArgumentType]


def samples(pcm: bytes) -> np.ndarray:
    return np.frombuffer(pcm, "<i2").astype(np.float64)


def test_the_engine_speaks(engine: NeuralEngine) -> None:
    pcm = say(engine, SENTENCE)
    assert 2 < len(pcm) / SECOND_BYTES < 4
    assert 500 < np.sqrt(np.mean(samples(pcm) ** 2)) < 8000


def test_the_capabilities_are_complete(engine: NeuralEngine) -> None:
    can = engine.capabilities
    assert (can.engine, can.kind, can.sample_rate_hz) == ("hibari", "speech", 24_000)
    assert (can.speed_min, can.speed_max, can.pitch_min, can.pitch_max) == (0.5, 2.0, 0.0, 0.0)
    heart = can.voices[0]
    assert (heart.id, heart.gender, heart.languages, heart.quality) == ("heart", "female", ("en-US",), "high")
    assert engine.slots >= 180


def test_equal_text_gives_equal_audio_whatever_was_spoken_before(engine: NeuralEngine) -> None:
    text = f"{SENTENCE} Mr. Zyxwort paid $9.99. Why? Nobody knows."
    first = say(engine, text)
    say(engine, "Somebody else's words, in between.")
    assert say(engine, text, live=True) == first
    assert first.startswith(say(engine, SENTENCE))


def test_speed_changes_the_length(engine: NeuralEngine) -> None:
    slow, fast = (len(say(engine, SENTENCE, speed=speed)) for speed in (0.5, 2.0))
    assert 2.5 < slow / fast < 5


@pytest.mark.parametrize(
    "text",
    [
        "1" * 60,
        "a." * 60,
        "pneumonoultramicroscopicsilicovolcanoconiosis",
        "They say 你好 and привет to each other, every morning of the week.",
        "[hello](/həlˈO/) <b>bold</b> A\0B",
        "٣٤ ＡＢＣ ①②",
        "😀",
        "https://example.com/a?b=1&c=2",
    ],
    ids=ascii,
)
def test_hostile_text_is_spoken(engine: NeuralEngine, text: str) -> None:
    assert len(say(engine, text)) / SECOND_BYTES > 0.5


@pytest.mark.parametrize("text", ["", " \n", "...", "\u0301\u0302", "!?"], ids=ascii)
def test_a_text_with_nothing_to_say_gives_no_audio(engine: NeuralEngine, text: str) -> None:
    assert say(engine, text) == b""


@pytest.mark.parametrize("text", ["你好，世界。", "Привет, как дела?", "नमस्ते दुनिया"])
def test_a_text_of_another_script_is_refused_with_the_reason(engine: NeuralEngine, text: str) -> None:
    with pytest.raises(Refused, match="unsupported_script"):
        say(engine, text)


def test_a_long_text_is_its_sentences_each_once(engine: NeuralEngine) -> None:
    lines = [f"Line {n} of this text is here." for n in range(1, 25)]
    whole = say(engine, " ".join(lines))
    assert whole == b"".join(say(engine, line) for line in lines)


def test_the_first_audio_starts_with_speech(engine: NeuralEngine) -> None:
    audible = np.flatnonzero(np.abs(samples(say(engine, SENTENCE))) > 100)
    assert 0.03 < audible[0] / (SECOND_BYTES / 2) < 0.08


def test_sentences_join_without_a_click(engine: NeuralEngine) -> None:
    edges = [abs(samples(pcm)[[0, -1]]).max() for pcm in begin(engine, f"{SENTENCE} {SENTENCE} Yes.")]
    assert max(edges) < 50


def test_a_changed_file_is_never_loaded(
    models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(models / "hibari", tmp_path / "hibari")
    with (tmp_path / "hibari" / "hibari" / "tts.py").open("a") as code:
        code.write("# and something else")
    monkeypatch.setenv("CODEVOICE_MODELS", str(tmp_path))
    with pytest.raises(SettingsError, match="damaged"):
        load("hibari")


def test_a_file_damaged_while_it_speaks_ends_the_process_that_uses_it(
    models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(models / "hibari", tmp_path / "hibari")
    monkeypatch.setenv("CODEVOICE_MODELS", str(tmp_path))
    loaded = load("hibari")
    assert isinstance(loaded, NeuralEngine)
    with closing(loaded) as engine:
        assert say(engine, SENTENCE)
        (tmp_path / "hibari" / "hibari" / "tts.py").write_text("# something else")
        for pid in children(os.getpid()):
            if "hibari_model" in command(pid):
                os.killpg(pid, signal.SIGKILL)  # the server, and the children that would go on

        with pytest.raises(DeviceLost, match="damaged"):
            say(engine, "And another one.")


def test_without_the_further_voices_one_voice_is_offered(engine: NeuralEngine, models: Path) -> None:
    has_others = installed("hibari-voices", models)
    assert len(engine.capabilities.voices) == (5 if has_others else 1)
