"""A Postgres that answers nothing, and refuses nothing: nobody waits for it for long (A2, A4, A11)."""

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any
from uuid import uuid4

import asyncpg
import msgspec
import pytest
from sqlalchemy import text

from app.domain.billing.price_book import PriceBook
from app.domain.coalescing import Coalescer
from app.domain.database import Database
from app.domain.errors import Contended, Unavailable
from app.domain.speech.live_capacity import LiveCapacity
from db.postgres.pool import Connection
from tests.app.conftest import ENGINE
from tests.app.proxy import Wire
from tests.clock import unhurried

SILENT_S = 1.0


@pytest.fixture
async def wire(database_url: str) -> AsyncGenerator[Wire]:
    wire = Wire(database_url)
    yield wire
    await asyncio.to_thread(wire.close)


@pytest.fixture
async def record(wire: Wire) -> AsyncGenerator[Database]:
    record = Database(
        wire.url,
        connections_max=4,
        statement_timeout_ms=30_000,
        wait_s=30,
        waiting_max=100,
        silent_s=SILENT_S,
    )
    await record.open(within_s=10)
    yield record
    await record.close()


async def by_connection(record: Database) -> None:
    async with record.connection() as connection:
        assert await connection.fetchval("SELECT true")


async def in_transaction(record: Database) -> None:
    async with record.connection() as connection, connection.transaction():
        assert await connection.fetchval("SELECT true")


async def by_session(record: Database) -> None:
    async with record.session() as session:
        assert (await session.execute(text("SELECT true"))).scalar()


async def coalesced(record: Database) -> None:
    async def ask(connection: Connection, questions: Any) -> list[bool]:
        return [await connection.fetchval("SELECT true") for _ in questions]

    asker = Coalescer[int, bool](record, ask, waiting_max=10)
    assert await asyncio.gather(asker.submit(1), asker.submit(2)) == [True, True]


WAYS = (by_connection, in_transaction, by_session, coalesced)


@pytest.mark.parametrize("way", WAYS, ids=[way.__name__ for way in WAYS])
async def test_whoever_waits_for_a_silent_database_is_told_so_and_it_comes_back(
    record: Database, wire: Wire, way: Callable[[Database], Awaitable[None]]
) -> None:
    await asyncio.gather(*(way(record) for _ in range(3)))

    wire.freeze()
    began = time.monotonic()
    first = await asyncio.gather(*(way(record) for _ in range(20)), return_exceptions=True)
    first_s, began = time.monotonic() - began, time.monotonic()
    then = await asyncio.gather(*(way(record) for _ in range(20)), return_exceptions=True)
    then_s = time.monotonic() - began
    wire.thaw()

    assert {type(error) for error in (*first, *then)} <= set(every_kind_of(Unavailable))
    assert first_s < unhurried(2 * SILENT_S + 1)
    assert then_s < unhurried(0.5)
    await until_it_works(lambda: way(record))


def every_kind_of(kind: type[Exception]) -> list[type[Exception]]:
    return [kind, *(below for each in kind.__subclasses__() for below in every_kind_of(each))]


async def until_it_works(act: Callable[[], Awaitable[None]]) -> None:
    async with asyncio.timeout(20):
        while True:
            try:
                return await act()
            except Unavailable:
                await asyncio.sleep(0.05)


@pytest.mark.parametrize("way", [by_connection, coalesced], ids=["by_connection", "coalesced"])
async def test_who_is_cancelled_does_not_wait_for_a_silent_database(
    wire: Wire, way: Callable[[Database], Awaitable[None]]
) -> None:
    record = Database(
        wire.url,
        connections_max=1,
        statement_timeout_ms=30_000,
        wait_s=30,
        waiting_max=100,
        silent_s=60,
    )
    await record.open(within_s=10)
    await way(record)
    wire.freeze()
    asking = [asyncio.create_task(way(record)) for _ in range(2)]  # one has the connection, one waits for it
    await asyncio.sleep(0.1)

    began = time.monotonic()
    for task in asking:
        task.cancel()
    await asyncio.wait(asking)

    assert time.monotonic() - began < unhurried(1.5)
    wire.thaw()
    await until_it_works(lambda: way(record))
    await record.close()


async def test_a_busy_database_is_not_a_silent_one(record: Database) -> None:
    async def slow() -> None:
        async with record.connection() as connection:
            await connection.execute(f"SELECT pg_sleep({3 * SILENT_S})")

    await asyncio.gather(*(slow() for _ in range(4)))  # all connections of the pool


class Slow(Database):
    """No connection is free, ever."""

    def __init__(self) -> None:
        self.asked = 0

    def connection(self) -> Any:
        self.asked += 1
        return self

    async def __aenter__(self) -> Connection:
        await asyncio.sleep(0.2)
        raise Unavailable("out of reach")

    async def __aexit__(self, *_: object) -> None: ...


SPEAKER = msgspec.structs.replace(ENGINE, live_max=2)


async def a_quote(record: Database) -> Callable[[], Awaitable[object]]:
    prices = PriceBook(record)
    return lambda: prices.quote("speech", "parrot")


async def a_live_place(record: Database) -> Callable[[], Awaitable[object]]:
    capacity = LiveCapacity(record)

    async def take() -> None:
        async with capacity.place(SPEAKER, uuid4()):
            pass

    return take


@pytest.mark.parametrize("made", [a_quote, a_live_place])
async def test_those_who_wait_for_the_same_reading_fail_together(
    made: Callable[[Database], Awaitable[Callable[[], Awaitable[object]]]],
) -> None:
    record = Slow()
    ask = await made(record)
    began = time.monotonic()

    found = await asyncio.gather(*(ask() for _ in range(20)), return_exceptions=True)

    assert {type(error) for error in found} == {Unavailable}
    assert record.asked == 1
    assert time.monotonic() - began < unhurried(1)


async def test_the_prices_are_quoted_while_the_database_is_away_for_a_moment(
    record: Database, wire: Wire
) -> None:
    prices = PriceBook(record)
    known = await prices.quote("speech", "parrot")
    wire.freeze()
    await asyncio.sleep(1.1)  # no longer fresh

    assert await prices.quote("speech", "parrot") == known


@pytest.mark.parametrize("way", ["connection", "session"])
@pytest.mark.parametrize("state", ["40P01", "40001", "55P03"])  # deadlock, serialization, lock timeout
async def test_a_statement_taken_back_by_postgres_is_to_be_sent_again(
    record: Database, way: str, state: str
) -> None:
    raising = f"DO $$ BEGIN RAISE EXCEPTION 'as asked' USING ERRCODE = '{state}'; END $$"

    async def act() -> None:
        if way == "connection":
            async with record.connection() as connection:
                await connection.execute(raising)
        else:
            async with record.session() as session:
                await session.execute(text(raising))

    with pytest.raises(Contended):
        await act()


async def test_questions_whose_statement_was_taken_back_are_asked_again(record: Database) -> None:
    tries: list[int] = []

    async def ask(_: Connection, questions: Any) -> list[str]:
        tries.append(len(questions))
        if len(tries) == 1:
            raise asyncpg.DeadlockDetectedError("as asked")
        return ["answered"] * len(questions)

    asker = Coalescer[int, str](record, ask, waiting_max=10)

    assert await asker.submit(1) == "answered"
    assert len(tries) == 2


@pytest.mark.parametrize("state", ["25006", "53100", "58030"])  # no longer the primary; disk full; disk fails
async def test_a_database_that_cannot_write_is_a_refusal(record: Database, state: str) -> None:
    raising = f"DO $$ BEGIN RAISE EXCEPTION 'as asked' USING ERRCODE = '{state}'; END $$"

    async def act() -> None:
        async with record.connection() as connection:
            await connection.execute(raising)

    with pytest.raises(Unavailable):
        await act()
    await by_connection(record)
