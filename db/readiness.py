"""Readiness notification: signals to the supervisor that a process serves."""

import os
from contextlib import suppress


def notify_ready(fd: int | None) -> None:
    """Write a line to the descriptor `fd`, if given, and close it: s6's readiness protocol."""
    if fd is None:
        return
    with suppress(OSError):  # the reader is gone
        os.write(fd, b"\n")
    with suppress(OSError):
        os.close(fd)
