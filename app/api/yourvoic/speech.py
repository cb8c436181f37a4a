"""YourVoic's speech under /api/v1/tts: complete or live, or as a job with `Prefer: respond-async`."""

import time
from typing import Annotated, Any, Literal

from litestar import Controller, Response, post
from litestar.di import NamedDependency
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import JSONBody
from msgspec import Struct

from app.api.audio_response import AudioResponder, SpeechCall
from app.api.fields import Absent, Text, Voice
from app.api.respond_async import Accepted
from app.domain.errors import Invalid
from app.domain.identity.scopes import SPEECH
from app.domain.speech.validation import SpeechRequest
from app.domain.voices.catalog import Catalogs
from app.http.api_request import ApiRequest
from app.openapi import errors
from app.openapi.operations import AUDIO, sends
from app.openapi.parameters import IdempotencyKey, Prefer

_WHOLE, _STREAM = "POST /api/v1/tts/generate", "POST /api/v1/tts/stream"


class GenerateBody(Struct, frozen=True, kw_only=True):
    """POST /api/v1/tts/generate and its streaming forms."""

    text: Text | None = None
    voice: Voice | None = None
    language: Annotated[str | None, Absent] = None
    model: Annotated[str | None, Absent] = None
    speed: float | None = None
    pitch: float | None = None
    format: str | None = None
    sample_rate: int | None = None


class YourVoicAccepted(Accepted, frozen=True, kw_only=True):
    """The response to `Prefer: respond-async`."""

    success: Literal[True] = True


_ACCEPTED = {
    202: ResponseSpec(
        YourVoicAccepted, description="With `Prefer: respond-async`: the job", generate_examples=False
    )
}


_OPT = {"scope": SPEECH, "limit": "post", "errors": errors.SYNCHRONOUS}


class GenerateController(Controller):
    """Text spoken, whole or live."""

    path = "/api/v1/tts"
    opt = _OPT

    @post("/generate", status_code=200, operation_class=sends(*AUDIO), responses=_ACCEPTED)
    async def generate(
        self,
        data: JSONBody[GenerateBody],
        request: ApiRequest,
        catalogs: NamedDependency[Catalogs],
        responder: NamedDependency[AudioResponder],
        idempotency_key: IdempotencyKey = None,
        prefer: Prefer = None,
    ) -> Response[Any]:
        """Speak a text, and send the complete audio."""
        began = time.perf_counter()
        wanted = await _wanted(data, catalogs, "mp3")
        call = SpeechCall(wanted=wanted, route=_WHOLE, idempotency_key=idempotency_key, prefer=prefer)
        answer = await responder.complete(request, call, YourVoicAccepted)
        answer.headers["X-Processing-Time-Ms"] = str(round((time.perf_counter() - began) * 1000))
        return answer

    @post("/generate/stream", status_code=200, operation_class=sends(*AUDIO), responses=_ACCEPTED)
    async def generate_stream(
        self,
        data: JSONBody[GenerateBody],
        request: ApiRequest,
        catalogs: NamedDependency[Catalogs],
        responder: NamedDependency[AudioResponder],
        idempotency_key: IdempotencyKey = None,
        prefer: Prefer = None,
    ) -> Response[Any]:
        """Speak a text, and send the audio while it is made; MP3 unless another format is given."""
        wanted = await _wanted(data, catalogs, "mp3")
        call = SpeechCall(wanted=wanted, route=_STREAM, idempotency_key=idempotency_key, prefer=prefer)
        return await responder.stream(request, call, YourVoicAccepted)

    @post("/stream", status_code=200, operation_class=sends(*AUDIO), responses=_ACCEPTED)
    async def stream(
        self,
        data: JSONBody[GenerateBody],
        request: ApiRequest,
        catalogs: NamedDependency[Catalogs],
        responder: NamedDependency[AudioResponder],
        idempotency_key: IdempotencyKey = None,
        prefer: Prefer = None,
    ) -> Response[Any]:
        """Speak a text, and send the audio while it is made; raw samples unless another format is given."""
        wanted = await _wanted(data, catalogs, "pcm")
        call = SpeechCall(wanted=wanted, route=_STREAM, idempotency_key=idempotency_key, prefer=prefer)
        return await responder.stream(request, call, YourVoicAccepted)


async def _wanted(body: GenerateBody, catalogs: Catalogs, default_format: str) -> SpeechRequest:
    if body.model is not None:
        await _check_model(body.model, catalogs)
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
