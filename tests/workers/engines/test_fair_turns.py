"""Whose turn it is with an engine that speaks several utterances side by side."""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from uuid import UUID

import pytest

from workers.engines.fair_turns import FairTurns, Turn
from workers.engines.protocol import Interrupted

A, B, C = (UUID(int=number) for number in (1, 2, 3))
_PATIENCE_S = 30


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def turns(clock: Clock) -> FairTurns:
    return FairTurns(1, turn_s=1.0, clock=clock)


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(4) as threads:
        yield threads


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + _PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline
        threading.Event().wait(0.001)


def waiting(turns: FairTurns, pool: ThreadPoolExecutor, owner: UUID) -> tuple[Turn, Future[None]]:
    """An utterance that waits for its turn."""
    before, turn = turns.waiting(), turns.join(owner)
    taken = pool.submit(turn.take)
    until(lambda: turns.waiting() == before + 1)
    return turn, taken


def test_a_single_utterance_keeps_its_turn(turns: FairTurns, clock: Clock) -> None:
    turn = turns.join(A)
    turn.take()
    clock.now = 100.0
    turn.pass_on()
    turn.pass_on()
    turn.leave()
    assert turn.engine_s == 100.0


def test_a_turn_goes_to_another_account_that_has_had_less(
    turns: FairTurns, clock: Clock, pool: ThreadPoolExecutor
) -> None:
    long = turns.join(A)
    long.take()
    short, taken = waiting(turns, pool, B)
    clock.now = 0.9
    long.pass_on()
    assert not taken.done()
    clock.now = 1.0
    passed = pool.submit(long.pass_on)
    taken.result(_PATIENCE_S)
    assert not passed.done()
    clock.now = 1.5
    short.leave()
    passed.result(_PATIENCE_S)
    assert (long.engine_s, short.engine_s) == (1.0, 0.5)
    long.leave()


def test_the_next_turn_is_of_the_account_that_has_had_least(
    turns: FairTurns, clock: Clock, pool: ThreadPoolExecutor
) -> None:
    """Of two accounts, one with many utterances: each has half of the turns."""
    first = turns.join(A)
    first.take()
    others = [waiting(turns, pool, owner) for owner in (A, A, B)]
    clock.now = 1.0
    first.leave()  # A has had 1 s
    others[2][1].result(_PATIENCE_S)  # so B comes before A's, which waited longer
    assert [taken.done() for _, taken in others] == [False, False, True]
    clock.now = 3.0
    others[2][0].leave()
    others[0][1].result(_PATIENCE_S)
    others[0][0].leave()
    others[1][1].result(_PATIENCE_S)
    others[1][0].leave()


def test_an_account_that_has_had_more_waits_on_while_another_catches_up(
    turns: FairTurns, clock: Clock, pool: ThreadPoolExecutor
) -> None:
    ahead = turns.join(A)
    ahead.take()
    late, taken = waiting(turns, pool, B)
    clock.now = 5.0
    passed = pool.submit(ahead.pass_on)
    taken.result(_PATIENCE_S)
    clock.now = 7.0
    late.pass_on()
    assert not passed.done()
    clock.now = 10.0
    again = pool.submit(late.pass_on)
    passed.result(_PATIENCE_S)
    ahead.leave()
    again.result(_PATIENCE_S)
    late.leave()


def test_a_cancelled_utterance_waits_no_longer(turns: FairTurns, pool: ThreadPoolExecutor) -> None:
    holder = turns.join(A)
    holder.take()
    turn, taken = waiting(turns, pool, B)
    turn.cancel()
    with pytest.raises(Interrupted):
        taken.result(_PATIENCE_S)
    turn.leave()
    holder.leave()
    after = turns.join(C)
    after.take()
    after.leave()


def test_the_turn_of_a_cancelled_utterance_goes_to_another(
    turns: FairTurns, pool: ThreadPoolExecutor
) -> None:
    holder = turns.join(A)
    holder.take()
    _, taken = waiting(turns, pool, B)
    holder.cancel()
    holder.leave()
    taken.result(_PATIENCE_S)


def test_as_many_utterances_have_a_turn_as_the_limit_allows(clock: Clock, pool: ThreadPoolExecutor) -> None:
    turns = FairTurns(2, turn_s=1.0, clock=clock)
    for owner in (A, B):
        turns.join(owner).take()
    turn, taken = waiting(turns, pool, C)
    assert not taken.done()
    turn.cancel()
