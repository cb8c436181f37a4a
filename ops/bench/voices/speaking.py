"""Speech over HTTP as a client receives it, with the arrival times of its bytes."""

import http.client
import json
import time
from contextlib import closing
from urllib.parse import urlsplit

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from ops.bench import BenchError
from ops.stack.running import Stack

RATE_HZ = 24_000  # of `pcm` in OpenAI's dialect
BYTES_PER_S = 2 * RATE_HZ
_PATH = "/v1/audio/speech"
_ANSWER_S_MAX = 120
_READ_BYTES = 65_536


class Speech(Struct, frozen=True):
    """`engine`: the engine that spoke, as the response states; empty if it does not."""

    pcm: bytes
    first_sound_s: float
    seconds: float
    engine: str

    @property
    def audio_s(self) -> float:
        return len(self.pcm) / BYTES_PER_S

    @property
    def samples(self) -> NDArray[np.float32]:
        return np.frombuffer(self.pcm, "<i2").astype(np.float32) / np.float32(32_768)


def speech_request(stack: Stack, text: str, voice: str) -> str:
    """A whole request for `text` as raw samples, over a connection of its own."""
    body = json.dumps({"input": text, "voice": voice, "model": "tts-1", "response_format": "pcm"})
    return (
        f"POST {_PATH} HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {stack.api_key}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n{body}"
    )


def speak(stack: Stack, text: str, voice: str) -> Speech:
    """Speak `text`. Times begin when the request is sent. Raises BenchError if it is refused or cut off."""
    place = urlsplit(stack.url)
    body = json.dumps({"input": text, "voice": voice, "model": "tts-1", "response_format": "pcm"})
    headers = {"Authorization": f"Bearer {stack.api_key}", "Content-Type": "application/json"}
    api = http.client.HTTPConnection(place.hostname or "", place.port, timeout=_ANSWER_S_MAX)
    with closing(api):
        api.connect()
        began = time.monotonic()
        try:
            api.request("POST", _PATH, body, headers)
            answer = api.getresponse()
            if answer.status != http.client.OK:
                raise BenchError(f"POST {_PATH}: {answer.status} {answer.read()[:300]!r}")
            pcm = answer.read1(_READ_BYTES)
            first = time.monotonic()
            while part := answer.read1(_READ_BYTES):
                pcm += part
        except (OSError, http.client.HTTPException) as error:
            raise BenchError(f"POST {_PATH}: {error!r}") from None
        ended = time.monotonic()
    return Speech(pcm, first - began, ended - began, answer.headers.get("X-Voice-Engine", ""))
