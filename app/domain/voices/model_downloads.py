"""The state of models `codevoice up` downloads in the background: it writes the file, pages read it."""

import asyncio
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

import msgspec
from msgspec import Struct


class ModelState(Struct, frozen=True, kw_only=True):
    """A model that is not downloaded yet."""

    name: str
    purpose: str
    bytes: int  # in all
    state: Literal["waiting", "fetching", "failed"]  # failed: may be retried; `error` says why
    error: str = ""


class ModelStates:
    """Reads the states from `file`; empty `file`: there are none."""

    def __init__(self, file: str) -> None:
        self._file = Path(file) if file else None

    async def current(self) -> tuple[ModelState, ...]:
        """The models not downloaded yet, in the order in which they are fetched."""
        return await asyncio.to_thread(read, self._file) if self._file else ()


def read(file: Path) -> tuple[ModelState, ...]:
    """The states written last; empty if the file cannot be read."""
    try:
        return msgspec.json.decode(file.read_bytes(), type=tuple[ModelState, ...])
    except (OSError, msgspec.DecodeError):
        return ()


def write(file: Path, states: Iterable[ModelState]) -> None:
    """Replace the states in the file, atomically. Raises OSError."""
    new = file.with_name(f"{file.name}.new")
    new.write_bytes(msgspec.json.encode(tuple(states)))
    new.replace(file)
