"""Jobs whose result this worker could not store, and the size of the result."""

from uuid import UUID

from db.storage.objects import Objects
from workers.jobs.held import HeldJob

_REMEMBERED_MAX = 1000


class StorageFailures:
    """Such a job does not run again before the store accepts an object of its size. Thread-safe."""

    def __init__(self) -> None:
        self._sizes: dict[UUID, int] = {}

    def knows(self, row: HeldJob) -> bool:
        """Whether storing the row's job failed before."""
        return row.job.id in self._sizes

    def add(self, row: HeldJob) -> None:
        """Remember the row's job."""
        while len(self._sizes) >= _REMEMBERED_MAX:
            self._sizes.pop(next(iter(self._sizes)), None)
        self._sizes[row.job.id] = row.made_bytes

    def check(self, row: HeldJob, store: Objects) -> None:
        """Return if the job may run. Raises StoreError."""
        if size_bytes := self._sizes.get(row.job.id):
            store.probe(size_bytes)
