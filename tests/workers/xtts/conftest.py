"""A tiny random checkpoint, loaded as a real one is."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from workers.xtts.decode import Row
    from workers.xtts.prefix import Voice
    from workers.xtts.text import Texts
    from workers.xtts.weights import Gpt, Speaker

TEXTS = (
    "Hello world.",
    "The quick brown fox jumps over a lazy dog while seven wizards mix jars of quartz.",
    "Please hold the line; your audio file will be ready in a minute.",
    "One two three.",
    "Numbers, dates and names: one two three four five six.",
    "Yes!",
    "A plain test of the voice queue, nothing more than that, and then some words to make it long enough.",
    "Hold on?",
)


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of weights."""
    import torch

    from workers.xtts.checkpoint import TINY, make

    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("xtts") / "tiny"
    make(folder, TINY, stops=True)
    return folder


@pytest.fixture(scope="session")
def model(checkpoint: Path) -> Any:
    """Upstream's own model of them."""
    from workers.xtts.weights import load

    return load(checkpoint)


@pytest.fixture(scope="session")
def gpt(model: Any) -> "Gpt":
    import torch

    from workers.xtts.weights import gpt_of

    return gpt_of(model, device=torch.device("cpu"), dtype=torch.float32)


@pytest.fixture(scope="session")
def speakers(model: Any) -> "dict[str, Speaker]":
    from workers.xtts.weights import speakers_of

    return speakers_of(model)


@pytest.fixture(scope="session")
def voices(gpt: "Gpt", speakers: "dict[str, Speaker]") -> "list[Voice]":
    from workers.xtts.prefix import voice_of

    return [voice_of(gpt, speaker.latents, speaker.embedding) for speaker in speakers.values()]


@pytest.fixture(scope="session")
def texts(model: Any, gpt: "Gpt") -> "Texts":
    from workers.xtts.text import Texts

    return Texts(model.tokenizer, text_tokens_max=gpt.text_tokens_max, audio_tokens_max=gpt.audio_tokens_max)


@pytest.fixture
def rows(model: Any, voices: "list[Voice]") -> "list[Row]":
    """A row for each of TEXTS, of two voices in turn."""
    from workers.xtts.decode import Row

    ids = [model.tokenizer.encode(text.lower(), lang="en") for text in TEXTS]
    return [Row(text, voices[n % 2], cap=30, seed=n) for n, text in enumerate(ids)]
