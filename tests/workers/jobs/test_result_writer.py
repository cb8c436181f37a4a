"""Results are written once each, by one thread at a time; a refused one delays no other."""

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


class FakeDatabase:
    """Records what is written, and whether two threads wrote at once or one wrote nothing."""

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
def fake_database() -> FakeDatabase:
    return FakeDatabase()


@pytest.fixture
def restless() -> Generator[None]:
    """Threads take turns wherever they can."""
    usual = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(usual)


@pytest.mark.usefixtures("restless")
def test_each_result_is_written_once_by_one_thread_at_a_time(fake_database: FakeDatabase) -> None:
    result_writer = ResultWriter(fake_database.end, fake_database.ended)
    results = [result() for _ in range(4000)]
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(result_writer.write, results))
    assert fake_database.faults == []
    assert sorted(fake_database.written) == sorted(fake_database.over) == sorted(each.id for each in results)


def test_a_result_added_while_another_thread_writes_is_written_by_that_thread(
    fake_database: FakeDatabase,
) -> None:
    result_writer = ResultWriter(fake_database.end, fake_database.ended)
    first, second = result(), result()
    fake_database.open.clear()
    writer = threading.Thread(target=result_writer.write, args=[first])
    writer.start()
    while not result_writer._writing.locked():  # pyright: ignore[reportPrivateUsage]
        pass
    assert not result_writer.write(second)  # returns, though nothing can be written
    assert fake_database.written == []
    fake_database.open.set()
    writer.join(10)
    assert fake_database.written == [first.id, second.id]


def test_a_result_that_cannot_be_written_delays_no_other(fake_database: FakeDatabase) -> None:
    result_writer = ResultWriter(fake_database.end, fake_database.ended)
    good, bad = result(), Finished(id=uuid.uuid4(), attempt=1, outcome="refuse", code="unwritable")
    fake_database.open.clear()
    writer = threading.Thread(target=result_writer.write, args=[result()])
    writer.start()
    while not result_writer._writing.locked():  # pyright: ignore[reportPrivateUsage]
        pass
    result_writer.write(bad)
    result_writer.write(good)  # in one batch with it
    fake_database.open.set()
    writer.join(10)
    assert good.id in fake_database.written
    assert bad.id not in fake_database.written
    assert {good.id, bad.id} <= set(fake_database.over)


def test_a_writer_that_waits_for_postgres_can_give_up(fake_database: FakeDatabase) -> None:
    result_writer = ResultWriter(fake_database.end, fake_database.ended)
    fake_database.is_away = True
    lost = result()
    writer = threading.Thread(target=result_writer.write, args=[lost])
    writer.start()
    result_writer.give_up()
    writer.join(10)
    assert not writer.is_alive()
    assert (fake_database.written, fake_database.over) == ([], [lost.id])
