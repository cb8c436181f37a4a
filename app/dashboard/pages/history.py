"""The history pages: jobs filtered, played, downloaded and cancelled; and a page for each job."""

from contextlib import suppress
from typing import Any
from uuid import UUID

from litestar import Response, get, post
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath, FromQuery
from msgspec import Struct

from app.api.codevoice.transcripts import checked_format, transcript_response
from app.dashboard.forms import read_form
from app.dashboard.pages.log_in import NoForm
from app.dashboard.rendering import PERSON, Pages, redirect
from app.domain.billing.settlement import settled_in_words
from app.domain.errors import Gone, NotFound, TooLate, Unavailable
from app.domain.identity.principals import Principal
from app.domain.jobs.history import KINDS, STATES, History, OwnJob
from app.domain.speech.audio_urls import AudioUrls
from app.domain.speech.service import SpeechService
from app.domain.speech.waveform_cache import WaveformCache
from app.domain.transcription.stored_transcripts import StoredTranscript, StoredTranscripts
from app.http.api_request import ApiRequest

_PAGE = 25
_CANCEL = PERSON | {"limit": "post", "back": "/history/{job_id}"}
_SUFFIXES = {"text": "txt", "srt": "srt", "vtt": "vtt", "json": "json"}  # of a transcript's file, by format


class PeaksView(Struct, frozen=True):
    """GET /history/{job_id}/peaks; empty if the audio cannot be read."""

    peaks: list[int]


class HistoryPages(Struct, frozen=True):
    """The components that the history pages need."""

    pages: Pages
    history: History
    speech: SpeechService
    addresses: AudioUrls
    waveforms: WaveformCache
    transcripts: StoredTranscripts

    async def job(self, request: ApiRequest, job_id: str) -> Response[str]:
        """The page of one job, with its audio or its transcript while they are kept."""
        job = await self.history.one(request.scope["user"], _identifier(job_id))
        kept, missing = await self._transcript(request.scope["user"], job)
        return await self.pages.show(
            request,
            "job.html",
            job=job,
            address=self.addresses.address(job.id) if _has_audio(job) else None,
            settled=settled_in_words(job),
            kept=kept,
            missing=missing,
            formats=_SUFFIXES,
        )

    async def _transcript(self, who: Principal, job: OwnJob) -> tuple[StoredTranscript | None, str]:
        """The job's transcript, or None and the reason why it cannot be shown (empty if it has none)."""
        if job.kind != "transcription" or job.state != "completed":
            return None, ""
        try:
            return await self.transcripts.one(who, str(job.id)), ""
        except (Gone, Unavailable) as error:
            return None, error.message


def history_routes(page: HistoryPages) -> list[HTTPRouteHandler]:
    """The routes of /history and below."""
    return [
        _list_route(page),
        _job_route(page),
        _peaks_route(page),
        _transcript_route(page),
        _cancel_route(page),
    ]


def _list_route(page: HistoryPages) -> HTTPRouteHandler:
    @get("/history", opt=PERSON, include_in_schema=False)
    async def history_page(request: ApiRequest) -> Response[str]:
        query, who = request.query_params, request.scope["user"]
        state, kind, cursor = (query.get(name) or None for name in ("state", "kind", "cursor"))
        found = await page.history.list(who, state=state, kind=kind, limit=_PAGE, cursor=cursor)
        return await page.pages.show(
            request,
            "history.html",
            jobs=found,
            audio={job.id: page.addresses.address(job.id) for job in found.items if _has_audio(job)},
            state=state,
            kind=kind,
            cursor=cursor,
            states=STATES,
            kinds=KINDS,
        )

    return history_page


def _job_route(page: HistoryPages) -> HTTPRouteHandler:
    @get("/history/{job_id:str}", opt=PERSON, include_in_schema=False)
    async def job_page(request: ApiRequest, job_id: FromPath[str]) -> Response[str]:
        return await page.job(request, job_id)

    return job_page


def _peaks_route(page: HistoryPages) -> HTTPRouteHandler:
    @get("/history/{job_id:str}/peaks", opt=PERSON, include_in_schema=False)
    async def job_peaks(request: ApiRequest, job_id: FromPath[str]) -> Response[PeaksView]:
        job = await page.history.one(request.scope["user"], _identifier(job_id))
        if not _has_audio(job):
            raise Gone("This job has no audio.")
        found = await page.waveforms.peaks(request.scope["user"].account, job)
        return Response(PeaksView(found), headers={"Cache-Control": "private, max-age=3600"})

    return job_peaks


def _transcript_route(page: HistoryPages) -> HTTPRouteHandler:
    @get("/history/{job_id:str}/transcript", opt=PERSON, include_in_schema=False)
    async def job_transcript(
        request: ApiRequest, job_id: FromPath[str], format: FromQuery[str] = "text"
    ) -> Response[Any]:
        suffix = _SUFFIXES[checked_format(format)]
        kept = await page.transcripts.one(request.scope["user"], job_id)
        answer = transcript_response(kept, format)
        answer.headers["Content-Disposition"] = f'attachment; filename="transcript-{kept.job_id}.{suffix}"'
        return answer

    return job_transcript


def _cancel_route(page: HistoryPages) -> HTTPRouteHandler:
    @post("/history/{job_id:str}/cancel", opt=_CANCEL, include_in_schema=False)
    async def cancel(request: ApiRequest, job_id: FromPath[str]) -> Response[None]:
        await read_form(request, NoForm, page.pages.sessions)
        with suppress(TooLate):  # the job's page says how it ended
            await page.speech.cancel(request.scope["user"], job_id)
        return redirect(f"/history/{_identifier(job_id)}")

    return cancel


def _has_audio(job: OwnJob) -> bool:
    return job.state == "completed" and bool(job.has_audio)


def _identifier(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise NotFound("There is no such job.") from None
