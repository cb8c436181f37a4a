"""How long the storm's callers waited: responses later than promised are recorded."""

import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from ops.storm.history import History
from ops.storm.stack.stack import FIRST_AUDIO_WAIT_S

T = TypeVar("T")
PLAIN_S = 8.0  # a call that needs no engine
SPEECH_S = FIRST_AUDIO_WAIT_S + 8.0


class Lateness:
    """Times calls. `hindered_s`: seconds so far in which an API process was frozen, or none was ready. Such
    seconds are subtracted from a call's time, since nothing could have answered it then.
    """

    def __init__(self, history: History, hindered_s: Callable[[], float]) -> None:
        self.slowest_s = {PLAIN_S: 0.0, SPEECH_S: 0.0}
        self._history = history
        self._hindered_s = hindered_s

    async def timed(self, op: str, act: Awaitable[T], *, within_s: float) -> T:
        """What `act` returns."""
        began, hindered = time.monotonic(), self._hindered_s()
        try:
            return await act
        finally:
            took_s = time.monotonic() - began - (self._hindered_s() - hindered)
            self.slowest_s[within_s] = max(self.slowest_s[within_s], took_s)
            if took_s > within_s:
                self._history.add("late", op, ms=round(1000 * took_s))
