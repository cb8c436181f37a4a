"""Jobs as a product: an account's own, listed, looked at, followed, cancelled (row 14)."""

from collections.abc import AsyncIterator
from datetime import datetime
from uuid import UUID

import msgspec
from litestar import Response, delete, get
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath, FromQuery
from msgspec import UNSET, Struct, UnsetType

from app.api.bodies import AnyRequest
from app.api.leaving import Live
from app.api.wire import Cancelled
from app.domain.audio import AudioAddresses
from app.domain.credits import credits as in_credits
from app.domain.own_jobs import OwnJob, OwnJobs
from app.domain.principals import Principal
from app.domain.scopes import SPEECH
from app.domain.speech import Speech
from db.rows import State

_NO_STORE = {"Cache-Control": "no-store"}
_QUIET_LOOKS = 30  # until a comment says that the connection is still good


class OwnJobView(Struct, frozen=True, kw_only=True):
    """GET /v1/jobs/{job_id}. `credits`: what it cost, or holds while it goes on."""

    job_id: UUID
    kind: str
    voice: str | None
    language: str | None
    format: str | None
    status: State
    characters: int
    duration_ms: int | None
    audio_bytes: int | None
    credits: int | float
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    reason: str | UnsetType = UNSET
    audio_url: str | UnsetType = UNSET


class OwnJobList(Struct, frozen=True, kw_only=True):
    """GET /v1/jobs, the latest first."""

    jobs: list[OwnJobView]
    has_more: bool
    next_cursor: UUID | None


def job_routes(jobs: OwnJobs, speech: Speech, addresses: AudioAddresses) -> list[HTTPRouteHandler]:
    """Row 14 but for the audio."""
    return [_list_route(jobs, addresses), _one_route(jobs, addresses), _events_route(jobs, addresses),
            _cancel_route(speech)]  # fmt: skip


def _list_route(jobs: OwnJobs, addresses: AudioAddresses) -> HTTPRouteHandler:
    @get("/v1/jobs", opt={"scope": SPEECH})
    async def list_jobs(
        request: AnyRequest,
        status: FromQuery[str | None] = None,
        limit: FromQuery[int | None] = None,
        cursor: FromQuery[str | None] = None,
    ) -> Response[OwnJobList]:
        page = await jobs.page(request.scope["user"], state=status, limit=limit, cursor=cursor)
        view = OwnJobList(
            jobs=[_view(job, addresses) for job in page.jobs],
            has_more=page.next_cursor is not None,
            next_cursor=page.next_cursor,
        )
        return Response(view, headers=_NO_STORE)

    return list_jobs


def _one_route(jobs: OwnJobs, addresses: AudioAddresses) -> HTTPRouteHandler:
    @get("/v1/jobs/{job_id:str}", opt={"scope": SPEECH})
    async def show_job(request: AnyRequest, job_id: FromPath[str]) -> Response[OwnJobView]:
        job = await jobs.one(request.scope["user"], job_id)
        return Response(_view(job, addresses), headers=_NO_STORE)

    return show_job


def _events_route(jobs: OwnJobs, addresses: AudioAddresses) -> HTTPRouteHandler:
    @get("/v1/jobs/{job_id:str}/events", opt={"scope": SPEECH})
    async def job_events(request: AnyRequest, job_id: FromPath[str]) -> Response[bytes]:
        who: Principal = request.scope["user"]
        events = _events(jobs, who, await jobs.one(who, job_id), addresses)
        headers = {**_NO_STORE, "X-Accel-Buffering": "no"}
        return Live(events, headers=headers, media_type="text/event-stream")

    return job_events


def _cancel_route(speech: Speech) -> HTTPRouteHandler:
    @delete("/v1/jobs/{job_id:str}", status_code=200, opt={"scope": SPEECH})
    async def cancel_job(request: AnyRequest, job_id: FromPath[str]) -> Cancelled:
        await speech.cancel(request.scope["user"], job_id)
        return Cancelled(job_id=job_id.lower())

    return cancel_job


async def _events(
    jobs: OwnJobs, who: Principal, job: OwnJob, addresses: AudioAddresses
) -> AsyncIterator[bytes]:
    quiet = 0
    async for found in jobs.follow(who, job):
        quiet = 0 if found else quiet + 1
        if found:
            yield b"event: status\ndata: %s\n\n" % msgspec.json.encode(_view(found, addresses))
        elif quiet % _QUIET_LOOKS == 0:
            yield b": still there\n\n"


def _view(job: OwnJob, addresses: AudioAddresses) -> OwnJobView:
    return OwnJobView(
        job_id=job.id,
        kind=job.kind,
        voice=job.voice,
        language=job.language,
        format=job.format,
        status=job.state,
        characters=job.characters,
        duration_ms=job.duration_ms,
        audio_bytes=job.audio_bytes,
        credits=in_credits(job.micro),
        created_at=job.created_at,
        started_at=job.started_at,
        finished_at=job.finished_at,
        reason=job.code or UNSET,
        audio_url=addresses.address(job.id) if job.has_audio else UNSET,
    )
