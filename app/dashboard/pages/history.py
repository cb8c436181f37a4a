"""The history pages: jobs filtered, played, downloaded and cancelled; and a page for each job."""

from contextlib import suppress
from typing import Annotated, Any
from uuid import UUID

from litestar import Controller, Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, QueryParameter
from msgspec import Struct

from app.api.codevoice.transcripts import checked_format, transcript_response
from app.dashboard.rendering import PERSON, Page, PageRequest, redirect
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
_SUFFIXES = {"text": "txt", "srt": "srt", "vtt": "vtt", "json": "json"}  # of a transcript's file, by format


class PeaksView(Struct, frozen=True):
    """GET /history/{job_id}/peaks; empty if the audio cannot be read."""

    peaks: list[int]


class HistoryPages(Controller):
    """The account's own jobs."""

    path = "/history"
    opt = PERSON

    @get()
    async def history_page(
        self,
        page: NamedDependency[PageRequest],
        history: NamedDependency[History],
        audio_urls: NamedDependency[AudioUrls],
        in_state: Annotated[str, QueryParameter(name="state")] = "",
        kind: FromQuery[str] = "",
        cursor: FromQuery[str] = "",
    ) -> Page:
        """The jobs that match the filters, the newest first; an empty filter is none."""
        found = await history.list(
            page.request.user, state=in_state or None, kind=kind or None, limit=_PAGE, cursor=cursor or None
        )
        return await page.show(
            "history.html",
            jobs=found,
            audio={job.id: audio_urls.address(job.id) for job in found.items if _has_audio(job)},
            state=in_state,
            kind=kind,
            cursor=cursor,
            states=STATES,
            kinds=KINDS,
        )

    @get("/{job_id:str}")
    async def job_page(
        self,
        job_id: FromPath[str],
        page: NamedDependency[PageRequest],
        history: NamedDependency[History],
        audio_urls: NamedDependency[AudioUrls],
        transcripts: NamedDependency[StoredTranscripts],
    ) -> Page:
        """One job, with its audio or its transcript while they are kept."""
        job = await history.one(page.request.user, _identifier(job_id))
        kept, missing = await _transcript(transcripts, page.request.user, job)
        return await page.show(
            "job.html",
            job=job,
            address=audio_urls.address(job.id) if _has_audio(job) else None,
            settled=settled_in_words(job),
            kept=kept,
            missing=missing,
            formats=_SUFFIXES,
        )

    @get("/{job_id:str}/peaks")
    async def job_peaks(
        self,
        request: ApiRequest,
        job_id: FromPath[str],
        history: NamedDependency[History],
        waveforms: NamedDependency[WaveformCache],
    ) -> Response[PeaksView]:
        """The peaks of a job's audio, to draw its waveform."""
        job = await history.one(request.user, _identifier(job_id))
        if not _has_audio(job):
            raise Gone("This job has no audio.")
        found = await waveforms.peaks(request.user.account, job)
        return Response(PeaksView(found), headers={"Cache-Control": "private, max-age=3600"})

    @get("/{job_id:str}/transcript")
    async def job_transcript(
        self,
        request: ApiRequest,
        job_id: FromPath[str],
        transcripts: NamedDependency[StoredTranscripts],
        format: FromQuery[str] = "text",
    ) -> Response[Any]:
        """A job's transcript as a file."""
        suffix = _SUFFIXES[checked_format(format)]
        kept = await transcripts.one(request.user, job_id)
        answer = transcript_response(kept, format)
        answer.headers["Content-Disposition"] = f'attachment; filename="transcript-{kept.job_id}.{suffix}"'
        return answer

    @post("/{job_id:str}/cancel", opt={"limit": "post", "back": "/history/{job_id}"})
    async def cancel(
        self,
        job_id: FromPath[str],
        page: NamedDependency[PageRequest],
        speech: NamedDependency[SpeechService],
    ) -> Page:
        """Cancel a job."""
        with suppress(TooLate):  # the job's page says how it ended
            await speech.cancel(page.request.user, job_id)
        return redirect(f"/history/{_identifier(job_id)}")


async def _transcript(
    transcripts: StoredTranscripts, who: Principal, job: OwnJob
) -> tuple[StoredTranscript | None, str]:
    """The job's transcript, or None and the reason why it cannot be shown (empty if it has none)."""
    if job.kind != "transcription" or job.state != "completed":
        return None, ""
    try:
        return await transcripts.one(who, str(job.id)), ""
    except (Gone, Unavailable) as error:
        return None, error.message


def _has_audio(job: OwnJob) -> bool:
    return job.state == "completed" and bool(job.has_audio)


def _identifier(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise NotFound("There is no such job.") from None
