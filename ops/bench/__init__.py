"""Benchmarks: each against a limit or a peer of the same run. Here: what all of them share."""

import asyncio
import statistics
import uuid
from collections.abc import Sequence
from math import inf
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ops.stack.running import Stack

Figures = dict[str, float]


class BenchError(Exception):
    """The benchmark cannot produce its figures; the message gives the reason."""


def spread(figure: str, values: Sequence[float]) -> Figures:
    """The median, the minimum and the maximum, each as a figure."""
    return {figure: statistics.median(values), f"{figure}_min": min(values), f"{figure}_max": max(values)}


def percentile(values: Sequence[float], percent: int) -> float:
    """The smallest value that so many percent do not exceed; infinite without values."""
    ordered = sorted(values)
    return ordered[-(-len(ordered) * percent // 100) - 1] if ordered else inf


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
