"""Ending attempts: results gather in a queue, and one thread writes all that are there in one commit."""

import threading
import time
from collections.abc import Callable, Sequence
from queue import SimpleQueue

import psycopg
import structlog

from db.rows import Finished

log = structlog.get_logger()
_BATCH_MAX = 64
_STUCK_S = 0.1


class Finisher:
    """Takes results from any thread. `end` writes them, in one commit; `ended` hears of those over with.

    A lost connection is tried again until `stop`; a result that cannot be written holds up no other.
    """

    def __init__(
        self, end: Callable[[Sequence[Finished]], None], ended: Callable[[Sequence[Finished]], None]
    ) -> None:
        self._end = end
        self._ended = ended
        self._queue: SimpleQueue[Finished | None] = SimpleQueue()
        self._giving_up = threading.Event()
        self._began: float | None = None  # what is being written
        self._thread = threading.Thread(target=self._run, name="finisher", daemon=True)
        self._thread.start()

    def add(self, result: Finished) -> None:
        """Queue a result; returns at once."""
        self._queue.put(result)

    def has_more(self) -> bool:
        """Whether results wait to be written."""
        return not self._queue.empty()

    def is_stuck(self) -> bool:
        """Whether what is being written takes long, as where somebody keeps a wallet locked."""
        began = self._began
        return began is not None and time.monotonic() - began > _STUCK_S

    def stop(self, timeout_s: float) -> None:
        """Write what is queued, then end; after `timeout_s` leave the rest to the sweep."""
        self._queue.put(None)
        self._thread.join(timeout_s)
        self._giving_up.set()

    def _run(self) -> None:
        is_last = False
        while not (is_last and self._queue.empty()):
            batch = [self._queue.get()]
            while len(batch) < _BATCH_MAX and not self._queue.empty():
                batch.append(self._queue.get())
            is_last = is_last or None in batch
            self._began = time.monotonic()
            self._write([result for result in batch if result is not None])
            self._began = None

    def _write(self, batch: Sequence[Finished]) -> None:
        if not batch:
            return
        try:
            self._until_written(batch)
        except Exception:  # of one result alone: its lease runs out, and it is swept
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
