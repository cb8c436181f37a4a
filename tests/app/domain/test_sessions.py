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
