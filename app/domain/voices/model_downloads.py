"""Models that `codevoice up` fetches in the background: written by the program that does, read by pages."""

import asyncio
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

import msgspec
from msgspec import Struct


class ModelState(Struct, frozen=True, kw_only=True):
    """A model that is not there yet."""

    name: str
    purpose: str
    bytes: int  # in all
    state: Literal["waiting", "fetching", "failed"]  # failed: perhaps tried again; `error` says
    error: str = ""


class ModelStates:
    """Reads them from `file`; without one there are none."""

    def __init__(self, file: str) -> None:
        self._file = Path(file) if file else None

    async def current(self) -> tuple[ModelState, ...]:
        """Those not there yet, in the order in which they are fetched."""
        return await asyncio.to_thread(read, self._file) if self._file else ()


def read(file: Path) -> tuple[ModelState, ...]:
    """What was written last; nothing where that cannot be read."""
    try:
        return msgspec.json.decode(file.read_bytes(), type=tuple[ModelState, ...])
    except (OSError, msgspec.DecodeError):
        return ()


def write(file: Path, states: Iterable[ModelState]) -> None:
    """Put these in place of what was written before. Raises OSError."""
    new = file.with_name(f"{file.name}.new")
    new.write_bytes(msgspec.json.encode(tuple(states)))
    new.replace(file)
