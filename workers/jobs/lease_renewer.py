"""Renews leases and does nothing else, so that nothing slow can delay a renewal."""

import threading

import psycopg
import structlog

from db import supervised
from db.postgres import jobs_worker
from workers.jobs.connection import WorkerLink
from workers.jobs.held import HeldJobs

log = structlog.get_logger()
_BEATS_A_LEASE = 4


class LeaseRenewer:
    """A thread with a connection of its own. Attempts whose lease it cannot renew are stopped."""

    def __init__(self, rows: HeldJobs, link: WorkerLink, *, worker: str, lease_s: float) -> None:
        self._rows = rows
        self._link = link
        self._worker = worker
        self._lease_s = lease_s
        self._stopping = threading.Event()
        self._thread = supervised.thread(
            "keeper", self._beat, self._stopping, every_s=lease_s / _BEATS_A_LEASE
        )

    def start(self) -> None:
        """Start renewing."""
        self._thread.start()

    def stop(self) -> None:
        """Stop renewing."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(self._lease_s)
        self._link.close()

    def _beat(self) -> None:
        try:
            self._renew()
        except psycopg.Error as error:
            log.warning("renew_failed", error=type(error).__name__)

    def _renew(self) -> None:
        held = self._rows.held()
        if held:
            ours = self._link.run(jobs_worker.renew, held, worker=self._worker, lease_s=self._lease_s)
            self._rows.lose(attempt for attempt in held if attempt not in ours)
