"""An account's own jobs: listed and shown, to their owner only."""

from collections.abc import Sequence
from datetime import datetime
from typing import get_args
from uuid import UUID

from msgspec import Struct

from app.domain.database import Database
from app.domain.errors import Invalid, NotFound
from app.domain.identity.principals import Principal
from app.domain.pagination import Page, page
from db.postgres.pool import Connection
from db.postgres.queries import query
from db.types import State

STATES = get_args(State)
KINDS = ("speech", "transcription", "live_transcript")


class OwnJob(Struct, frozen=True, kw_only=True):
    """A job, for its owner; `micro`: micro-credits it cost or holds; `text`: the beginning of its text."""

    id: UUID
    owner: UUID
    kind: str
    engine: str
    voice: str | None  # as requested
    voice_used: str | None
    voice_reason: str | None  # why another voice speaks (voices/resolution.py)
    language: str | None
    format: str | None
    text: str | None
    state: State
    code: str | None
    characters: int
    duration_ms: int | None
    micro: int
    spent: int  # micro-credits charged and not refunded; 0 until it has ended
    refunded: int
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    object: str | None
    content_type: str | None
    audio_bytes: int | None
    has_audio: bool
    has_transcript: bool

    @property
    def is_over(self) -> bool:
        return self.finished_at is not None


class History:
    """Reads jobs by the index of owners. Another account's job is reported as not found."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def list(
        self, who: Principal, *, state: str | None, kind: str | None, limit: int, cursor: str | None
    ) -> Page[OwnJob]:
        """Jobs, newest first; in one state or of one kind where given. Raises Invalid."""
        if state is not None and state not in STATES:
            raise Invalid(f"States are {', '.join(STATES)}.", field="state", states=list(STATES))

        async def fetch(after: UUID | None, count: int) -> list[OwnJob]:
            wanted = (who.account, state, kind, after, count)
            async with self._database.connection() as connection:
                ids = [row["id"] for row in await connection.fetch(query("own_job_ids"), *wanted)]
                return [job for job in await own_jobs(connection, ids) if job is not None]

        return await page(fetch, mark="id", limit=limit, cursor=cursor)

    async def one(self, who: Principal, job: UUID | None) -> OwnJob:
        """One job. Raises NotFound."""
        async with self._database.connection() as connection:
            [found] = await own_jobs(connection, [job])
        if found is None or found.owner != who.account:
            raise NotFound("There is no such job.")
        return found


async def own_jobs(connection: Connection, wanted: Sequence[UUID | None]) -> list[OwnJob | None]:
    """The job of each id, in order, in one round trip. The caller checks whose they are."""
    found = {row["id"]: OwnJob(**dict(row)) for row in await connection.fetch(query("own_jobs"), wanted)}
    return [found.get(job) for job in wanted]
