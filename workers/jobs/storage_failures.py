"""Jobs whose result this worker could not put into the store, and how large it was."""

from uuid import UUID

from db.storage.objects import Objects
from workers.jobs.held import HeldJob

_REMEMBERED_MAX = 1000


class StorageFailures:
    """Such a job is not made again before the store takes an object of its size. For any thread."""

    def __init__(self) -> None:
        self._sizes: dict[UUID, int] = {}

    def knows(self, row: HeldJob) -> bool:
        """Whether the row's job failed to be stored before."""
        return row.job.id in self._sizes

    def add(self, row: HeldJob) -> None:
        """Remember the row's job."""
        while len(self._sizes) >= _REMEMBERED_MAX:
            self._sizes.pop(next(iter(self._sizes)), None)
        self._sizes[row.job.id] = row.made_bytes

    def check(self, row: HeldJob, store: Objects) -> None:
        """Return where the job may be made. Raises StoreError."""
        if size_bytes := self._sizes.get(row.job.id):
            store.probe(size_bytes)
