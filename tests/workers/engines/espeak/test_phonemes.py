"""Phonemes from espeak's process, and its ends."""

import os
import signal
from collections.abc import Iterator

import pytest

from tests.workers.speaking import children
from workers.engines.espeak.espeak_phonemes import Phonemizer
from workers.engines.protocol import Refused


@pytest.fixture
def phonemizer() -> Iterator[Phonemizer]:
    phonemizer = Phonemizer()
    yield phonemizer
    phonemizer.close()


def test_each_text_has_its_phonemes_without_marks(phonemizer: Phonemizer) -> None:
    assert phonemizer.ipa("roa/es", ["Hola, ¿qué tal?", "", "24 euros"]) == [
        "ˈola kˈe tˈal",
        "",
        "bˌe^ɪntikwˈatɾo ˈe^ʊɾos",
    ]


def test_a_text_that_kills_two_children_is_refused_and_the_next_is_converted(phonemizer: Phonemizer) -> None:
    with pytest.raises(Refused, match="unspeakable_text"):
        phonemizer.ipa("gmw/en-US", ["a." * 200])
    assert phonemizer.ipa("roa/it", ["città"]) == ["t^ʃitːˈa"]


def test_a_server_that_died_is_replaced(phonemizer: Phonemizer) -> None:
    before = set(children(os.getpid()))
    phonemizer.ipa("roa/es", ["sí"])
    (server,) = set(children(os.getpid())) - before
    os.kill(server, signal.SIGKILL)
    os.waitid(os.P_PID, server, os.WEXITED | os.WNOWAIT)
    assert phonemizer.ipa("roa/es", ["sí"]) == ["sˈi"]
