"""How a program tells its supervisor that it serves: a line through a pipe (s6's notification)."""

import os
from collections.abc import Generator
from contextlib import contextmanager


class Readiness:
    """Our end of one process's pipe."""

    def __init__(self) -> None:
        self._fd = -1
        self._told = b""

    @contextmanager
    def telling(self) -> Generator[int]:
        """The other end, open for the block: to be inherited by the process."""
        self._fd, theirs = os.pipe()
        os.set_blocking(self._fd, False)
        try:
            yield theirs
        finally:
            os.close(theirs)

    def is_told(self) -> bool:
        """Whether the line has come."""
        if self._fd >= 0 and not self._told:
            try:
                self._told = os.read(self._fd, 1)
            except BlockingIOError:
                return False
            self.close()
        return bool(self._told)

    def close(self) -> None:
        """Listen no more."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
