"""Through HTTP: texts queued, decoded side by side by a worker process, each its own WAV."""

import wave
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path

import numpy
import pytest

from tests.e2e.clients.programs import download, poll
from tests.e2e.conftest import Stack

LOOPBACK = Path(__file__).parents[2] / "loopback"  # its sitecustomize.py watches every Python process
TEXTS = ("Hello world.", "One two three.", "Yes!")
VOICES = ("ann-random", "bob-random")


@pytest.fixture(scope="module")
def stack(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Generator[Stack]:
    """A stack that speaks by XTTS, and reaches nothing but loopback from start to end."""
    attempts = tmp_path_factory.mktemp("attempts") / "made"
    started = Stack(
        tmp_path_factory.mktemp("home"),
        CODEVOICE_ENGINES="xtts",
        CODEVOICE_DEVICES="cpu",
        CODEVOICE_XTTS_WEIGHTS=str(checkpoint),
        CODEVOICE_XTTS_LICENCE="non-commercial",
        COQUI_TOS_AGREED="1",
        OMP_NUM_THREADS="1",
        PYTHONPATH=str(LOOPBACK),
        LOOPBACK_ATTEMPTS=str(attempts),
    )
    yield started
    started.stop()
    assert not attempts.exists(), attempts.read_text()


def samples(file: bytes) -> numpy.ndarray:
    with wave.open(BytesIO(file)) as read:
        assert (read.getframerate(), read.getnchannels(), read.getsampwidth()) == (24_000, 1, 2)
        return numpy.frombuffer(read.readframes(read.getnframes()), "<i2").astype(int)


def spoken(stack: Stack, text: str, voice: str) -> numpy.ndarray:
    return samples(download(stack, poll(stack, stack.speak(text, voice, language="en"), timeout_s=120)))


@pytest.mark.timeout(400)  # a stack, and real sound on a CPU that others may use too
def test_concurrent_texts_are_each_the_same_as_alone(stack: Stack) -> None:
    requests = [(text, voice) for text in TEXTS for voice in VOICES]
    with ThreadPoolExecutor(len(requests)) as clients:
        together = list(clients.map(lambda what: spoken(stack, *what), requests))
    alone = [spoken(stack, *what) for what in requests[:3]]
    assert [len(each) for each in together[:3]] == [len(each) for each in alone]
    assert max(int(numpy.abs(a - b).max()) for a, b in zip(together, alone, strict=False)) <= 1
    assert len({each.tobytes() for each in together}) == len(requests)
    assert stack.credits()["held"] == 0
