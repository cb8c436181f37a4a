"""Progress lines of a start, on stderr: stdout is for data."""

import sys
import time
from collections.abc import Generator
from contextlib import contextmanager


@contextmanager
def step(name: str) -> Generator[None]:
    """Report on stderr that a step is done, and how long it took."""
    began = time.monotonic()
    yield
    say_took(name, began)


def say_took(name: str, began: float) -> None:
    """Report that the step that began then is done."""
    say(f"{name:<14}{time.monotonic() - began:5.2f} s")


def say(line: str) -> None:
    """Print a line of text on stderr: stdout is for data."""
    print(f"codevoice: {line}", file=sys.stderr, flush=True)
