"""Whose turn it is with a recogniser that several recordings share."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from workers.engines.protocol import Interrupted
from workers.engines.turns import Turns

NEVER = threading.Event()


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(8) as threads:
        yield threads


def order(
    turns: Turns, pool: ThreadPoolExecutor, waits: list[tuple[float, float]], clock: Clock
) -> list[float]:
    """Who came in which order, by what they had left; each with the second at which it came."""
    came = list[float]()

    def work(left_s: float) -> None:
        with turns.turn(left_s, NEVER):
            came.append(left_s)

    with turns.turn(0, NEVER):
        for number, (at, left_s) in enumerate(waits, start=1):
            clock.now = at
            pool.submit(work, left_s)
            until_waiting(turns, number)
        clock.now = 100
    pool.shutdown()
    return came


def until_waiting(turns: Turns, number: int) -> None:
    while len(turns._waiting) < number:  # pyright: ignore[reportPrivateUsage]
        NEVER.wait(0.001)


def test_the_recording_with_the_least_left_goes_first(pool: ThreadPoolExecutor) -> None:
    clock = Clock()
    turns = Turns(patience_s=1000, clock=clock)
    assert order(turns, pool, [(0, 600), (1, 3), (2, 40)], clock) == [3, 40, 600]


def test_a_recording_that_has_waited_too_long_goes_before_all(pool: ThreadPoolExecutor) -> None:
    clock = Clock()
    turns = Turns(patience_s=20, clock=clock)
    assert order(turns, pool, [(70, 600), (90, 3), (95, 2)], clock) == [600, 2, 3]


def test_a_stopped_recording_waits_no_longer() -> None:
    turns, stopped = Turns(), threading.Event()
    stopped.set()
    with turns.turn(1, NEVER), pytest.raises(Interrupted), turns.turn(1, stopped):
        pass
    with turns.turn(1, NEVER):  # it was given back
        pass
