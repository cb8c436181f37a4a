"""`python -m ops.stack.bring_models NAME…`: fetches models in the background of `codevoice up`.

Prints progress lines on stderr, and writes what is still missing to the file CODEVOICE_MODELS_STATE, for the
pages. A model that cannot be fetched is retried a few times, ever later. Exit status 1: given up.
"""

import os
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Literal

from app.domain.voices.model_downloads import ModelState, write
from ops.processes.program import Program
from workers.models.catalogue import ModelError, find
from workers.models.fetch import add, megabytes
from workers.models.store import installed, models_folder

_PAUSES_S = (30.0, 120.0, 600.0)
_NICER = 10  # than the processes that serve requests


def program(names: Sequence[str], environ: Mapping[str, str], *, wave: int) -> Program:
    """This program, for the supervisor."""
    return Program(
        name="models",
        argv=(sys.executable, "-m", "ops.stack.bring_models", *names),
        env=environ,
        log=None,
        is_ready=lambda _: True,
        once=True,
        wave=wave,
    )


def main(names: Sequence[str]) -> int:
    """Fetch the models one by one, in order."""
    os.nice(_NICER)
    folder, missing = models_folder(os.environ), _Missing(names, os.environ.get("CODEVOICE_MODELS_STATE"))
    for pause_s in (*_PAUSES_S, 0.0):
        for name in missing.names():
            _bring(name, folder, pause_s, missing)
        if not missing.names():
            return 0
        time.sleep(pause_s)
    return 1


class _Missing:
    """The models that are not installed yet, also kept in a file."""

    def __init__(self, names: Sequence[str], file: str | None) -> None:
        self._file = Path(file) if file else None
        self._states = {name: _state(name, "waiting") for name in names}
        self._write()

    def names(self) -> list[str]:
        return list(self._states)

    def set(self, name: str, state: Literal["fetching", "failed"], error: str = "") -> None:
        self._states[name] = _state(name, state, error)
        self._write()

    def remove(self, name: str) -> None:
        del self._states[name]
        self._write()

    def _write(self) -> None:
        if self._file:
            with suppress(OSError):  # a full disk: the pages show the old state; the models matter more
                write(self._file, self._states.values())


def _state(name: str, state: Literal["waiting", "fetching", "failed"], error: str = "") -> ModelState:
    model = find(name)
    return ModelState(name=name, purpose=model.purpose, bytes=model.bytes, state=state, error=error)


def _bring(name: str, folder: Path, pause_s: float, missing: _Missing) -> None:
    if not installed(name, folder):
        _say(f"fetching {name} in the background, {megabytes(find(name).bytes)}")
        missing.set(name, "fetching")
    try:
        if add(name, folder, lambda _: None):
            _say(f"{name} is now in {folder}")
        missing.remove(name)
    except ModelError as error:
        later = f"trying again in {pause_s:.0f} s" if pause_s else "given up until the next start"
        _say(f"{error}; {later}")
        missing.set(name, "failed", f"{error}; {later}")


def _say(line: str) -> None:
    print(f"codevoice: {line}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
