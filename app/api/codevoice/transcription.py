"""Transcription in CodeVoice's dialect: rows 6 and 7."""

from typing import Annotated
from uuid import UUID

from litestar import Response, get, post
from litestar.handlers import HTTPRouteHandler
from msgspec import UNSET, Meta, Struct, UnsetType

from app.api.codevoice.live_transcription import UsedCredits
from app.domain.billing.credits import credits
from app.domain.identity.scopes import TRANSCRIPTION
from app.domain.transcription.service import Transcribed, TranscriptionRequest, TranscriptionService
from app.http.bodies import AnyRequest
from app.http.disconnects import cancel_on_disconnect
from app.http.multipart import FRAMING_BYTES_MAX, read_multipart
from app.openapi.bodies import request_body
from db.storage.transcripts import Segment, Word

_ROUTE = "POST /transcribe"
_NO_STORE = {"Cache-Control": "no-store"}
ENGINE_HEADER = "X-Voice-Engine"  # who heard


class LanguageView(Struct, frozen=True, kw_only=True):
    """A language of the running engine."""

    code: str
    name: str


class LanguageList(Struct, frozen=True, kw_only=True):
    """GET /api/stt/languages. `engine` and `description` say who hears."""

    languages: list[LanguageView]
    engine: str
    description: str
    detects_language: bool


class SegmentView(Struct, frozen=True, kw_only=True):
    """What was said between two pauses; seconds. The figures are there where the engine has them."""

    id: int
    start: float
    end: float
    text: str
    avg_logprob: float | UnsetType = UNSET
    compression_ratio: float | UnsetType = UNSET
    no_speech_prob: float | UnsetType = UNSET
    words: tuple[Word, ...] | UnsetType = UNSET


class TranscriptView(Struct, frozen=True, kw_only=True):
    """POST /transcribe. `warnings` are there where the file was not whole, or the text may be wrong.

    `job_id`: what GET /v1/transcriptions knows it by while it is kept.
    """

    job_id: UUID
    text: str
    language: str
    duration: float
    segments: list[SegmentView]
    engine: str
    credits: UsedCredits
    warnings: tuple[str, ...] | UnsetType = UNSET


class RecordingBody(Struct, frozen=True, kw_only=True):
    """POST /transcribe."""

    file: Annotated[str, Meta(extra_json_schema={"format": "binary"})]
    language: str | None = None


class UploadLimits(Struct, frozen=True, kw_only=True):
    """The operator's choices for uploads."""

    bytes_max: int
    wait_s: float


def transcription_routes(
    transcriptions: TranscriptionService, limits: UploadLimits
) -> list[HTTPRouteHandler]:
    """Rows 6 and 7."""
    return [_languages_route(transcriptions), _transcribe_route(transcriptions, limits)]


def _languages_route(transcriptions: TranscriptionService) -> HTTPRouteHandler:
    @get("/api/stt/languages", opt={"public": True})
    async def transcription_languages() -> LanguageList:
        engine = await transcriptions.engine(TranscriptionRequest())
        names = zip(engine.languages, engine.language_names, strict=True)
        return LanguageList(
            languages=[LanguageView(code=code, name=name) for code, name in names],
            engine=engine.engine,
            description=engine.description,
            detects_language=engine.detects_language,
        )

    return transcription_languages


def _transcribe_route(transcriptions: TranscriptionService, limits: UploadLimits) -> HTTPRouteHandler:
    @post(
        "/transcribe",
        status_code=200,
        opt={"scope": TRANSCRIPTION, "limit": "post"},
        operation_class=request_body(RecordingBody, media_type="multipart/form-data"),
        request_max_body_size=limits.bytes_max + FRAMING_BYTES_MAX,
    )
    async def transcribe(request: AnyRequest) -> Response[TranscriptView]:
        key = request.headers.get("idempotency-key")
        async with read_multipart(
            request, file_field="file", file_bytes_max=limits.bytes_max, wait_s=limits.wait_s
        ) as form:
            wanted = TranscriptionRequest(language=form.fields.get("language"))
            work = transcriptions.transcribe(request.scope["user"], form.upload, wanted, key, route=_ROUTE)
            done = await cancel_on_disconnect(request.receive, work)
        headers = {"Idempotent-Replayed": "true"} if done.replayed else {}
        return Response(_view(done), headers=_NO_STORE | {ENGINE_HEADER: done.engine} | headers)

    return transcribe


def _view(done: Transcribed) -> TranscriptView:
    heard = done.transcript
    remaining = None if done.remaining is None else credits(done.remaining)
    return TranscriptView(
        job_id=done.job_id,
        text=heard.text,
        language=heard.language,
        duration=heard.duration,
        segments=[segment_view(segment) for segment in heard.segments],
        engine=done.engine,
        credits=UsedCredits(used=credits(done.used), remaining=remaining),
        warnings=heard.warnings or UNSET,
    )


def segment_view(segment: Segment) -> SegmentView:
    """A segment on the wire; its words where they were asked for."""
    return SegmentView(
        id=segment.id,
        start=segment.start,
        end=segment.end,
        text=segment.text,
        avg_logprob=or_unset(segment.avg_logprob),
        compression_ratio=or_unset(segment.compression_ratio),
        no_speech_prob=or_unset(segment.no_speech_prob),
        words=segment.words or UNSET,
    )


def or_unset(figure: float | None) -> float | UnsetType:
    """A figure that nobody measured is left out: 0 would read as a good one."""
    return UNSET if figure is None else figure
