"""Freezes a program of a stack with all it has started, and wakes it."""

import os
from collections.abc import Generator
from contextlib import contextmanager, suppress
from signal import SIGCONT, SIGSTOP

from .processes import descendants


@contextmanager
def frozen(pid: int) -> Generator[None]:
    """The process and all below it stand still meanwhile; they go on again, whatever happens."""
    stopped: list[int] = []
    try:
        for each in [pid, *sorted(descendants(pid))]:
            with suppress(ProcessLookupError):
                os.kill(each, SIGSTOP)
                stopped.append(each)
        yield
    finally:
        for each in stopped:
            with suppress(ProcessLookupError):
                os.kill(each, SIGCONT)
