"""The disk of a folder: how full it is, and how much of it is left alone."""

import os
from pathlib import Path

from msgspec import Struct


class Disk(Struct, frozen=True, kw_only=True):
    """As it is now. Below `floor_bytes` of free space no job is taken, and no audio is written."""

    free_bytes: int
    size_bytes: int
    floor_bytes: int

    @property
    def is_full(self) -> bool:
        return self.free_bytes < self.floor_bytes

    @property
    def room_bytes(self) -> int:
        """So much may still be written."""
        return self.free_bytes - self.floor_bytes


class Floor(Struct, frozen=True, kw_only=True):
    """What is left alone of a disk: the larger of the two."""

    bytes_min: int = 0
    percent_min: float = 0.0

    def look(self, folder: Path) -> Disk:
        """The folder's disk. Blocking. Raises OSError."""
        found = os.statvfs(folder)
        size_bytes = found.f_blocks * found.f_frsize
        return Disk(
            free_bytes=found.f_bavail * found.f_frsize,
            size_bytes=size_bytes,
            floor_bytes=max(self.bytes_min, int(size_bytes * self.percent_min / 100)),
        )
