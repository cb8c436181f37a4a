"""A Postgres that neither answers nor refuses: no caller waits for it for long (A2, A4, A11)."""

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
from app.domain.database import Database, DatabaseLimits
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
async def app_database(wire: Wire) -> AsyncGenerator[Database]:
    app_database = Database(
        wire.url,
        DatabaseLimits(database_wait_s=30, database_silent_s=SILENT_S),
        connections_max=4,
        statement_timeout_ms=30_000,
    )
    await app_database.open(within_s=10)
    yield app_database
    await app_database.close()


async def by_connection(app_database: Database) -> None:
    async with app_database.connection() as connection:
        assert await connection.fetchval("SELECT true")


async def in_transaction(app_database: Database) -> None:
    async with app_database.connection() as connection, connection.transaction():
        assert await connection.fetchval("SELECT true")


async def by_session(app_database: Database) -> None:
    async with app_database.session() as session:
        assert (await session.execute(text("SELECT true"))).scalar()


async def coalescer(app_database: Database) -> None:
    async def ask(connection: Connection, questions: Any) -> list[bool]:
        return [await connection.fetchval("SELECT true") for _ in questions]

    asker = Coalescer[int, bool](app_database, ask, waiting_max=10)
    assert await asyncio.gather(asker.submit(1), asker.submit(2)) == [True, True]


WAYS = (by_connection, in_transaction, by_session, coalescer)


@pytest.mark.parametrize("way", WAYS, ids=[way.__name__ for way in WAYS])
async def test_waiting_for_a_silent_database_fails_in_time_and_recovers(
    app_database: Database, wire: Wire, way: Callable[[Database], Awaitable[None]]
) -> None:
    await asyncio.gather(*(way(app_database) for _ in range(3)))

    wire.freeze()
    began = time.monotonic()
    first = await asyncio.gather(*(way(app_database) for _ in range(20)), return_exceptions=True)
    first_s, began = time.monotonic() - began, time.monotonic()
    then = await asyncio.gather(*(way(app_database) for _ in range(20)), return_exceptions=True)
    then_s = time.monotonic() - began
    wire.thaw()

    assert {type(error) for error in (*first, *then)} <= set(every_kind_of(Unavailable))
    assert first_s < unhurried(2 * SILENT_S + 1)
    assert then_s < unhurried(0.5)
    await until_it_works(lambda: way(app_database))


def every_kind_of(kind: type[Exception]) -> list[type[Exception]]:
    return [kind, *(below for each in kind.__subclasses__() for below in every_kind_of(each))]


async def until_it_works(act: Callable[[], Awaitable[None]]) -> None:
    async with asyncio.timeout(20):
        while True:
            try:
                return await act()
            except Unavailable:
                await asyncio.sleep(0.05)


@pytest.mark.parametrize("way", [by_connection, coalescer], ids=["by_connection", "coalesced"])
async def test_a_cancelled_caller_does_not_wait_for_a_silent_database(
    wire: Wire, way: Callable[[Database], Awaitable[None]]
) -> None:
    app_database = Database(
        wire.url,
        DatabaseLimits(database_wait_s=30, database_silent_s=60),
        connections_max=1,
        statement_timeout_ms=30_000,
    )
    await app_database.open(within_s=10)
    await way(app_database)
    wire.freeze()
    asking = [
        asyncio.create_task(way(app_database)) for _ in range(2)
    ]  # one has the connection, one waits for it
    await asyncio.sleep(0.1)

    began = time.monotonic()
    for task in asking:
        task.cancel()
    await asyncio.wait(asking)

    assert time.monotonic() - began < unhurried(1.5)
    wire.thaw()
    await until_it_works(lambda: way(app_database))
    await app_database.close()


async def test_a_busy_database_is_not_a_silent_one(app_database: Database) -> None:
    async def slow() -> None:
        async with app_database.connection() as connection:
            await connection.execute(f"SELECT pg_sleep({3 * SILENT_S})")

    await asyncio.gather(*(slow() for _ in range(4)))  # all connections of the pool


class Slow(Database):
    """A connection never becomes free."""

    def __init__(self) -> None:
        self.connections_taken = 0

    def connection(self) -> Any:
        self.connections_taken += 1
        return self

    async def __aenter__(self) -> Connection:
        await asyncio.sleep(0.2)
        raise Unavailable("out of reach")

    async def __aexit__(self, *_: object) -> None: ...


SPEAKER = msgspec.structs.replace(ENGINE, live_max=2)


async def a_quote(app_database: Database) -> Callable[[], Awaitable[object]]:
    prices = PriceBook(app_database)
    return lambda: prices.quote("speech", "parrot")


async def a_live_place(app_database: Database) -> Callable[[], Awaitable[object]]:
    capacity = LiveCapacity(app_database)

    async def take() -> None:
        async with capacity.admit(SPEAKER, uuid4()):
            pass

    return take


@pytest.mark.parametrize("made", [a_quote, a_live_place])
async def test_callers_that_wait_for_the_same_query_fail_together(
    made: Callable[[Database], Awaitable[Callable[[], Awaitable[object]]]],
) -> None:
    app_database = Slow()
    ask = await made(app_database)
    began = time.monotonic()

    found = await asyncio.gather(*(ask() for _ in range(20)), return_exceptions=True)

    assert {type(error) for error in found} == {Unavailable}
    assert app_database.connections_taken == 1
    assert time.monotonic() - began < unhurried(1)


async def test_the_prices_are_quoted_while_the_database_is_away_for_a_moment(
    app_database: Database, wire: Wire
) -> None:
    prices = PriceBook(app_database)
    known = await prices.quote("speech", "parrot")
    wire.freeze()
    await asyncio.sleep(1.1)  # no longer fresh

    assert await prices.quote("speech", "parrot") == known


@pytest.mark.parametrize("way", ["connection", "session"])
@pytest.mark.parametrize("state", ["40P01", "40001", "55P03"])  # deadlock, serialization, lock timeout
async def test_a_statement_rolled_back_by_postgres_is_to_be_retried(
    app_database: Database, way: str, state: str
) -> None:
    raising = f"DO $$ BEGIN RAISE EXCEPTION 'as asked' USING ERRCODE = '{state}'; END $$"

    async def act() -> None:
        if way == "connection":
            async with app_database.connection() as connection:
                await connection.execute(raising)
        else:
            async with app_database.session() as session:
                await session.execute(text(raising))

    with pytest.raises(Contended):
        await act()


async def test_requests_whose_statement_was_rolled_back_are_sent_again(app_database: Database) -> None:
    tries: list[int] = []

    async def ask(_: Connection, questions: Any) -> list[str]:
        tries.append(len(questions))
        if len(tries) == 1:
            raise asyncpg.DeadlockDetectedError("as asked")
        return ["answered"] * len(questions)

    asker = Coalescer[int, str](app_database, ask, waiting_max=10)

    assert await asker.submit(1) == "answered"
    assert len(tries) == 2


@pytest.mark.parametrize("state", ["25006", "53100", "58030"])  # no longer the primary; disk full; disk fails
async def test_a_database_that_cannot_write_is_a_refusal(app_database: Database, state: str) -> None:
    raising = f"DO $$ BEGIN RAISE EXCEPTION 'as asked' USING ERRCODE = '{state}'; END $$"

    async def act() -> None:
        async with app_database.connection() as connection:
            await connection.execute(raising)

    with pytest.raises(Unavailable):
        await act()
    await by_connection(app_database)
