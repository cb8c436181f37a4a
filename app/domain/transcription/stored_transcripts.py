"""Stored transcripts, for their owner, by job id, until the operator's retention time is over."""

from datetime import datetime
from uuid import UUID

import msgspec
from msgspec import Struct

from app.domain.billing.settlement import OPEN, settled_in_words
from app.domain.database import Database
from app.domain.errors import Gone, NotFound, NotReady
from app.domain.identity.principals import Principal
from app.domain.speech.service import read_job_id
from app.domain.store_health import store_away
from db.postgres import jobs_api
from db.storage.objects import Objects, StoreError
from db.storage.transcripts import Transcript
from db.types import TranscriptionJob


class StoredTranscript(Struct, frozen=True, kw_only=True):
    """A transcript, and when its retention ends."""

    job_id: UUID
    transcript: Transcript
    kept_until: datetime | None


class StoredTranscripts:
    """Reads transcripts. Another account's transcription is reported as not found."""

    def __init__(self, database: Database, store: Objects) -> None:
        self._database = database
        self._store = store

    async def one(self, who: Principal, job_id: str) -> StoredTranscript:
        """One transcript. Raises NotFound, NotReady, Gone and Unavailable."""
        identifier = read_job_id(job_id)
        job = identifier and await self._job(who, identifier)
        if not job:
            raise NotFound("There is no such transcription.")
        if job.state in OPEN:
            raise NotReady(
                "The transcript is not ready yet. Ask GET /v1/jobs/{job_id} until it is completed."
            )
        if job.state != "completed":
            raise Gone(
                f"This transcription came to nothing ({job.code or job.state}). {settled_in_words(job)}"
            )
        transcript = await read_transcript(self._store, job)
        return StoredTranscript(job_id=job.id, transcript=transcript, kept_until=job.kept_until)

    async def _job(self, who: Principal, job: UUID) -> TranscriptionJob | None:
        async with self._database.connection() as connection:
            [found] = await jobs_api.transcriptions(connection, [(job, who.account)])
        return found


async def read_transcript(store: Objects, job: TranscriptionJob) -> Transcript:
    """The transcript of a completed job. Raises Gone after its retention time, and Unavailable."""
    try:
        if job.object is None or job.audio_bytes is None or job.audio_gone:
            raise FileNotFoundError
        chunks = await store.read(job.object, 0, job.audio_bytes)
        body = b"".join([chunk async for chunk in chunks])
    except FileNotFoundError:
        raise Gone("This transcript was kept for its time and is gone.") from None
    except StoreError as error:
        raise store_away() from error
    return msgspec.json.decode(body, type=Transcript)
