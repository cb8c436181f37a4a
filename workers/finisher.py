"""Ending attempts: results gather in a queue, and one thread writes all that are there in one commit."""

import threading
from collections.abc import Callable, Sequence
from queue import SimpleQueue
from typing import Protocol

import psycopg
import structlog

from db.rows import Finished

log = structlog.get_logger()
_BATCH_MAX = 64


class Ending(Protocol):
    """Writes results: `db.work.finish` on a connection of its own."""

    def __call__(self, ended: Sequence[Finished]) -> object: ...


class Finisher:
    """Takes results from any thread and ends each once. A lost connection is tried again until `stop`."""

    def __init__(self, end: Ending, ended: Callable[[Sequence[Finished]], None]) -> None:
        self._end = end
        self._ended = ended
        self._queue: SimpleQueue[Finished | None] = SimpleQueue()
        self._giving_up = threading.Event()
        self._thread = threading.Thread(target=self._run, name="finisher", daemon=True)
        self._thread.start()

    def add(self, result: Finished) -> None:
        """Queue a result; returns at once."""
        self._queue.put(result)

    def stop(self, timeout_s: float) -> None:
        """Write what is queued, then end; after `timeout_s` leave the rest to the sweep."""
        self._queue.put(None)
        self._thread.join(timeout_s)
        self._giving_up.set()

    def _run(self) -> None:
        while (first := self._queue.get()) is not None:
            batch = [first]
            while len(batch) < _BATCH_MAX and not self._queue.empty():
                if (result := self._queue.get()) is None:
                    self._write(batch)
                    return
                batch.append(result)
            self._write(batch)

    def _write(self, batch: Sequence[Finished]) -> None:
        pause_s = 0.05
        while not self._giving_up.is_set():
            try:
                self._end(batch)
                return self._ended(batch)
            except psycopg.OperationalError as error:
                log.warning("finish_waits_for_postgres", error=type(error).__name__)
                self._giving_up.wait(pause_s)
                pause_s = min(1.0, pause_s * 2)
            except psycopg.Error:
                return self._one_by_one(batch)
        return None

    def _one_by_one(self, batch: Sequence[Finished]) -> None:
        """One row that cannot be written must not hold up the others; its lease runs out and it is swept."""
        if len(batch) == 1:
            log.exception("finish_refused")
            return self._ended(batch)
        for result in batch:
            self._write([result])
        return None
