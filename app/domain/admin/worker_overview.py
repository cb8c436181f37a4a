"""Operators' view of the workers and their queues."""

from datetime import datetime

from msgspec import Struct
from sqlalchemy.ext.asyncio import AsyncSession

from db.postgres.pool import raw
from db.postgres.queries import query


class WorkerRow(Struct, frozen=True, kw_only=True):
    """A worker and the engine it has loaded; `present`: seen in the last seconds."""

    engine: str
    worker: str
    kind: str
    voices: int
    seen_at: datetime
    present: bool


class QueueRow(Struct, frozen=True, kw_only=True):
    """An engine's unfinished jobs; `oldest`: when the longest waiting one was queued."""

    engine: str
    queued: int
    processing: int
    oldest: datetime | None


async def list_workers(session: AsyncSession) -> list[WorkerRow]:
    """Every known worker, the most recently seen first."""
    return [WorkerRow(**dict(row)) for row in await (await raw(session)).fetch(query("workers"))]


async def list_queues(session: AsyncSession) -> list[QueueRow]:
    """Every engine with unfinished jobs."""
    return [QueueRow(**dict(row)) for row in await (await raw(session)).fetch(query("room_queues"))]
