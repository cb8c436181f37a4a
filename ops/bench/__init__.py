"""Benchmarks: each against a limit or a peer of the same run. Here: what all of them share."""

import asyncio
import uuid
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ops.stack.running import Stack

Figures = dict[str, float]


class BenchError(Exception):
    """The benchmark cannot produce its figures; the message gives the reason."""


def fund(stack: "Stack", *, credits: int) -> None:
    """Grant the demo account the credits that a benchmark will use, so that it can run repeatedly."""
    import asyncpg

    from db.postgres.ledger import grant
    from db.postgres.queries import query
    from db.types import MICRO
    from ops.stack.prepare import DEMO_EMAIL

    async def give() -> None:
        connection = await asyncpg.connect(stack.database_url)
        try:
            owner = await connection.fetchval(query("find_account"), DEMO_EMAIL)
            amount = credits * MICRO
            await grant(connection, owner, ref=uuid.uuid4(), amount=amount, actor="bench", reason="benchmark")
        finally:
            await connection.close()

    asyncio.run(give())
