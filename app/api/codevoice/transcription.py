"""Transcription in CodeVoice's dialect: `POST /transcribe` and `GET /api/stt/languages`."""

from typing import Annotated
from uuid import UUID

from litestar import Response, get, post
from litestar.handlers import HTTPRouteHandler
from msgspec import UNSET, Meta, Struct, UnsetType

from app.api.codevoice.live_transcription import UsedCredits
from app.domain.billing.credits import credits
from app.domain.identity.scopes import TRANSCRIPTION
from app.domain.transcription.engine_choice import TranscriptionRequest
from app.domain.transcription.service import Transcribed, TranscriptionService, UploadLimits
from app.http.bodies import AnyRequest
from app.http.disconnects import cancel_on_disconnect
from app.http.multipart import FRAMING_BYTES_MAX, read_multipart
from app.openapi.bodies import request_body
from db.storage.transcripts import Segment, Word

_ROUTE = "POST /transcribe"
_NO_STORE = {"Cache-Control": "no-store"}
ENGINE_HEADER = "X-Voice-Engine"  # the engine that transcribed


class LanguageView(Struct, frozen=True, kw_only=True):
    """A language that the running engine can transcribe."""

    code: str
    name: str


class LanguageList(Struct, frozen=True, kw_only=True):
    """GET /api/stt/languages. `engine` and `description` name the engine that transcribes."""

    languages: list[LanguageView]
    engine: str
    description: str
    detects_language: bool


class SegmentView(Struct, frozen=True, kw_only=True):
    """Speech between two pauses; times in seconds. Figures the engine does not measure are absent."""

    id: int
    start: float
    end: float
    text: str
    avg_logprob: float | UnsetType = UNSET
    compression_ratio: float | UnsetType = UNSET
    no_speech_prob: float | UnsetType = UNSET
    words: tuple[Word, ...] | UnsetType = UNSET


class TranscriptView(Struct, frozen=True, kw_only=True):
    """POST /transcribe. `warnings`: present if the file was incomplete, or the text may be wrong.

    `job_id`: its id for GET /v1/transcriptions/{job_id} while the transcript is kept.
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


def transcription_routes(
    transcriptions: TranscriptionService, limits: UploadLimits
) -> list[HTTPRouteHandler]:
    """`GET /api/stt/languages` and `POST /transcribe`."""
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
        request_max_body_size=limits.upload_bytes_max + FRAMING_BYTES_MAX,
    )
    async def transcribe(request: AnyRequest) -> Response[TranscriptView]:
        key = request.headers.get("idempotency-key")
        async with read_multipart(
            request, file_field="file", file_bytes_max=limits.upload_bytes_max, wait_s=limits.upload_wait_s
        ) as form:
            wanted = TranscriptionRequest(language=form.fields.get("language"))
            work = transcriptions.transcribe(request.scope["user"], form.upload, wanted, key, route=_ROUTE)
            done = await cancel_on_disconnect(request.receive, work)
        headers = {"Idempotent-Replayed": "true"} if done.replayed else {}
        return Response(_view(done), headers=_NO_STORE | {ENGINE_HEADER: done.engine} | headers)

    return transcribe


def _view(done: Transcribed) -> TranscriptView:
    transcript = done.transcript
    remaining = None if done.remaining is None else credits(done.remaining)
    return TranscriptView(
        job_id=done.job_id,
        text=transcript.text,
        language=transcript.language,
        duration=transcript.duration,
        segments=[segment_view(segment) for segment in transcript.segments],
        engine=done.engine,
        credits=UsedCredits(used=credits(done.used), remaining=remaining),
        warnings=transcript.warnings or UNSET,
    )


def segment_view(segment: Segment) -> SegmentView:
    """A segment for the response, with its words if they were requested."""
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
    """The figure, or UNSET if it was not measured: 0 would look like a good value."""
    return UNSET if figure is None else figure
