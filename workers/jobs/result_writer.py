"""Writes the results of attempts: one thread at a time writes all pending results in one commit."""

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence

import psycopg
import structlog

from db import supervised
from db.types import Finished

log = structlog.get_logger()
_BATCH_MAX = 64
_STUCK_S = 0.1


class ResultWriter:
    """Takes results from any thread. `end` writes them, in one commit; `ended` is called with those that are
    done.

    A lost connection is retried until `give_up`; a result that cannot be written does not delay the others.
    """

    def __init__(
        self, end: Callable[[Sequence[Finished]], None], ended: Callable[[Sequence[Finished]], None]
    ) -> None:
        self._end = end
        self._ended = ended
        self._results: deque[Finished] = deque()
        self._writing = threading.Lock()
        self._began: float | None = None  # when the current write began
        self._giving_up = threading.Event()
        self._wake = threading.Event()
        self._is_last = False
        self._ending = threading.Event()
        self._thread = supervised.thread("finisher", self._write_pending, self._ending)
        self._thread.start()

    def add(self, result: Finished) -> None:
        """Queue a result; returns at once."""
        self._results.append(result)
        self._wake.set()

    def write(self, result: Finished) -> None:
        """Write a result and all other pending ones, or leave it to the thread that is writing: waking
        another thread for each job would cost a quarter of a millisecond.
        """
        self._results.append(result)
        self._write_all()

    def has_more(self) -> bool:
        """Whether results wait to be written."""
        return bool(self._results)

    def is_stuck(self) -> bool:
        """Whether the current write takes long, for example because another transaction locks a wallet."""
        began = self._began
        return began is not None and time.monotonic() - began > _STUCK_S

    def give_up(self) -> None:
        """Leave results that Postgres does not accept now to the sweep."""
        self._giving_up.set()

    def stop(self, timeout_s: float) -> None:
        """Write the rest, then end; after `timeout_s` leave the rest to the sweep."""
        self._is_last = True
        self._wake.set()
        self._thread.join(timeout_s)
        self.give_up()

    def _write_pending(self) -> None:
        self._wake.wait()
        self._wake.clear()
        is_last = self._is_last  # read first: results added before it are still written
        self._write_all()
        if is_last:
            self._ending.set()

    def _write_all(self) -> None:
        """A thread that does not get the lock need not retry: the holder checks again after releasing it."""
        while self._results and self._writing.acquire(blocking=False):
            try:
                self._began = time.monotonic()
                batch = [self._results.popleft() for _ in range(min(_BATCH_MAX, len(self._results)))]
                if batch:  # else the last holder took them
                    self._write(batch)
            finally:
                self._began = None
                self._writing.release()

    def _write(self, batch: Sequence[Finished]) -> None:
        try:
            self._until_written(batch)
        except Exception:  # affects one result only: its lease expires, and it is swept
            if len(batch) == 1:
                log.exception("finish_refused")
                return
            for result in batch:
                self._write([result])
        finally:
            self._ended(batch)

    def _until_written(self, batch: Sequence[Finished]) -> None:
        pause_s = 0.05
        while not self._giving_up.is_set():
            try:
                return self._end(batch)
            except psycopg.OperationalError as error:
                log.warning("finish_waits_for_postgres", error=type(error).__name__)
                self._giving_up.wait(pause_s)
                pause_s = min(1.0, pause_s * 2)
        return None
