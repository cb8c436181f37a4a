"""The routes under /v1/jobs: an account's jobs listed, shown, followed as events and cancelled."""

from collections.abc import AsyncIterator
from datetime import datetime
from uuid import UUID

import msgspec
from litestar import Controller, Response, delete, get
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery
from msgspec import UNSET, Struct, UnsetType

from app.api.codevoice.schemas import Cancelled
from app.domain.billing.credits import credits as in_credits
from app.domain.billing.settlement import settled_in_words
from app.domain.errors import MissingScope, Suspended, TooLate, TooManyStreams, Unauthenticated
from app.domain.identity.scopes import SPEECH
from app.domain.jobs.history import OwnJob
from app.domain.jobs.service import Jobs
from app.domain.speech.audio_urls import AudioUrls
from app.domain.speech.service import SpeechService
from app.domain.stream_limits import ConcurrentStreams
from app.http.api_request import ApiRequest
from app.http.authentication import Authenticator
from app.http.disconnects import LiveResponse
from app.http.json_response import NO_STORE
from app.openapi.operations import EVENTS, sends
from db.types import State


class OwnJobView(Struct, frozen=True, kw_only=True):
    """GET /v1/jobs/{job_id}. `credits`: what the job cost, or holds while it is unfinished.

    `charged`: credits were spent and not refunded. `settlement`: that as a sentence, once the job has ended.
    `voice`: as requested. `voice_used`, `voice_reason`: only if another voice speaks, and why.
    """

    job_id: UUID
    kind: str
    engine: str
    voice: str | None
    language: str | None
    format: str | None
    status: State
    characters: int
    duration_ms: int | None
    audio_bytes: int | None
    credits: int | float
    charged: bool
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    voice_used: str | UnsetType = UNSET
    voice_reason: str | UnsetType = UNSET
    reason: str | UnsetType = UNSET
    settlement: str | UnsetType = UNSET
    audio_url: str | UnsetType = UNSET
    transcript_url: str | UnsetType = UNSET


class OwnJobList(Struct, frozen=True, kw_only=True):
    """GET /v1/jobs, the newest first."""

    jobs: list[OwnJobView]
    has_more: bool
    next_cursor: UUID | None


_OPT = {"scope": SPEECH}


class JobsController(Controller):
    """The account's own jobs."""

    path = "/v1/jobs"
    opt = _OPT
    response_headers = NO_STORE

    @get()
    async def list_jobs(
        self,
        request: ApiRequest,
        jobs: NamedDependency[Jobs],
        audio_urls: NamedDependency[AudioUrls],
        status: FromQuery[str | None] = None,
        limit: FromQuery[int | None] = None,
        cursor: FromQuery[str | None] = None,
    ) -> OwnJobList:
        """List the account's jobs, the newest first."""
        page = await jobs.page(request.user, state=status, limit=limit, cursor=cursor)
        return OwnJobList(
            jobs=[_view(job, audio_urls) for job in page.jobs],
            has_more=page.next_cursor is not None,
            next_cursor=page.next_cursor,
        )

    @get("/{job_id:str}")
    async def show_job(
        self,
        request: ApiRequest,
        job_id: FromPath[str],
        jobs: NamedDependency[Jobs],
        audio_urls: NamedDependency[AudioUrls],
    ) -> OwnJobView:
        """Show a job: its state, its price and its results."""
        return _view(await jobs.one(request.user, job_id), audio_urls)

    @get("/{job_id:str}/events", opt={"errors": (TooManyStreams,)}, operation_class=sends(EVENTS))
    async def job_events(
        self,
        request: ApiRequest,
        job_id: FromPath[str],
        jobs: NamedDependency[Jobs],
        audio_urls: NamedDependency[AudioUrls],
        authenticator: NamedDependency[Authenticator],
        streams: NamedDependency[ConcurrentStreams],
    ) -> Response[bytes]:
        """Follow a job's states as server-sent events until it has ended."""
        who = request.user
        job = await jobs.one(who, job_id)
        place = await streams.take(who)
        events = _events(jobs.follow(who, job, authenticator.recheck(request.scope)), audio_urls)
        headers = {**NO_STORE, "X-Accel-Buffering": "no"}
        return LiveResponse(events, headers=headers, media_type=EVENTS, ended=lambda _: place.close())

    @delete("/{job_id:str}", status_code=200, opt={"errors": (TooLate,)})
    async def cancel_job(
        self,
        request: ApiRequest,
        job_id: FromPath[str],
        jobs: NamedDependency[Jobs],
        speech: NamedDependency[SpeechService],
    ) -> Cancelled:
        """Cancel a job; the answer says what it cost."""
        await speech.cancel(request.user, job_id)
        job = await jobs.one(request.user, job_id)
        return Cancelled(
            job_id=job_id.lower(),
            charged=job.spent > 0,
            credits=in_credits(job.spent),
            settlement=settled_in_words(job),
        )


async def _events(updates: AsyncIterator[OwnJob | None], addresses: AudioUrls) -> AsyncIterator[bytes]:
    """The job's states as server-sent events. If the caller loses access, the last event says why."""
    try:
        async for job in updates:
            if job is None:
                yield b": still there\n\n"
            else:
                yield b"event: status\ndata: %s\n\n" % msgspec.json.encode(_view(job, addresses))
    except (Unauthenticated, Suspended, MissingScope) as error:
        refusal = {"error": error.code, "message": error.message}
        yield b"event: refused\ndata: %s\n\n" % msgspec.json.encode(refusal)


def _view(job: OwnJob, addresses: AudioUrls) -> OwnJobView:
    return OwnJobView(
        job_id=job.id,
        kind=job.kind,
        engine=job.engine,
        voice=job.voice,
        language=job.language,
        format=job.format,
        status=job.state,
        characters=job.characters,
        duration_ms=job.duration_ms,
        audio_bytes=job.audio_bytes,
        credits=in_credits(job.micro),
        charged=job.spent > 0,
        created_at=job.created_at,
        started_at=job.started_at,
        finished_at=job.finished_at,
        voice_used=(job.voice_reason and job.voice_used) or UNSET,
        voice_reason=job.voice_reason or UNSET,
        reason=job.code or UNSET,
        settlement=settled_in_words(job) or UNSET,
        audio_url=addresses.address(job.id) if job.has_audio else UNSET,
        transcript_url=f"/v1/transcriptions/{job.id}" if job.has_transcript else UNSET,
    )
