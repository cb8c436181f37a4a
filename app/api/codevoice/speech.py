"""CodeVoice's own dialect: queues speech, polls its status, lists voices."""

from functools import partial
from typing import Any
from uuid import UUID

import msgspec
from litestar import Response, get, post
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath, FromQuery
from msgspec import UNSET

from app.api.codevoice.schemas import Queued, SpeechBody, Status, VoiceList, VoiceView
from app.api.direct import directly
from app.domain.billing.credits import credits as in_credits
from app.domain.errors import DomainError, MissingKey
from app.domain.identity.principals import Principal
from app.domain.identity.scopes import SPEECH
from app.domain.speech.audio_urls import AudioUrls
from app.domain.speech.outcomes import gone, outcome_in_words
from app.domain.speech.samples import Samples
from app.domain.speech.service import SpeechService
from app.domain.speech.validation import SpeechRequest
from app.domain.voices.catalog import Catalog, Catalogs, Offer
from app.domain.voices.listing import VoiceFilter, list_voices
from app.http.authentication import Authenticator, Credential
from app.http.bodies import AnyRequest, decode_json, header_of, read_body
from app.http.json_response import NO_STORE, Headers, JsonResponse
from app.http.rate_limit import RateLimitGuard
from app.openapi.bodies import request_body
from db.types import Progress

_ROUTE = "POST /v1/tts"
_BODY = msgspec.json.Decoder(SpeechBody)


class _KeyOnly(msgspec.Struct):
    api_key: Any = None


_KEY = msgspec.json.Decoder(_KeyOnly)
_REPLAYED: Headers = ((b"idempotent-replayed", b"true"),)


def submit_route(
    speech: SpeechService, authenticator: Authenticator, rate_limit: RateLimitGuard, *, body_bytes_max: int
) -> HTTPRouteHandler:
    """`POST /v1/tts`."""
    opt = {"body_key": True, "scope": SPEECH, "limit": "post"}

    @post(
        "/v1/tts",
        status_code=200,
        opt=opt,
        operation_class=request_body(SpeechBody),
        middleware=[directly(with_request=True)],
    )
    async def queue_speech(request: AnyRequest) -> JsonResponse[Queued]:
        body = await read_body(request, bytes_max=body_bytes_max)
        who: Principal | None = request.scope["user"]
        if who is None:
            who = await _of_body(request, body, authenticator)
            await rate_limit.after(opt, request.scope, who)
        sent = decode_json(body, _BODY)
        wanted = SpeechRequest(**{field: getattr(sent, field) for field in SpeechRequest.__struct_fields__})
        key = header_of(request.scope, "idempotency-key")
        ticket = await speech.submit(who, wanted, key, route=_ROUTE)
        view = Queued(job_id=ticket.job_id, user_type=who.user_type, tier=who.tier, message=ticket.message)
        headers = (*(_REPLAYED if ticket.replayed else ()), (b"x-voice-engine", ticket.engine.encode()))
        return JsonResponse(view, headers=headers)

    return queue_speech


async def _of_body(request: AnyRequest, body: bytes, authenticator: Authenticator) -> Principal:
    """The principal of the key in the body. An unreadable body counts as one without a key.

    An unauthenticated caller learns nothing more about its body.
    """
    try:
        key = decode_json(body, _KEY).api_key
    except DomainError:
        raise MissingKey from None
    if not isinstance(key, str) or not key.strip():
        raise MissingKey
    who = await authenticator.authenticate(Credential("key", key.strip()))
    request.scope["user"] = who
    who.allow(SPEECH)
    return who


def status_route(speech: SpeechService, addresses: AudioUrls) -> HTTPRouteHandler:
    """`GET /tts/status/{job_id}`."""

    @get("/tts/status/{job_id:str}", opt={"public": True, "limit": "poll"}, middleware=[directly()])
    async def speech_status(job_id: FromPath[str]) -> JsonResponse[Status]:
        job = await speech.progress(job_id)
        return JsonResponse(_status(job_id, job, addresses), headers=NO_STORE)

    return speech_status


def _status(job_id: str, job: Progress, addresses: AudioUrls) -> Status:
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
            return view(status="completed", audio_url=addresses.address(UUID(job_id)))
        case state:
            reason = state if state != "failed" else job.code or "failed"
            words = outcome_in_words(reason, job)
            return view(status="failed", error=words, reason=reason)


def voices_route(catalogs: Catalogs, samples: Samples) -> HTTPRouteHandler:
    """`GET /v1/voices`."""
    whole = _WholeList(samples)

    @get("/v1/voices", opt={"public": True})
    async def voices(
        language: FromQuery[str | None] = None,
        gender: FromQuery[str | None] = None,
        quality: FromQuery[str | None] = None,
        limit: FromQuery[int | None] = None,
        cursor: FromQuery[str | None] = None,
    ) -> Response[VoiceList]:
        catalog = await catalogs.current()
        wanted = VoiceFilter(language=language, gender=gender, quality=quality, limit=limit, cursor=cursor)
        if wanted == VoiceFilter():
            body: Any = whole.of(catalog)  # bytes are sent unchanged
            return Response(body)
        return Response(_page(catalog, wanted, samples))

    return voices


class _WholeList:
    """The unfiltered list, encoded once for each catalog."""

    def __init__(self, samples: Samples) -> None:
        self._samples = samples
        self._catalog: Catalog | None = None
        self._body = b""

    def of(self, catalog: Catalog) -> bytes:
        if catalog is not self._catalog:
            body = msgspec.json.encode(_page(catalog, VoiceFilter(), self._samples))
            self._catalog, self._body = catalog, body
        return self._body


def _page(catalog: Catalog, wanted: VoiceFilter, samples: Samples) -> VoiceList:
    page = list_voices(catalog, wanted)
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
