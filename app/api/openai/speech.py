"""OpenAI's speech: `POST /v1/audio/speech`, live as bytes or as server-sent events."""

from base64 import b64encode
from collections.abc import AsyncIterator
from typing import Any, Literal

import msgspec
from litestar import Response, post
from litestar.handlers import HTTPRouteHandler
from msgspec import Struct

from app.api.audio_response import AudioEncoding, AudioResponder
from app.api.openai.events import EVENT_STREAM, error_event, event
from app.domain.errors import DomainError, SpeechFailed
from app.domain.identity.scopes import SPEECH
from app.domain.speech.validation import SpeechRequest
from app.domain.voices.aliases import Aliases
from app.http.bodies import AnyRequest, read_json
from app.openapi.bodies import request_body
from db.storage.objects import StoreError

_ROUTE = "POST /v1/audio/speech"
_PCM_RATE_HZ = 24_000  # raw samples carry no rate: OpenAI's clients play them at this one


class VoiceById(Struct, frozen=True):
    """OpenAI's form for custom voices."""

    id: str


class SpeechBody(Struct, frozen=True, kw_only=True):
    """POST /v1/audio/speech. `instructions` are accepted and have no effect."""

    input: str | None = None
    voice: str | VoiceById | None = None
    model: str | None = None
    response_format: str | None = None
    speed: float | None = None
    stream_format: Literal["audio", "sse"] | None = None
    instructions: str | None = None


class Delta(Struct, frozen=True, tag_field="type", tag="speech.audio.delta"):
    """A piece of the audio, in base64."""

    audio: str


class Usage(Struct, frozen=True, kw_only=True):
    """Always 0: we do not count tokens. The job has the credits."""

    input_tokens: int = 0
    output_tokens: int = 0
    total_tokens: int = 0


class Done(Struct, frozen=True, tag_field="type", tag="speech.audio.done"):
    """The audio is complete."""

    usage: Usage


_BODY = msgspec.json.Decoder(SpeechBody)


def speech_route(responder: AudioResponder, aliases: Aliases, *, body_bytes_max: int) -> HTTPRouteHandler:
    """`POST /v1/audio/speech`."""

    @post(
        "/v1/audio/speech",
        status_code=200,
        opt={"scope": SPEECH, "limit": "post"},
        operation_class=request_body(SpeechBody),
    )
    async def openai_speech(request: AnyRequest) -> Response[Any]:
        body = await read_json(request, _BODY, bytes_max=body_bytes_max)
        await aliases.engine(body.model, "speech")  # checks the name only: a voice has one engine
        wanted = _wanted(body)
        audio_headers = _EVENTS if body.stream_format == "sse" else None
        return await responder.stream(request, wanted, route=_ROUTE, audio_headers=audio_headers)

    return openai_speech


def _wanted(body: SpeechBody) -> SpeechRequest:
    voice = body.voice.id if isinstance(body.voice, VoiceById) else body.voice
    return SpeechRequest(
        text=body.input or "",
        voice=voice or "",
        format=body.response_format or "mp3",
        speed=body.speed,
        sample_rate=_PCM_RATE_HZ if (body.response_format or "").strip().casefold() == "pcm" else None,
    )


async def _as_events(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    try:
        async for chunk in chunks:
            yield event(Delta(b64encode(chunk).decode()))
    except (DomainError, StoreError) as error:
        yield error_event(error if isinstance(error, DomainError) else SpeechFailed("store_lost"))
        raise
    yield event(Done(Usage()))


_EVENTS = AudioEncoding(EVENT_STREAM, _as_events)
