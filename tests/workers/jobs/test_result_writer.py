"""Ends are written by whoever comes, one thread at a time, each once; one refused holds up no other."""

import sys
import threading
import uuid
from collections.abc import Generator, Sequence
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest

from db.types import Finished
from workers.jobs.result_writer import ResultWriter


def result() -> Finished:
    return Finished(id=uuid.uuid4(), attempt=1, outcome="done")


class Record:
    """Takes what is written, and tells whether two wrote at once, or somebody nothing."""

    def __init__(self) -> None:
        self.written: list[uuid.UUID] = []
        self.over: list[uuid.UUID] = []
        self.faults: list[str] = []
        self.open = threading.Event()
        self.open.set()
        self.is_away = False
        self._alone = threading.Lock()

    def end(self, ends: Sequence[Finished]) -> None:
        if not self._alone.acquire(blocking=False):
            self.faults.append("two at once")
            return
        try:
            self.open.wait(10)
            if not ends:
                self.faults.append("nothing")
            if self.is_away:
                raise psycopg.OperationalError
            if any(end.code == "unwritable" for end in ends):
                raise psycopg.DataError
            self.written += [end.id for end in ends]
        finally:
            self._alone.release()

    def ended(self, ends: Sequence[Finished]) -> None:
        self.over += [end.id for end in ends]


@pytest.fixture
def record() -> Record:
    return Record()


@pytest.fixture
def restless() -> Generator[None]:
    """Threads take turns wherever they can."""
    usual = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(usual)


@pytest.mark.usefixtures("restless")
def test_each_end_is_written_once_by_one_thread_at_a_time(record: Record) -> None:
    finisher = ResultWriter(record.end, record.ended)
    results = [result() for _ in range(4000)]
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(finisher.write, results[::2]))
        list(threads.map(lambda each: (finisher.write, finisher.add)[each.id.int % 2](each), results[1::2]))
    finisher.stop(10)
    assert record.faults == []
    assert sorted(record.written) == sorted(record.over) == sorted(each.id for each in results)


def test_who_comes_while_another_writes_leaves_it_to_that_one(record: Record) -> None:
    finisher = ResultWriter(record.end, record.ended)
    first, second = result(), result()
    record.open.clear()
    writer = threading.Thread(target=finisher.write, args=[first])
    writer.start()
    while not finisher._writing.locked():  # pyright: ignore[reportPrivateUsage]
        pass
    finisher.write(second)  # returns, though nothing can be written
    assert record.written == []
    record.open.set()
    writer.join(10)
    assert record.written == [first.id, second.id]
    finisher.stop(10)


def test_a_result_that_cannot_be_written_holds_up_no_other(record: Record) -> None:
    finisher = ResultWriter(record.end, record.ended)
    good, bad = result(), Finished(id=uuid.uuid4(), attempt=1, outcome="refuse", code="unwritable")
    record.open.clear()
    writer = threading.Thread(target=finisher.write, args=[result()])
    writer.start()
    while not finisher._writing.locked():  # pyright: ignore[reportPrivateUsage]
        pass
    finisher.write(bad)
    finisher.write(good)  # in one batch with it
    record.open.set()
    writer.join(10)
    assert good.id in record.written
    assert bad.id not in record.written
    assert {good.id, bad.id} <= set(record.over)
    finisher.stop(10)


def test_a_writer_who_waits_for_postgres_can_be_sent_home(record: Record) -> None:
    finisher = ResultWriter(record.end, record.ended)
    record.is_away = True
    lost = result()
    writer = threading.Thread(target=finisher.write, args=[lost])
    writer.start()
    finisher.give_up()
    writer.join(10)
    assert not writer.is_alive()
    assert (record.written, record.over) == ([], [lost.id])
    finisher.stop(10)
