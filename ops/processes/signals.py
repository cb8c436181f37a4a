"""INT, TERM, HUP and USR1 as something to wait for, so that a stop is clean whatever it interrupts."""

import select
import signal
import socket
import time
from collections.abc import Generator
from contextlib import contextmanager
from types import FrameType

_STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Stop(BaseException):
    """A signal asked to stop. No Exception, so that nothing that mends errors swallows it."""


class Signals:
    """Counts the requests to stop, notes one to renew (USR1); wakes `wait` for them and for a child's end.

    A context manager for the main thread. Outside of `with` it counts nothing and `wait` only sleeps.
    """

    def __init__(self) -> None:
        self.asked = 0
        self.renewal_asked = False
        self._raising = False
        self._wake: socket.socket | None = None

    def __enter__(self) -> "Signals":
        self._wake, self._waker = socket.socketpair()
        self._wake.setblocking(False)
        self._waker.setblocking(False)
        self._old_fd = signal.set_wakeup_fd(self._waker.fileno(), warn_on_full_buffer=False)
        self._old = {number: signal.signal(number, self._ask) for number in _STOPPING}
        self._old[signal.SIGUSR1] = signal.signal(signal.SIGUSR1, self._ask_renewal)
        # Python writes to the waking socket only for signals that have a handler.
        self._old[signal.SIGCHLD] = signal.signal(signal.SIGCHLD, _do_nothing)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._old.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(self._old_fd)
        for end in (self._wake, self._waker):
            if end:
                end.close()
        self._wake = None

    def wait(self, seconds: float) -> None:
        """Sleep that long, or until a signal arrives."""
        if not self._wake:
            time.sleep(seconds)
        elif select.select([self._wake], [], [], seconds)[0]:
            self._wake.recv(4096)

    def check(self) -> None:
        """Raise Stop where a stop was asked for."""
        if self.asked:
            raise Stop

    @contextmanager
    def raising(self) -> Generator[None]:
        """A stop raises Stop at once in here: for calls that block elsewhere than in `wait`."""
        self._raising = True
        try:
            self.check()
            yield
        finally:
            self._raising = False

    def _ask(self, _number: int, _frame: FrameType | None) -> None:
        self.asked += 1
        if self._raising:
            self._raising = False  # the next one must not interrupt the cleaning up
            raise Stop

    def _ask_renewal(self, _number: int, _frame: FrameType | None) -> None:
        self.renewal_asked = True


def _do_nothing(_number: int, _frame: FrameType | None) -> None:
    pass
