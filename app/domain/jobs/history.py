"""An account's own jobs for the dashboard: listed and shown, to their owner only."""

from datetime import datetime
from typing import Any, get_args
from uuid import UUID

from msgspec import Struct

from app.domain.database import Database
from app.domain.errors import Invalid, NotFound
from app.domain.identity.principals import Principal
from app.domain.pagination import Page, page
from db.postgres.queries import query
from db.types import State

STATES = get_args(State)
KINDS = ("speech", "transcription", "live_transcript")


class OwnJob(Struct, frozen=True, kw_only=True):
    """A job, for its owner; `micro`: micro-credits it cost or holds; `text`: the beginning of its text."""

    id: UUID
    kind: str
    engine: str
    voice: str | None  # as requested
    voice_used: str | None
    voice_reason: str | None  # why another voice speaks (voices/resolution.py)
    language: str | None
    format: str | None
    state: State
    code: str | None
    text: str | None
    characters: int
    duration_ms: int | None
    micro: int
    spent: int  # micro-credits charged and not refunded; 0 until it has ended
    refunded: int
    created_at: datetime
    finished_at: datetime | None
    has_audio: bool | None
    has_transcript: bool
    object: str | None
    content_type: str | None
    audio_bytes: int | None


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
        async with self._database.connection() as connection:
            return await page(
                connection,
                query("own_jobs"),
                who.account,
                state,
                kind,
                limit=limit,
                cursor=cursor,
                make=_job,
                mark="id",
            )

    async def one(self, who: Principal, job: UUID) -> OwnJob:
        """One job. Raises NotFound."""
        async with self._database.connection() as connection:
            row = await connection.fetchrow(query("own_job"), who.account, job)
        if row is None:
            raise NotFound("There is no such job.")
        return _job(row)


def _job(row: Any) -> OwnJob:
    return OwnJob(**dict(row))
