"""Finds and deletes audio that no job names: its worker was killed before it finished the job."""

import re
import threading
from collections.abc import Iterator
from uuid import UUID

import psycopg
import structlog

from db import supervised
from db.postgres import jobs_worker
from db.storage.objects import PROBES, Objects, StoreError
from workers.jobs.connection import WorkerLink
from workers.settings import WorkerSettings

log = structlog.get_logger()
_AUDIO = "jobs"
# Objects an attempt makes (`protocol.result_key`), complete or partial; others are never deleted.
_KEY = re.compile(r"jobs/([0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12})-\d+\.\w+(?:#\w+)?")


class OrphanedAudio:
    """A thread that checks one page of the store every `orphan_look_s`, and starts again after the last."""

    def __init__(self, store: Objects, link: WorkerLink, settings: WorkerSettings) -> None:
        self._store = store
        self._link = link
        self._older_s = settings.orphan_s
        self._pages: Iterator[list[str]] = iter(())
        self._stopping = threading.Event()
        self._thread = supervised.thread(
            "orphans", self._beat, self._stopping, every_s=settings.orphan_look_s
        )

    def start(self) -> None:
        """Start checking."""
        self._thread.start()

    def stop(self) -> None:
        """Stop checking; a check under way ends by itself."""
        self._stopping.set()

    def check_next_page(self) -> int:
        """Check the next page; returns the number of objects deleted. Raises psycopg.Error, StoreError."""
        keys = next(self._pages, None)
        if keys is None:
            for probes in self._store.old(PROBES, self._older_s):  # left by workers killed meanwhile
                self._store.delete(probes)
            self._pages = self._store.old(_AUDIO, self._older_s)
            keys = next(self._pages, [])
        ours = [(key, UUID(found[1])) for key in keys if (found := _KEY.fullmatch(key))]
        gone = self._link.run(jobs_worker.orphans, ours) if ours else []
        self._store.delete(gone)
        return len(gone)

    def _beat(self) -> None:
        try:
            if deleted := self.check_next_page():
                log.info("orphans_deleted", objects=deleted)
        except (psycopg.Error, StoreError) as error:
            log.warning("orphans_not_seen", error=type(error).__name__)
