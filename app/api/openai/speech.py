"""OpenAI's speech: `POST /v1/audio/speech`, live as bytes or as server-sent events."""

from base64 import b64encode
from collections.abc import AsyncIterator
from typing import Annotated, Any, Literal

from litestar import Response, post
from litestar.di import NamedDependency
from litestar.params import JSONBody
from msgspec import Struct

from app.api.audio_response import AudioEncoding, AudioResponder, SpeechCall
from app.api.fields import Absent, Text, Voice
from app.api.openai.events import error_event, event
from app.api.respond_async import ACCEPTED
from app.domain.errors import DomainError, SpeechFailed, UnknownModel
from app.domain.identity.scopes import SPEECH
from app.domain.speech.validation import SpeechRequest
from app.domain.voices.aliases import Aliases
from app.http.api_request import ApiRequest
from app.openapi import errors
from app.openapi.operations import AUDIO, EVENTS, sends
from app.openapi.parameters import IdempotencyKey, Prefer
from db.storage.objects import StoreError

_ROUTE = "POST /v1/audio/speech"
_PCM_RATE_HZ = 24_000  # raw samples carry no rate: OpenAI's clients play them at this one


class VoiceById(Struct, frozen=True):
    """OpenAI's form for custom voices."""

    id: str


class OpenAISpeechBody(Struct, frozen=True, kw_only=True):
    """POST /v1/audio/speech. `instructions` are accepted and have no effect."""

    input: Text | None = None
    voice: Voice | VoiceById | None = None
    model: Annotated[str | None, Absent] = None
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


@post(
    "/v1/audio/speech",
    status_code=200,
    opt={"scope": SPEECH, "limit": "post", "errors": (*errors.SYNCHRONOUS, UnknownModel)},
    operation_class=sends(*AUDIO, EVENTS),
    responses=ACCEPTED,
)
async def openai_speech(
    data: JSONBody[OpenAISpeechBody],
    request: ApiRequest,
    aliases: NamedDependency[Aliases],
    responder: NamedDependency[AudioResponder],
    idempotency_key: IdempotencyKey = None,
    prefer: Prefer = None,
) -> Response[Any]:
    """Speak a text: the audio is sent while it is made, as bytes or as server-sent events."""
    await aliases.engine(data.model, "speech")  # checks the name only: a voice has one engine
    call = SpeechCall(wanted=_wanted(data), route=_ROUTE, idempotency_key=idempotency_key, prefer=prefer)
    return await responder.stream(
        request, call, audio_headers=_EVENTS if data.stream_format == "sse" else None
    )


def _wanted(body: OpenAISpeechBody) -> SpeechRequest:
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


_EVENTS = AudioEncoding(EVENTS, _as_events)
