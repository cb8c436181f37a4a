"""CodeVoice's own dialect: queues speech, polls its status, lists voices."""

from functools import partial
from uuid import UUID

from litestar import get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody
from msgspec import UNSET

from app.api.audio_response import ENGINE
from app.api.codevoice.schemas import Queued, SpeechBody, Status, VoiceList, VoiceView
from app.domain.billing.credits import credits as in_credits
from app.domain.errors import Gone
from app.domain.identity.scopes import SPEECH
from app.domain.speech.audio_urls import AudioUrls
from app.domain.speech.outcomes import gone, outcome_in_words
from app.domain.speech.samples import Samples
from app.domain.speech.service import SpeechService
from app.domain.speech.validation import SpeechRequest
from app.domain.voices.catalog import Catalogs, Offer
from app.domain.voices.listing import VoiceFilter, list_voices
from app.http.api_request import ApiRequest
from app.http.json_response import NO_STORE, JsonResponse, replayed
from app.openapi import errors
from app.openapi.parameters import IdempotencyKey

_ROUTE = "POST /v1/tts"


@post(
    "/v1/tts",
    status_code=200,
    opt={"body_key": True, "scope": SPEECH, "limit": "post", "errors": errors.SPEECH},
)
async def queue_speech(
    data: JSONBody[SpeechBody],
    request: ApiRequest,
    speech: NamedDependency[SpeechService],
    idempotency_key: IdempotencyKey = None,
) -> JsonResponse[Queued]:
    """Queue text for speech; poll the job at /tts/status/{job_id}."""
    wanted = SpeechRequest(**{field: getattr(data, field) for field in SpeechRequest.__struct_fields__})
    ticket = await speech.submit(request.user, wanted, idempotency_key, route=_ROUTE)
    view = Queued(
        job_id=ticket.job_id,
        user_type=request.user.user_type,
        tier=request.user.tier,
        message=ticket.message,
    )
    return JsonResponse(view, headers={ENGINE: ticket.engine} | replayed(ticket.replayed))


@get(
    "/tts/status/{job_id:str}",
    opt={"public": True, "limit": "poll", "errors": (Gone,)},
    response_headers=NO_STORE,
)
async def speech_status(job_id: FromPath[str], speech_statuses: NamedDependency["SpeechStatuses"]) -> Status:
    """Show the state of a job: queued, processing, completed with the audio's URL, or failed."""
    return await speech_statuses.of(job_id)


class SpeechStatuses:
    """The status of jobs, with the URL of finished audio."""

    def __init__(self, speech: SpeechService, audio_urls: AudioUrls) -> None:
        self._speech = speech
        self._audio_urls = audio_urls

    async def of(self, job_id: str) -> Status:
        """The status of the job. Raises NotFound and Gone."""
        job = await self._speech.progress(job_id)
        if job.state in ("queued", "processing"):  # nearly every poll
            return Status(
                status="queued" if job.state == "queued" and job.attempt == 0 else "processing",
                created_at=job.created_at,
                duration_ms=job.duration_ms,
                position=job.position,
                charged=False,
                engine=job.engine,
            )
        view = partial(
            Status,
            created_at=job.created_at,
            duration_ms=job.duration_ms,
            position=job.position,
            charged=job.charged,
            credits=in_credits(job.spent),
            engine=job.engine,
            voice_used=job.voice_used if job.voice_reason else UNSET,
            voice_reason=job.voice_reason or UNSET,
        )
        match job.state:
            case "completed" if not job.has_audio:
                raise gone("This audio was kept for its time and is gone. Generate it anew.")
            case "completed":
                return view(status="completed", audio_url=self._audio_urls.address(UUID(job_id)))
            case state:
                reason = state if state != "failed" else job.code or "failed"
                words = outcome_in_words(reason, job)
                return view(status="failed", error=words, reason=reason)


@get("/v1/voices", opt={"public": True})
async def voices(
    catalogs: NamedDependency[Catalogs],
    samples: NamedDependency[Samples],
    language: FromQuery[str | None] = None,
    gender: FromQuery[str | None] = None,
    quality: FromQuery[str | None] = None,
    limit: FromQuery[int | None] = None,
    cursor: FromQuery[str | None] = None,
) -> VoiceList:
    """List the voices that can speak now, and the aliases for them."""
    wanted = VoiceFilter(language=language, gender=gender, quality=quality, limit=limit, cursor=cursor)
    page = list_voices(await catalogs.current(), wanted)
    return VoiceList(
        voices=[voice_view(offer, samples.address(offer.voice)) for offer in page.offers],
        has_more=page.has_more,
        total_count=page.total,
        next_cursor=page.offers[-1].voice.id if page.has_more else None,
    )


def voice_view(offer: Offer, sample_url: str) -> VoiceView:
    """A voice with the fields of every dialect."""
    voice = offer.voice
    return VoiceView(
        name=voice.name,
        gender=voice.gender,
        language=voice.languages[0],
        language_name=voice.language_names[0] if voice.language_names else voice.languages[0],
        description=voice.description,
        quality=voice.quality,
        id=voice.id,
        voice_id=voice.id,
        languages=voice.languages,
        age=voice.age,
        style=voice.style,
        engine=offer.engine.engine,
        voice_used=offer.voice_used,
        labels={"gender": voice.gender, "age": voice.age, "language": voice.languages[0]},
        sample_url=sample_url,
        preview_url=sample_url,
    )
