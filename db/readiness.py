"""How a process tells whoever started it that it serves now."""

import os
from contextlib import suppress


def tell_ready(fd: int | None) -> None:
    """Write a line to the descriptor handed over for that, if one was, and close it: s6's notification."""
    if fd is None:
        return
    with suppress(OSError):  # nobody listens any more
        os.write(fd, b"\n")
    with suppress(OSError):
        os.close(fd)
