"""What was asked for: filtered, heard again, downloaded, cancelled; and each job by itself."""

import asyncio
from contextlib import suppress
from uuid import UUID

from litestar import Response, get, post
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath
from msgspec import Struct

from app.api.bodies import AnyRequest
from app.dashboard.entry import NoForm
from app.dashboard.forms import read_form
from app.dashboard.pages import PERSON, Pages, to
from app.domain.audio import AudioAddresses
from app.domain.errors import Gone, NotFound, TooLate, Unavailable
from app.domain.history import KINDS, STATES, History, OwnJob
from app.domain.speech import Speech
from app.domain.waveform import Unreadable, peaks
from db.objects import Objects, StoreError

_PAGE = 25
_DRAWN_BYTES_MAX = 32 << 20  # of audio read to draw its waveform


class PeaksView(Struct, frozen=True):
    """GET /history/{job_id}/peaks; none where the audio cannot be looked into."""

    peaks: list[int]


def history_routes(
    pages: Pages, history: History, speech: Speech, addresses: AudioAddresses, store: Objects
) -> list[HTTPRouteHandler]:
    """GET /history and what is below it."""
    return [
        _list_route(pages, history, addresses),
        _job_route(pages, history, addresses),
        _peaks_route(history, store),
        _cancel_route(pages, speech),
    ]


def _list_route(pages: Pages, history: History, addresses: AudioAddresses) -> HTTPRouteHandler:
    @get("/history", opt=PERSON, include_in_schema=False)
    async def history_page(request: AnyRequest) -> Response[str]:
        asked = request.query_params
        state, kind, cursor = (asked.get(name) or None for name in ("state", "kind", "cursor"))
        found = await history.list(request.scope["user"], state=state, kind=kind, limit=_PAGE, cursor=cursor)
        audio = {job.id: addresses.address(job.id) for job in found.items if _is_heard(job)}
        return await pages.show(
            request,
            "history.html",
            jobs=found,
            audio=audio,
            state=state,
            kind=kind,
            cursor=cursor,
            states=STATES,
            kinds=KINDS,
        )

    return history_page


def _job_route(pages: Pages, history: History, addresses: AudioAddresses) -> HTTPRouteHandler:
    @get("/history/{job_id:str}", opt=PERSON, include_in_schema=False)
    async def job_page(request: AnyRequest, job_id: FromPath[str]) -> Response[str]:
        job = await history.one(request.scope["user"], _identifier(job_id))
        address = addresses.address(job.id) if _is_heard(job) else None
        return await pages.show(request, "job.html", job=job, address=address)

    return job_page


def _peaks_route(history: History, store: Objects) -> HTTPRouteHandler:
    @get("/history/{job_id:str}/peaks", opt=PERSON, include_in_schema=False)
    async def job_peaks(request: AnyRequest, job_id: FromPath[str]) -> Response[PeaksView]:
        job = await history.one(request.scope["user"], _identifier(job_id))
        if not _is_heard(job):
            raise Gone("This job has no audio.")
        found = await _peaks(store, job)
        return Response(PeaksView(found), headers={"Cache-Control": "private, max-age=3600"})

    return job_peaks


def _cancel_route(pages: Pages, speech: Speech) -> HTTPRouteHandler:
    @post("/history/{job_id:str}/cancel", opt=PERSON | {"limit": "post"}, include_in_schema=False)
    async def cancel(request: AnyRequest, job_id: FromPath[str]) -> Response[None]:
        await read_form(request, NoForm, pages.sessions)
        with suppress(TooLate):  # its page says how it ended
            await speech.cancel(request.scope["user"], job_id)
        return to(f"/history/{_identifier(job_id)}")

    return cancel


async def _peaks(store: Objects, job: OwnJob) -> list[int]:
    size = job.audio_bytes or 0
    if not 0 < size <= _DRAWN_BYTES_MAX:
        return []
    try:
        audio = b"".join([chunk async for chunk in await store.read(job.object or "", 0, size)])
    except FileNotFoundError:
        raise Gone("This audio is gone. Generate it anew.") from None
    except StoreError as error:
        raise Unavailable("The audio store is out of reach. Please try again in a moment.") from error
    try:
        return await asyncio.to_thread(peaks, audio, job.content_type or "audio/wav")
    except Unreadable:
        return []


def _is_heard(job: OwnJob) -> bool:
    return job.state == "completed" and bool(job.has_audio)


def _identifier(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise NotFound("There is no such job.") from None
