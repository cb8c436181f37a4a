"""YourVoic's speech under /api/v1/tts: complete or live, or as a job with `Prefer: respond-async`."""

import time
from typing import Any, Literal

import msgspec
from litestar import Response, post
from litestar.handlers import HTTPRouteHandler
from msgspec import Struct

from app.api.audio_response import AudioResponder
from app.api.respond_async import Accepted
from app.domain.errors import Invalid
from app.domain.identity.scopes import SPEECH
from app.domain.speech.synchronous import SynchronousSpeech
from app.domain.speech.validation import SpeechRequest
from app.domain.voices.catalog import Catalogs
from app.http.bodies import AnyRequest, read_json
from app.openapi.bodies import request_body
from db.storage.objects import Objects

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


class YourVoicAccepted(Accepted, frozen=True, kw_only=True):
    """The response to `Prefer: respond-async`."""

    success: Literal[True] = True


_BODY = msgspec.json.Decoder(GenerateBody)


def generate_routes(
    answers: SynchronousSpeech, store: Objects, catalogs: Catalogs, *, body_bytes_max: int
) -> list[HTTPRouteHandler]:
    """The routes for complete and for live speech."""
    responder = AudioResponder(answers, store, shape=YourVoicAccepted)

    async def read_request(request: AnyRequest, default_format: str) -> SpeechRequest:
        body = await read_json(request, _BODY, bytes_max=body_bytes_max)
        if body.model is not None:
            await _check_model(body.model, catalogs)
        return _wanted(body, default_format)

    @post("/api/v1/tts/generate", status_code=200, opt=_OPT, operation_class=request_body(GenerateBody))
    async def generate(request: AnyRequest) -> Response[Any]:
        began = time.perf_counter()
        answer = await responder.complete(request, await read_request(request, "mp3"), route=_WHOLE)
        answer.headers["X-Processing-Time-Ms"] = str(round((time.perf_counter() - began) * 1000))
        return answer

    @post(
        "/api/v1/tts/generate/stream", status_code=200, opt=_OPT, operation_class=request_body(GenerateBody)
    )
    async def generate_stream(request: AnyRequest) -> Response[Any]:
        return await responder.stream(request, await read_request(request, "mp3"), route=_STREAM)

    @post("/api/v1/tts/stream", status_code=200, opt=_OPT, operation_class=request_body(GenerateBody))
    async def stream(request: AnyRequest) -> Response[Any]:
        return await responder.stream(request, await read_request(request, "pcm"), route=_STREAM)

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
    """Raise Invalid unless the model exists. It has no other effect: each voice has one engine."""
    engines = sorted({offer.engine.engine for offer in (await catalogs.current()).offers})
    if model.strip().casefold() not in engines:
        raise Invalid(f"Models are {', '.join(engines)}.", field="model", limit=engines)
