"""ElevenLabs' speech: `POST /v1/text-to-speech/{voice_id}`, and `/stream` for live audio."""

import re
from typing import Any

import msgspec
from litestar import Response, post
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath, FromQuery
from msgspec import Struct

from app.api.audio_response import AudioResponder
from app.domain.errors import UnknownFormat
from app.domain.identity.scopes import SPEECH
from app.domain.speech.validation import SpeechRequest
from app.domain.voices.aliases import Aliases
from app.http.bodies import AnyRequest, read_json
from app.openapi.bodies import request_body

_OPT = {"scope": SPEECH, "limit": "post"}
_ROUTE = "POST /v1/text-to-speech"
_DEFAULT_FORMAT = "mp3_44100_128"
_FORMAT = re.compile(r"(mp3|opus)_(\d{1,6})_(\d{1,4})|(pcm|wav)_(\d{1,6})", re.ASCII)


class VoiceSettings(Struct, frozen=True, kw_only=True):
    """Voice settings; only `speed` has an effect."""

    speed: float | None = None


class ConvertBody(Struct, frozen=True, kw_only=True):
    """POST /v1/text-to-speech/{voice_id}. Other fields are ignored."""

    text: str | None = None
    model_id: str | None = None
    language_code: str | None = None
    voice_settings: VoiceSettings | None = None


_BODY = msgspec.json.Decoder(ConvertBody)


def convert_routes(
    responder: AudioResponder, aliases: Aliases, *, body_bytes_max: int
) -> list[HTTPRouteHandler]:
    """The routes for complete and for live speech."""

    async def read_request(request: AnyRequest, voice: str, output_format: str) -> SpeechRequest:
        body = await read_json(request, _BODY, bytes_max=body_bytes_max)
        await aliases.engine(body.model_id, "speech")
        return _wanted(body, voice, output_format)

    @post(
        "/v1/text-to-speech/{voice_id:str}",
        status_code=200,
        opt=_OPT,
        operation_class=request_body(ConvertBody),
    )
    async def convert(
        request: AnyRequest, voice_id: FromPath[str], output_format: FromQuery[str] = _DEFAULT_FORMAT
    ) -> Response[Any]:
        wanted = await read_request(request, voice_id, output_format)
        return await responder.complete(request, wanted, route=_ROUTE)

    @post(
        "/v1/text-to-speech/{voice_id:str}/stream",
        status_code=200,
        opt=_OPT,
        operation_class=request_body(ConvertBody),
    )
    async def convert_stream(
        request: AnyRequest, voice_id: FromPath[str], output_format: FromQuery[str] = _DEFAULT_FORMAT
    ) -> Response[Any]:
        wanted = await read_request(request, voice_id, output_format)
        return await responder.stream(request, wanted, route=f"{_ROUTE}/stream")

    return [convert, convert_stream]


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
