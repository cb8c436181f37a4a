"""OpenAI's `POST /v1/audio/transcriptions`, and `/v1/audio/translations` to English."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from litestar import Controller, Response, post
from litestar.di import NamedDependency
from msgspec import Meta, Struct, field

from app.api.codevoice.transcription import ENGINE_HEADER
from app.api.openai.transcripts import FORMS, JsonView, VerboseView, as_events, render
from app.domain.errors import Invalid, UnknownModel
from app.domain.identity.scopes import TRANSCRIPTION
from app.domain.transcription.engine_choice import PROMPT_MAX, TEMPERATURE_MAX, TranscriptionRequest
from app.domain.transcription.service import Transcribed, TranscriptionService, UploadLimits
from app.domain.voices.aliases import Aliases
from app.http.api_request import ApiRequest
from app.http.disconnects import cancel_on_disconnect
from app.http.json_response import NO_STORE, replayed
from app.http.multipart import Form, read_multipart
from app.openapi import errors
from app.openapi.operations import EVENTS, uploads
from app.openapi.parameters import IdempotencyKey

_GRANULARITIES = ("segment", "word")


class RecordingBody(Struct, frozen=True, kw_only=True):
    """POST /v1/audio/transcriptions and /v1/audio/translations."""

    file: Annotated[str, Meta(extra_json_schema={"format": "binary"})]
    model: str | None = None
    language: str | None = None
    prompt: str | None = None
    response_format: Literal["json", "text", "srt", "verbose_json", "vtt"] = "json"
    stream: Literal["true", "false"] = "false"
    temperature: Annotated[float, Meta(ge=0, le=TEMPERATURE_MAX)] = 0.0
    granularities: list[Literal["segment", "word"]] = field(
        name="timestamp_granularities[]", default_factory=list
    )


class _Wanted(Struct, frozen=True, kw_only=True):
    form: str
    granularities: Sequence[str]
    stream: bool
    request: TranscriptionRequest


_OPERATION = uploads(RecordingBody, "text/plain", "text/vtt", EVENTS)


_OPT = {
    "scope": TRANSCRIPTION,
    "limit": "post",
    "errors": (*errors.TRANSCRIPTION, UnknownModel),
}


class OpenAITranscriptionController(Controller):
    """Recordings, transcribed in their language or translated to English."""

    path = "/v1/audio"
    opt = _OPT
    response_headers = NO_STORE

    @post("/transcriptions", status_code=200, operation_class=_OPERATION)
    async def openai_transcription(
        self,
        request: ApiRequest,
        transcriptions: NamedDependency[TranscriptionService],
        aliases: NamedDependency[Aliases],
        upload_limits: NamedDependency[UploadLimits],
        idempotency_key: IdempotencyKey = None,
    ) -> Response[JsonView | VerboseView]:
        """Transcribe a recording in its language."""
        async with read_multipart(request, file_field="file", limits=upload_limits) as form:
            wanted = await _wanted(form, aliases, translate=False)
            return await _transcribe(request, transcriptions, form, wanted, idempotency_key)

    @post("/translations", status_code=200, operation_class=_OPERATION)
    async def openai_translation(
        self,
        request: ApiRequest,
        transcriptions: NamedDependency[TranscriptionService],
        aliases: NamedDependency[Aliases],
        upload_limits: NamedDependency[UploadLimits],
        idempotency_key: IdempotencyKey = None,
    ) -> Response[JsonView | VerboseView]:
        """Transcribe a recording in English, whatever its language."""
        async with read_multipart(request, file_field="file", limits=upload_limits) as form:
            wanted = await _wanted(form, aliases, translate=True)
            return await _transcribe(request, transcriptions, form, wanted, idempotency_key)


async def _transcribe(
    request: ApiRequest,
    transcriptions: TranscriptionService,
    form: Form,
    wanted: _Wanted,
    idempotency_key: str | None,
) -> Response[Any]:
    route = f"POST {request.scope['path_template']}"
    work = transcriptions.transcribe(request.user, form.upload, wanted.request, idempotency_key, route=route)
    done = await cancel_on_disconnect(request.receive, work)
    answer = _answer(wanted, done)
    answer.headers |= {ENGINE_HEADER: done.engine} | replayed(done.replayed)
    return answer


async def _wanted(form: Form, aliases: Aliases, *, translate: bool) -> _Wanted:
    """Parse the form's fields. Raises Invalid and UnknownModel."""
    engine = await aliases.engine(form.fields.get("model"), "transcription")
    kind = form.fields.get("response_format", "json")
    stream = _choice("stream", form.fields.get("stream", "false").lower(), ("true", "false")) == "true"
    _choice("response_format", kind, ("json",) if stream else FORMS)
    granularities = form.every("timestamp_granularities[]") or form.every("timestamp_granularities")
    for granularity in granularities:
        _choice("timestamp_granularities[]", granularity, _GRANULARITIES)
    return _Wanted(
        form=kind,
        granularities=granularities or ("segment",),
        stream=stream,
        request=TranscriptionRequest(
            language=None if translate else form.fields.get("language"),
            words=kind == "verbose_json" and "word" in granularities,
            translate=translate,
            engine=engine,
            prompt=_prompt(form.fields.get("prompt", "")),
            temperature=_temperature(form.fields.get("temperature", "0")),
        ),
    )


def _answer(wanted: _Wanted, done: Transcribed) -> Response[Any]:
    if wanted.stream:
        return as_events(done.transcript)
    translated = wanted.request.translate
    return render(done, wanted.form, granularities=wanted.granularities, translated=translated)


def _choice(field: str, value: str, known: Sequence[str]) -> str:
    if value not in known:
        raise Invalid(f"The {field} is one of {', '.join(known)}.", field=field, limit=list(known))
    return value


def _prompt(value: str) -> str:
    if "\0" in value:
        raise Invalid("The prompt has a NUL character.", field="prompt")
    return value[-PROMPT_MAX:]  # the last characters count, as OpenAI does it


def _temperature(value: str) -> float:
    try:
        temperature = float(value)
    except ValueError:
        temperature = -1.0
    if not 0 <= temperature <= TEMPERATURE_MAX:
        message = f"The temperature must be from 0 to {TEMPERATURE_MAX:g}."
        raise Invalid(message, field="temperature", limit=[0, TEMPERATURE_MAX])
    return temperature
