"""Turns with a model that several recordings share, one piece of work at a time."""

import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager

from msgspec import Struct

from workers.engines.protocol import Interrupted

PATIENCE_S = 20.0
_POLL_S = 0.1


class _Waiting(Struct, eq=False):
    left_s: float
    since: float


class Turns:
    """Gives the turn to the recording with the least left to do: a short one never waits for a long one.

    A recording that has waited for `patience_s` goes first, whatever it has left: long ones do not starve.
    """

    def __init__(
        self, *, patience_s: float = PATIENCE_S, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._patience_s = patience_s
        self._clock = clock
        self._changed = threading.Condition()
        self._waiting: list[_Waiting] = []
        self._is_taken = False

    @contextmanager
    def turn(self, left_s: float, stopped: threading.Event) -> Generator[None]:
        """Reserve the model for the block; `left_s` is the caller's remaining work, in seconds of audio.

        Raises Interrupted if `stopped` is set before the turn comes.
        """
        self._await(_Waiting(left_s=left_s, since=self._clock()), stopped)
        try:
            yield
        finally:
            with self._changed:
                self._is_taken = False
                self._changed.notify_all()

    def _await(self, us: _Waiting, stopped: threading.Event) -> None:
        with self._changed:
            self._waiting.append(us)
            try:
                while not stopped.is_set() and (self._is_taken or self._next() is not us):
                    self._changed.wait(_POLL_S)
                if stopped.is_set():
                    raise Interrupted("closed")
                self._is_taken = True
            finally:
                self._waiting.remove(us)

    def _next(self) -> _Waiting:
        oldest = min(self._waiting, key=lambda waiting: waiting.since)
        if self._clock() - oldest.since >= self._patience_s:
            return oldest
        return min(self._waiting, key=lambda waiting: waiting.left_s)
