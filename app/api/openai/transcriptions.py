"""OpenAI's `POST /v1/audio/transcriptions`, and `/v1/audio/translations` to English."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from litestar import Response, post
from litestar.handlers import HTTPRouteHandler
from msgspec import Meta, Struct, field

from app.api.codevoice.transcription import ENGINE_HEADER
from app.api.openai.transcripts import FORMS, as_events, render
from app.domain.errors import Invalid
from app.domain.identity.scopes import TRANSCRIPTION
from app.domain.transcription.engine_choice import PROMPT_MAX, TEMPERATURE_MAX, TranscriptionRequest
from app.domain.transcription.service import Transcribed, TranscriptionService, UploadLimits
from app.domain.voices.aliases import Aliases
from app.http.bodies import AnyRequest
from app.http.disconnects import cancel_on_disconnect
from app.http.multipart import FRAMING_BYTES_MAX, Form, read_multipart
from app.openapi.bodies import request_body

_OPT = {"scope": TRANSCRIPTION, "limit": "post"}
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


def openai_transcription_routes(
    transcriptions: TranscriptionService, aliases: Aliases, limits: UploadLimits
) -> list[HTTPRouteHandler]:
    """The routes for transcriptions and translations."""
    size = limits.upload_bytes_max + FRAMING_BYTES_MAX

    async def transcribe(request: AnyRequest, route: str, *, translate: bool) -> Response[Any]:
        key = request.headers.get("idempotency-key")
        async with read_multipart(
            request, file_field="file", file_bytes_max=limits.upload_bytes_max, wait_s=limits.upload_wait_s
        ) as form:
            engine = await aliases.engine(form.fields.get("model"), "transcription")
            wanted = _wanted(form, engine, translate=translate)
            who = request.scope["user"]
            work = transcriptions.transcribe(who, form.upload, wanted.request, key, route=route)
            done = await cancel_on_disconnect(request.receive, work)
        answer = _answer(wanted, done)
        answer.headers |= {"Cache-Control": "no-store", ENGINE_HEADER: done.engine}
        if done.replayed:
            answer.headers["Idempotent-Replayed"] = "true"
        return answer

    form_body = request_body(RecordingBody, media_type="multipart/form-data")

    @post(
        "/v1/audio/transcriptions",
        status_code=200,
        opt=_OPT,
        operation_class=form_body,
        request_max_body_size=size,
    )
    async def openai_transcription(request: AnyRequest) -> Response[Any]:
        return await transcribe(request, "POST /v1/audio/transcriptions", translate=False)

    @post(
        "/v1/audio/translations",
        status_code=200,
        opt=_OPT,
        operation_class=form_body,
        request_max_body_size=size,
    )
    async def openai_translation(request: AnyRequest) -> Response[Any]:
        return await transcribe(request, "POST /v1/audio/translations", translate=True)

    return [openai_transcription, openai_translation]


def _wanted(form: Form, engine: str | None, *, translate: bool) -> _Wanted:
    """Parse the form's fields. Raises Invalid."""
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
