"""espeak's utterances take turns between accounts without changing the audio."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from uuid import UUID

import pytest
from msgspec.structs import replace

from tests.workers.speaking import LONG, SENTENCE, say, utterance
from workers.engines.espeak.engine import EspeakEngine
from workers.engines.fair_turns import FairTurns
from workers.engines.protocol import Interrupted, Utterance

SECOND_BYTES = 22_050 * 2


@pytest.fixture
def taking_turns() -> Iterator[EspeakEngine]:
    """One utterance at a time, which lets others go on after each frame."""
    engine = EspeakEngine()
    engine._turns = FairTurns(1, turn_s=0.0)  # pyright: ignore[reportPrivateUsage]
    yield engine
    engine.close()


def of(owner: int, text: str) -> Utterance:
    return replace(utterance(text), owner=UUID(int=owner))


def test_utterances_that_take_turns_sound_the_same_as_alone(taking_turns: EspeakEngine) -> None:
    texts = [f"{number}. {LONG[:600]}" for number in range(4)]
    alone = [say(taking_turns, utterance(text)) for text in texts]
    with ThreadPoolExecutor(4) as threads:
        speeches = taking_turns.begin([of(number // 2, text) for number, text in enumerate(texts)])
        assert list(threads.map(b"".join, speeches)) == alone


def test_a_short_text_does_not_wait_for_another_accounts_long_one(taking_turns: EspeakEngine) -> None:
    long, short = taking_turns.begin([of(1, LONG), of(2, SENTENCE)])
    is_over = threading.Event()

    def read_long() -> None:
        with suppress(Interrupted):
            for _ in long:
                if is_over.is_set():
                    long.close()

    with ThreadPoolExecutor(1) as threads:
        reading = threads.submit(read_long)
        assert len(b"".join(short)) / SECOND_BYTES > 2
        assert not reading.done()
        is_over.set()


def test_an_utterance_that_waits_for_its_turn_can_be_closed(taking_turns: EspeakEngine) -> None:
    first, second = taking_turns.begin([of(1, LONG), of(2, SENTENCE)])
    audio = iter(first)
    next(audio)
    with ThreadPoolExecutor(1) as threads:
        reading = threads.submit(b"".join, second)
        while not taking_turns._turns.waiting():  # pyright: ignore[reportPrivateUsage]
            time.sleep(0.001)
        second.close()
        with pytest.raises(Interrupted):
            reading.result(10)
    first.close()
    with pytest.raises(Interrupted):
        list(audio)
