"""ElevenLabs' speech: `POST /v1/text-to-speech/{voice_id}`, and `/stream` for live audio."""

import re
from typing import Annotated, Any

from litestar import Controller, Response, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody
from msgspec import Struct

from app.api.audio_response import AudioResponder, SpeechCall
from app.api.fields import Absent, Text
from app.api.respond_async import ACCEPTED
from app.domain.errors import UnknownFormat, UnknownModel
from app.domain.identity.scopes import SPEECH
from app.domain.speech.validation import SpeechRequest
from app.domain.voices.aliases import Aliases
from app.http.api_request import ApiRequest
from app.openapi import errors
from app.openapi.operations import AUDIO, sends
from app.openapi.parameters import IdempotencyKey, Prefer

_ROUTE = "POST /v1/text-to-speech"
_DEFAULT_FORMAT = "mp3_44100_128"
_FORMAT = re.compile(r"(mp3|opus)_(\d{1,6})_(\d{1,4})|(pcm|wav)_(\d{1,6})", re.ASCII)


class VoiceSettings(Struct, frozen=True, kw_only=True):
    """Voice settings; only `speed` has an effect."""

    speed: float | None = None


class ConvertBody(Struct, frozen=True, kw_only=True):
    """POST /v1/text-to-speech/{voice_id}. Other fields are ignored."""

    text: Text | None = None
    model_id: Annotated[str | None, Absent] = None
    language_code: Annotated[str | None, Absent] = None
    voice_settings: VoiceSettings | None = None


_OPT = {"scope": SPEECH, "limit": "post", "errors": (*errors.SYNCHRONOUS, UnknownModel)}


class TextToSpeechController(Controller):
    """Text spoken by the voice in the path."""

    path = "/v1/text-to-speech/{voice_id:str}"
    opt = _OPT

    @post(status_code=200, operation_class=sends(*AUDIO), responses=ACCEPTED)
    async def convert(
        self,
        data: JSONBody[ConvertBody],
        request: ApiRequest,
        voice_id: FromPath[str],
        aliases: NamedDependency[Aliases],
        responder: NamedDependency[AudioResponder],
        output_format: FromQuery[str] = _DEFAULT_FORMAT,
        idempotency_key: IdempotencyKey = None,
        prefer: Prefer = None,
    ) -> Response[Any]:
        """Speak a text, and send the complete audio."""
        await aliases.engine(data.model_id, "speech")
        wanted = _wanted(data, voice_id, output_format)
        call = SpeechCall(wanted=wanted, route=_ROUTE, idempotency_key=idempotency_key, prefer=prefer)
        return await responder.complete(request, call)

    @post("/stream", status_code=200, operation_class=sends(*AUDIO), responses=ACCEPTED)
    async def convert_stream(
        self,
        data: JSONBody[ConvertBody],
        request: ApiRequest,
        voice_id: FromPath[str],
        aliases: NamedDependency[Aliases],
        responder: NamedDependency[AudioResponder],
        output_format: FromQuery[str] = _DEFAULT_FORMAT,
        idempotency_key: IdempotencyKey = None,
        prefer: Prefer = None,
    ) -> Response[Any]:
        """Speak a text, and send the audio while it is made."""
        await aliases.engine(data.model_id, "speech")
        wanted, route = _wanted(data, voice_id, output_format), f"{_ROUTE}/stream"
        call = SpeechCall(wanted=wanted, route=route, idempotency_key=idempotency_key, prefer=prefer)
        return await responder.stream(request, call)


def _wanted(body: ConvertBody, voice: str, output_format: str) -> SpeechRequest:
    name, rate_hz, kbps = _format(output_format)
    return SpeechRequest(
        text=body.text or "",
        voice=voice,
        language=body.language_code,
        format=name,
        speed=body.voice_settings.speed if body.voice_settings else None,
        sample_rate=rate_hz,
        bitrate_kbps=kbps,
    )


def _format(output_format: str) -> tuple[str, int, int | None]:
    """Format, rate in Hz and bitrate in kbit/s of `mp3_44100_128` or `pcm_16000`. Raises UnknownFormat."""
    found = _FORMAT.fullmatch(output_format)
    if found is None:
        known = ["mp3_44100_128", "opus_48000_32", "pcm_16000", "wav_44100"]
        raise UnknownFormat(
            f"The output_format is codec_rate_bitrate or codec_rate: {', '.join(known)} and the like.",
            field="output_format",
            formats=known,
        )
    if found[1]:
        return found[1], int(found[2]), int(found[3])
    return found[4], int(found[5]), None
