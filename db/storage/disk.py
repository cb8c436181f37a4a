"""The free disk space of an object store in a local folder."""

from pathlib import Path
from urllib.parse import unquote, urlsplit

from db.settings import DbSettings
from db.storage.disk_floor import Disk, Floor
from db.storage.objects import StoreError


class StoreDisk:
    """Reads the disk's state. S3 has none: its operator is responsible for its capacity."""

    def __init__(self, db: DbSettings) -> None:
        place = urlsplit(db.objects)
        self._folder = Path(unquote(place.path)) if place.scheme == "file" else None
        self._floor = floor_of(db)

    def measure(self) -> Disk | None:
        """The disk's state; None if the store is not a folder. Blocking. Raises StoreError."""
        if self._folder is None:
            return None
        try:
            return self._floor.measure(self._folder)
        except OSError as error:
            raise StoreError(f"the folder {self._folder} cannot be looked at: {error.strerror}") from error


def floor_of(db: DbSettings) -> Floor:
    """The free space the operator has reserved."""
    return Floor(bytes_min=db.store_free_bytes_min, percent_min=db.store_free_percent_min)
