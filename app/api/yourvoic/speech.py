"""YourVoic's speech: whole, as it is made, or (asked for so) as a job (rows 16 to 18)."""

import time
from typing import Any, Literal
from uuid import UUID

import msgspec
from litestar import Response, post
from litestar.handlers import HTTPRouteHandler
from msgspec import Struct

from app.api.bodies import AnyRequest, read_json
from app.api.openapi import takes
from app.api.sound import Sound
from app.domain.answers import Answers
from app.domain.catalog import Catalogs
from app.domain.errors import Invalid
from app.domain.plan import SpeechRequest
from app.domain.scopes import SPEECH

_OPT = {"scope": SPEECH, "limit": "post"}
_WHOLE, _STREAM = "POST /api/v1/tts/generate", "POST /api/v1/tts/stream"


class GenerateBody(Struct, frozen=True, kw_only=True):
    """POST /api/v1/tts/generate and its streaming forms."""

    text: str | None = None
    voice: str | None = None
    language: str | None = None
    model: str | None = None
    speed: float | None = None
    pitch: float | None = None
    format: str | None = None
    sample_rate: int | None = None


class Accepted(Struct, frozen=True, kw_only=True):
    """The answer to `Prefer: respond-async`."""

    success: Literal[True] = True
    job_id: UUID
    status: Literal["queued"] = "queued"
    status_url: str
    audio_url: str
    stream_url: str


_BODY = msgspec.json.Decoder(GenerateBody)


def generate_routes(
    sound: Sound, answers: Answers, catalogs: Catalogs, *, body_bytes_max: int
) -> list[HTTPRouteHandler]:
    """Rows 16 to 18."""

    async def asked(request: AnyRequest, default_format: str) -> SpeechRequest:
        body = await read_json(request, _BODY, bytes_max=body_bytes_max)
        if body.model is not None:
            await _check_model(body.model, catalogs)
        return _wanted(body, default_format)

    @post("/api/v1/tts/generate", status_code=200, opt=_OPT, operation_class=takes(GenerateBody))
    async def generate(request: AnyRequest) -> Response[Any]:
        began = time.perf_counter()
        wanted = await asked(request, "mp3")
        if _prefers_later(request):
            return await _later(request, wanted, answers)
        answer = await sound.whole(request, wanted, route=_WHOLE)
        answer.headers["X-Processing-Time-Ms"] = str(round((time.perf_counter() - began) * 1000))
        return answer

    @post("/api/v1/tts/generate/stream", status_code=200, opt=_OPT, operation_class=takes(GenerateBody))
    async def generate_stream(request: AnyRequest) -> Response[Any]:
        wanted = await asked(request, "mp3")
        if _prefers_later(request):
            return await _later(request, wanted, answers)
        return await sound.live(request, wanted, route=_STREAM)

    @post("/api/v1/tts/stream", status_code=200, opt=_OPT, operation_class=takes(GenerateBody))
    async def stream(request: AnyRequest) -> Response[Any]:
        wanted = await asked(request, "pcm")
        if _prefers_later(request):
            return await _later(request, wanted, answers)
        return await sound.live(request, wanted, route=_STREAM)

    return [generate, generate_stream, stream]


def _wanted(body: GenerateBody, default_format: str) -> SpeechRequest:
    return SpeechRequest(
        text=body.text or "",
        voice=body.voice or "",
        language=body.language,
        format=body.format or default_format,
        speed=body.speed,
        pitch=body.pitch,
        sample_rate=body.sample_rate,
    )


async def _check_model(model: str, catalogs: Catalogs) -> None:
    """A voice has one engine: the model named is looked at, and chooses nothing."""
    engines = sorted({offer.engine.engine for offer in (await catalogs.current()).offers})
    if model.strip().casefold() not in engines:
        raise Invalid(f"Models are {', '.join(engines)}.", field="model", limit=engines)


def _prefers_later(request: AnyRequest) -> bool:
    asked = request.headers.get("prefer", "").casefold()
    return any(part.strip() == "respond-async" for part in asked.replace(";", ",").split(","))


async def _later(request: AnyRequest, wanted: SpeechRequest, answers: Answers) -> Response[Accepted]:
    key = request.headers.get("idempotency-key")
    ticket = await answers.later(request.scope["user"], wanted, key, route=f"{_WHOLE} later")
    headers = {"Location": f"/v1/jobs/{ticket.job_id}", "Preference-Applied": "respond-async"}
    if ticket.replayed:
        headers["Idempotent-Replayed"] = "true"
    view = Accepted(
        job_id=ticket.job_id,
        status_url=f"/tts/status/{ticket.job_id}",
        audio_url=f"/tts/audio/{ticket.job_id}",
        stream_url=f"/tts/stream/{ticket.job_id}",
    )
    return Response(view, status_code=202, headers=headers)
