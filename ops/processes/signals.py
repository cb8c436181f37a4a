"""SIGINT, SIGTERM, SIGHUP and SIGUSR1 as something to wait for, so that every stop is clean."""

import select
import signal
import socket
import time
from collections.abc import Generator
from contextlib import contextmanager
from types import FrameType

_STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Stop(BaseException):
    """A signal requested a stop. Not an Exception, so that no error handler swallows it."""


class Signals:
    """Counts requests to stop, records a request to renew (USR1); wakes `wait` for them and for a child's
    end.

    A context manager for the main thread. Outside of `with` it counts nothing and `wait` only sleeps.
    """

    def __init__(self) -> None:
        self.stop_requests = 0
        self.renewal_requested = False
        self._raising = False
        self._wake: socket.socket | None = None

    def __enter__(self) -> "Signals":
        self._wake, self._waker = socket.socketpair()
        self._wake.setblocking(False)
        self._waker.setblocking(False)
        self._old_fd = signal.set_wakeup_fd(self._waker.fileno(), warn_on_full_buffer=False)
        self._old = {number: signal.signal(number, self._ask) for number in _STOPPING}
        self._old[signal.SIGUSR1] = signal.signal(signal.SIGUSR1, self._ask_renewal)
        # Python writes to the wake-up socket only for signals that have a handler.
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
        """Raise Stop if a stop was requested."""
        if self.stop_requests:
            raise Stop

    @contextmanager
    def raising(self) -> Generator[None]:
        """Inside the block a stop raises Stop at once: for calls that block elsewhere than in `wait`."""
        self._raising = True
        try:
            self.check()
            yield
        finally:
            self._raising = False

    def _ask(self, _number: int, _frame: FrameType | None) -> None:
        self.stop_requests += 1
        if self._raising:
            self._raising = False  # the next one must not interrupt the clean-up
            raise Stop

    def _ask_renewal(self, _number: int, _frame: FrameType | None) -> None:
        self.renewal_requested = True


def _do_nothing(_number: int, _frame: FrameType | None) -> None:
    pass
