"""A stack to be called without limits of frequency, by an administrator who may use all."""

import json
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from tests.app.api_process import GENEROUS
from tests.e2e.conftest import Stack

_ENVIRON = GENEROUS | {"CODEVOICE_FIRST_AUDIO_WAIT_S": "10", "CODEVOICE_TRANSCRIPTION_WAIT_S": "10"}


@contextmanager
def fuzzed(folder: Path) -> Generator[tuple[Stack, str]]:
    """The stack, and the key."""
    stack = Stack(folder / "home", **_ENVIRON)
    try:
        made = stack.run("users", "create", "fuzz@example.org", "--admin", "--yes", "--json")
        assert made.returncode == 0, made.stderr
        done = stack.run("accounts", "unlimited", "fuzz@example.org", "--yes", "--reason", "fuzz")
        assert done.returncode == 0, done.stderr
        yield stack, json.loads(made.stdout)["api_key"]
    finally:
        stack.stop()
