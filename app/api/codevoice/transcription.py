"""Transcription in CodeVoice's dialect: `POST /transcribe` and `GET /api/stt/languages`."""

from typing import Annotated
from uuid import UUID

from litestar import get, post
from litestar.di import NamedDependency
from msgspec import UNSET, Meta, Struct, UnsetType

from app.api.codevoice.live_transcription import UsedCredits
from app.domain.billing.credits import credits
from app.domain.identity.scopes import TRANSCRIPTION
from app.domain.transcription.engine_choice import TranscriptionRequest
from app.domain.transcription.service import Transcribed, TranscriptionService, UploadLimits
from app.http.api_request import ApiRequest
from app.http.disconnects import cancel_on_disconnect
from app.http.json_response import NO_STORE, JsonResponse, replayed
from app.http.multipart import read_multipart
from app.openapi import errors
from app.openapi.operations import uploads
from app.openapi.parameters import IdempotencyKey
from db.storage.transcripts import Segment, Word

_ROUTE = "POST /transcribe"
ENGINE_HEADER = "X-Voice-Engine"  # the engine that transcribed


class TranscriptionLanguage(Struct, frozen=True, kw_only=True):
    """A language that the running engine can transcribe."""

    code: str
    name: str


class LanguageList(Struct, frozen=True, kw_only=True):
    """GET /api/stt/languages. `engine` and `description` name the engine that transcribes."""

    languages: list[TranscriptionLanguage]
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


@get("/api/stt/languages", opt={"public": True})
async def transcription_languages(transcriptions: NamedDependency[TranscriptionService]) -> LanguageList:
    """List the languages that can be transcribed now."""
    engine = await transcriptions.engine(TranscriptionRequest())
    names = zip(engine.languages, engine.language_names, strict=True)
    return LanguageList(
        languages=[TranscriptionLanguage(code=code, name=name) for code, name in names],
        engine=engine.engine,
        description=engine.description,
        detects_language=engine.detects_language,
    )


@post(
    "/transcribe",
    status_code=200,
    opt={"scope": TRANSCRIPTION, "limit": "post", "errors": errors.TRANSCRIPTION},
    response_headers=NO_STORE,
    operation_class=uploads(RecordingBody),
)
async def transcribe(
    request: ApiRequest,
    transcriptions: NamedDependency[TranscriptionService],
    upload_limits: NamedDependency[UploadLimits],
    idempotency_key: IdempotencyKey = None,
) -> JsonResponse[TranscriptView]:
    """Transcribe a recording."""
    async with read_multipart(request, file_field="file", limits=upload_limits) as form:
        wanted = TranscriptionRequest(language=form.fields.get("language"))
        work = transcriptions.transcribe(request.user, form.upload, wanted, idempotency_key, route=_ROUTE)
        done = await cancel_on_disconnect(request.receive, work)
    return JsonResponse(_view(done), headers={ENGINE_HEADER: done.engine} | replayed(done.replayed))


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
