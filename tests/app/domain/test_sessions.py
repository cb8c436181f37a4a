"""Sessions of cold paths: what a snapshot sees, and that it leaves nothing behind in the pool."""

import pytest
from sqlalchemy import insert, select, text
from sqlalchemy.exc import DBAPIError

from db.postgres import pool
from db.postgres.models import Invite, Plan


async def test_a_snapshot_reads_one_state_and_writes_nothing(database: tuple[str, str]) -> None:
    engine = pool.open_engine(database[1])
    plans = select(Plan.name).order_by(Plan.tier)
    invite = insert(Invite).values(digest=b"a snapshot", created_by="test", tier=1, uses_left=1)
    try:
        async with pool.session(engine, snapshot=True) as reader:
            before = (await reader.scalars(plans)).all()
            async with pool.session(engine) as writer:
                await writer.execute(invite)
            assert await reader.scalar(select(Invite.tier).where(Invite.digest == b"a snapshot")) is None
            assert (await reader.scalars(plans)).all() == before

        with pytest.raises(DBAPIError, match="read-only"):
            async with pool.session(engine, snapshot=True) as reader:
                await reader.execute(invite)

        async with pool.session(engine) as writer:  # on the connection that just only read
            shown = text("SELECT current_setting('transaction_isolation')")
            assert await writer.scalar(shown) == "read committed"
            await writer.execute(text("UPDATE cv.invite SET uses_left = 0 WHERE digest = 'a snapshot'"))
    finally:
        await engine.dispose()


@pytest.mark.parametrize(
    "added", ["?sslmode=prefer", "?application_name=codevoice", "?options=-c%20work_mem%3D8MB"]
)
async def test_sessions_take_every_address_that_the_pool_takes(database: tuple[str, str], added: str) -> None:
    engine = pool.open_engine(database[1] + added)
    try:
        async with pool.session(engine) as reader:
            assert await (await pool.raw(reader)).fetchval("SELECT 1") == 1
    finally:
        await engine.dispose()


async def test_the_second_of_two_hosts_is_tried(database: tuple[str, str]) -> None:
    head, _, rest = database[1].rpartition("@")
    place, _, name = rest.partition("/")
    engine = pool.open_engine(f"{head}@127.0.0.1:1,{place}/{name}")
    try:
        async with pool.session(engine) as reader:
            assert await reader.scalar(text("SELECT 1")) == 1
    finally:
        await engine.dispose()


async def test_an_error_does_not_show_the_values_of_its_statement(database: tuple[str, str]) -> None:
    engine = pool.open_engine(database[1])
    try:
        with pytest.raises(DBAPIError) as refused:
            async with pool.session(engine) as reader:
                await reader.execute(text("SELECT * FROM nothing WHERE at = :at"), {"at": "you@example.org"})
        assert "you@example.org" not in str(refused.value)
    finally:
        await engine.dispose()
