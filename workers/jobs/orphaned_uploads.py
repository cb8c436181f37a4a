"""Deletes uploads that are no longer needed: of jobs cancelled or swept, or of an API server that crashed."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

from db.postgres import jobs_worker
from db.storage.objects import Objects
from db.storage.uploads import PREFIX, job_of
from workers.jobs.connection import WorkerLink

_UNKNOWN_S = 3600.0  # an upload precedes its job: it may be in transit for so long
_AT_ONCE = 500


def sweep_uploads(store: Objects, link: WorkerLink, *, keep_s: int) -> int:
    """Delete uploads whose job ended `keep_s` ago, and those of no job; how many. Raises StoreError."""
    found = {job: (key, at) for key, at in store.found(PREFIX) if (job := job_of(key)) is not None}
    deleted = 0
    for batch in _batches(list(found)):
        known = link.run(jobs_worker.upload_jobs, batch, keep_s=keep_s)
        spent = [found[job][0] for job in batch if _is_spent(known.get(job), found[job][1])]
        store.delete(spent)
        deleted += len(spent)
    return deleted


def _is_spent(needed: bool | None, put_at: datetime) -> bool:
    if needed is None:
        return put_at < datetime.now(UTC) - timedelta(seconds=_UNKNOWN_S)
    return not needed


def _batches(jobs: list[UUID]) -> list[list[UUID]]:
    return [jobs[at : at + _AT_ONCE] for at in range(0, len(jobs), _AT_ONCE)]
