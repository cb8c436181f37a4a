"""Turns between utterances that an engine speaks side by side, so that accounts share its time."""

import threading
import time
from collections.abc import Callable
from uuid import UUID

from workers.engines.protocol import Interrupted
from workers.engines.shares import Shares

TURN_S = 0.05  # after which another account may run: short, as a short text's first sound waits for it


class Turn:
    """An utterance's place among the others. Used by the thread that reads it, except for `cancel`.

    `FairTurns` owns its fields.
    """

    def __init__(self, turns: "FairTurns", owner: UUID) -> None:
        self.owner = owner
        self.number = 0  # in the order in which the waits began
        self.has_it = False
        self.is_cancelled = False
        self.began_at = 0.0
        self.charged_until = 0.0
        self.engine_s = 0.0  # charged so far
        self.granted = threading.Condition(turns.lock)
        self._turns = turns

    def take(self) -> None:
        """Wait for a turn. Raises Interrupted once cancelled."""
        self._turns.take(self)

    def pass_on(self) -> None:
        """After some work, yield to an account that has had less. Raises Interrupted once cancelled."""
        self._turns.pass_on(self)

    def leave(self) -> None:
        """Report that the utterance is over."""
        self._turns.leave(self)

    def cancel(self) -> None:
        """Stop waiting; from any thread."""
        self._turns.cancel(self)


class FairTurns:
    """Gives a limited number of utterances a turn at a time; the next one belongs to the account with the
    least.

    An utterance keeps its turn while none is waiting whose account has had no more than its own.
    """

    def __init__(
        self, at_once: int, *, turn_s: float = TURN_S, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.lock = threading.Lock()
        self._at_once = at_once
        self._turn_s = turn_s
        self._clock = clock
        self._shares = Shares()
        self._waiting: list[Turn] = []
        self._at_work: set[Turn] = set()
        self._number = 0

    def join(self, owner: UUID) -> Turn:
        """A place for an utterance; its owner must `leave` it."""
        with self.lock:
            self._shares.join(owner)
            return Turn(self, owner)

    def take(self, turn: Turn) -> None:
        """See `Turn.take`."""
        with self.lock:
            self._wait(turn)

    def pass_on(self, turn: Turn) -> None:
        """See `Turn.pass_on`."""
        with self.lock:
            self._charge(turn)
            is_over = self._waiting and self._clock() - turn.began_at >= self._turn_s
            if is_over and self._least_s() <= self._shares.had_s(turn.owner):
                self._let_go(turn)
                self._wait(turn)

    def leave(self, turn: Turn) -> None:
        """See `Turn.leave`."""
        with self.lock:
            if turn.has_it:
                self._charge(turn)
                self._let_go(turn)
            self._shares.leave(turn.owner)
            self._grant()

    def cancel(self, turn: Turn) -> None:
        """See `Turn.cancel`."""
        with self.lock:
            turn.is_cancelled = True
            turn.granted.notify()

    def waiting(self) -> int:
        """How many wait for a turn."""
        with self.lock:
            return len(self._waiting)

    def _wait(self, turn: Turn) -> None:
        self._number += 1
        turn.number = self._number
        self._waiting.append(turn)
        self._grant()
        while not turn.has_it and not turn.is_cancelled:
            turn.granted.wait()
        if not turn.has_it:
            self._waiting.remove(turn)
        if turn.is_cancelled:
            raise Interrupted("closed")

    def _grant(self) -> None:
        while self._waiting and len(self._at_work) < self._at_once:
            self._least_s()
            turn = min(self._waiting, key=lambda each: (self._shares.had_s(each.owner), each.number))
            self._waiting.remove(turn)
            self._at_work.add(turn)
            turn.has_it = True
            turn.began_at = turn.charged_until = self._clock()
            turn.granted.notify()

    def _charge(self, turn: Turn) -> None:
        now = self._clock()
        self._shares.charge(turn.owner, now - turn.charged_until)
        turn.engine_s += now - turn.charged_until
        turn.charged_until = now

    def _let_go(self, turn: Turn) -> None:
        turn.has_it = False
        self._at_work.remove(turn)

    def _least_s(self) -> float:
        return self._shares.least_s(
            {turn.owner for turn in self._waiting}, {turn.owner for turn in self._at_work}
        )
