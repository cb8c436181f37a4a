"""The calls that speak, in each dialect: one table for tests that hold in all of them."""

from collections.abc import Callable
from typing import Any

from msgspec import Struct

Body = dict[str, Any]


class Call(Struct, frozen=True):
    """A POST whose answer is audio."""

    name: str
    path: str  # {voice}: the voice's id
    body: Callable[[str, str], Body]  # of text and voice
    key: Callable[[str], dict[str, str]]  # of an API key

    def path_of(self, voice: str) -> str:
        return self.path.format(voice=voice)


def _x_api_key(key: str) -> dict[str, str]:
    return {"X-API-Key": key}


def _bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


def _xi_api_key(key: str) -> dict[str, str]:
    return {"xi-api-key": key}


def _plain(text: str, voice: str) -> Body:
    return {"text": text, "voice": voice}


def _as_wav(text: str, voice: str) -> Body:
    return {"text": text, "voice": voice, "format": "wav"}


def _openai(text: str, voice: str) -> Body:
    return {"model": "tts-1", "input": text, "voice": voice, "response_format": "pcm"}


def _elevenlabs(text: str, _voice: str) -> Body:
    return {"text": text}


STREAMS = (  # as it is made, unencoded: the most bytes a second
    Call("yourvoic-raw", "/api/v1/tts/stream", _plain, _x_api_key),
    Call("yourvoic-stream", "/api/v1/tts/generate/stream", _as_wav, _x_api_key),
    Call("openai", "/v1/audio/speech", _openai, _bearer),
    Call(
        "elevenlabs-stream",
        "/v1/text-to-speech/{voice}/stream?output_format=pcm_22050",
        _elevenlabs,
        _xi_api_key,
    ),
)
WHOLES = (  # when it is finished
    Call("yourvoic", "/api/v1/tts/generate", _as_wav, _x_api_key),
    Call("elevenlabs", "/v1/text-to-speech/{voice}?output_format=pcm_22050", _elevenlabs, _xi_api_key),
)
