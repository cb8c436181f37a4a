"""A folder's disk: its free space, and the floor below which nothing is written."""

import os
from pathlib import Path

from msgspec import Struct


class Disk(Struct, frozen=True, kw_only=True):
    """A disk's state. With less than `floor_bytes` free, no job is accepted and no audio is written."""

    free_bytes: int
    size_bytes: int
    floor_bytes: int

    @property
    def is_full(self) -> bool:
        return self.free_bytes < self.floor_bytes

    @property
    def room_bytes(self) -> int:
        """The bytes that may still be written."""
        return self.free_bytes - self.floor_bytes


class Floor(Struct, frozen=True, kw_only=True):
    """The free space to reserve on a disk: the larger of the two."""

    bytes_min: int = 0
    percent_min: float = 0.0

    def measure(self, folder: Path) -> Disk:
        """The state of the folder's disk. Blocking. Raises OSError."""
        found = os.statvfs(folder)
        size_bytes = found.f_blocks * found.f_frsize
        return Disk(
            free_bytes=found.f_bavail * found.f_frsize,
            size_bytes=size_bytes,
            floor_bytes=max(self.bytes_min, int(size_bytes * self.percent_min / 100)),
        )
