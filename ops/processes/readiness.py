"""How a program notifies its supervisor of readiness: a line through a pipe (s6's protocol)."""

import os
from collections.abc import Generator
from contextlib import contextmanager


class Readiness:
    """The supervisor's end of one process's pipe."""

    def __init__(self) -> None:
        self._fd = -1
        self._line = b""

    @contextmanager
    def child_end(self) -> Generator[int]:
        """The process's end, open for the block, to be inherited."""
        self._fd, theirs = os.pipe()
        os.set_blocking(self._fd, False)
        try:
            yield theirs
        finally:
            os.close(theirs)

    def is_notified(self) -> bool:
        """Whether the line has arrived."""
        if self._fd >= 0 and not self._line:
            try:
                self._line = os.read(self._fd, 1)
            except BlockingIOError:
                return False
            self.close()
        return bool(self._line)

    def close(self) -> None:
        """Close the pipe."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
