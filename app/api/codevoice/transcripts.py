"""`GET /v1/transcriptions/{job_id}`: transcripts for their owner, in several formats."""

from datetime import datetime
from typing import Any
from uuid import UUID

from litestar import Response, get
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery
from msgspec import UNSET, Struct, UnsetType

from app.api.codevoice.transcription import ENGINE_HEADER, SegmentView, segment_view
from app.domain.errors import Invalid
from app.domain.identity.scopes import TRANSCRIPTION
from app.domain.transcription.stored_transcripts import StoredTranscript, StoredTranscripts
from app.domain.transcription.subtitles import TEXTS
from app.http.api_request import ApiRequest
from app.http.json_response import NO_STORE
from app.openapi.operations import sends

FORMATS = ("json", *TEXTS)


class KeptView(Struct, frozen=True, kw_only=True):
    """GET /v1/transcriptions/{job_id} as json. The transcript is deleted after `kept_until`."""

    job_id: UUID
    text: str
    language: str
    duration: float
    segments: list[SegmentView]
    engine: str
    kept_until: datetime | None
    warnings: tuple[str, ...] | UnsetType = UNSET


@get(
    "/v1/transcriptions/{job_id:str}",
    opt={"scope": TRANSCRIPTION},
    operation_class=sends(*(media_type for _, media_type in TEXTS.values()), only=False),
)
async def show_transcript(
    request: ApiRequest,
    job_id: FromPath[str],
    transcripts: NamedDependency[StoredTranscripts],
    format: FromQuery[str] = "json",
) -> Response[KeptView]:
    """Send a stored transcript, as JSON, as text or as subtitles."""
    wanted = checked_format(format)
    return transcript_response(await transcripts.one(request.user, job_id), wanted)


def checked_format(name: str) -> str:
    """Return `name` if it is one of FORMATS. Raises Invalid."""
    if name not in FORMATS:
        raise Invalid(f"Formats are {', '.join(FORMATS)}.", field="format", limit=list(FORMATS))
    return name


def transcript_response(kept: StoredTranscript, form: str) -> Response[Any]:
    """The response with the transcript in one of FORMATS."""
    headers = NO_STORE | ({ENGINE_HEADER: kept.transcript.engine} if kept.transcript.engine else {})
    if form == "json":
        return Response(_view(kept), headers=headers)
    write, media_type = TEXTS[form]
    return Response(write(kept.transcript).encode(), headers=headers, media_type=media_type)


def _view(kept: StoredTranscript) -> KeptView:
    transcript = kept.transcript
    return KeptView(
        job_id=kept.job_id,
        text=transcript.text,
        language=transcript.language,
        duration=transcript.duration,
        segments=[segment_view(segment) for segment in transcript.segments],
        engine=transcript.engine,
        kept_until=kept.kept_until,
        warnings=transcript.warnings or UNSET,
    )
