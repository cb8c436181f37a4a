"""POST /v1/tts over an open connection, each request in one segment: no client library's time is measured."""

import http.client
import json
import re
import socket
import time
from collections.abc import Sequence
from contextlib import closing
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

from ops.bench import BenchError
from ops.stack.running import Stack

_ANSWER_BYTES_MAX = 65_536
_READY_S_MAX = 60
_ENGINES_READY_S_MAX = 180  # while models are verified and loaded


class Poster:
    """One client. For one thread."""

    def __init__(self, stack: Stack) -> None:
        place = urlsplit(stack.url)
        self._key = stack.api_key
        self._api = socket.create_connection((place.hostname, place.port), timeout=30)

    def __enter__(self) -> "Poster":
        return self

    def __exit__(self, _kind: type[BaseException] | None, _e: object, _t: TracebackType | None) -> None:
        self._api.close()

    def post(self, text: str, voice: str) -> str:
        """Submit; returns the job's id. Raises BenchError if it is refused."""
        return self._post(text, voice, "")[0]["job_id"]

    def post_keyed(self, text: str, voice: str, key: str) -> tuple[str, bool]:
        """Submit with an Idempotency-Key; returns the whole response, and whether it was replayed."""
        answer, head = self._post(text, voice, f"Idempotency-Key: {key}\r\n")
        return json.dumps(answer, sort_keys=True), b"idempotent-replayed: true" in head.lower()

    def _post(self, text: str, voice: str, header: str) -> tuple[dict[str, Any], bytes]:
        body = json.dumps({"text": text, "voice": voice}).encode()
        head = (
            f"POST /v1/tts HTTP/1.1\r\nHost: bench\r\nX-API-Key: {self._key}\r\n{header}"
            f"Content-Length: {len(body)}\r\n\r\n"
        )
        self._api.sendall(head.encode() + body)
        answer = b""
        while not (found := re.search(rb"\r\n\r\n(\{.*\})$", answer, re.DOTALL)):
            if len(answer) > _ANSWER_BYTES_MAX or not (part := self._api.recv(4096)):
                raise BenchError(f"POST /v1/tts: {answer[:200]!r}")
            answer += part
        if b" 200 " not in answer[:15]:
            raise BenchError(f"POST /v1/tts: {found[1].decode()}")
        return json.loads(found[1]), answer


def engines_ready(stack: Stack, engines: Sequence[str]) -> None:
    """Wait until all these engines are available: before that, another one would speak. Raises BenchError."""
    deadline = time.monotonic() + _ENGINES_READY_S_MAX
    place = urlsplit(stack.url)
    while True:
        with closing(http.client.HTTPConnection(place.hostname or "", place.port, timeout=30)) as api:
            api.request("GET", "/v1/models", headers={"Authorization": f"Bearer {stack.api_key}"})
            offered = {model["id"] for model in json.load(api.getresponse()).get("data", [])}
        if not (missing := set(engines) - offered):
            return
        if time.monotonic() > deadline:
            names = ", ".join(sorted(missing))
            raise BenchError(f"not ready: {names}; are the models here (codevoice models list)?")
        time.sleep(0.2)


def ready(stack: Stack, voice: str) -> None:
    """Wait until `voice` speaks: its worker announces itself."""
    deadline = time.monotonic() + _READY_S_MAX
    while True:
        with Poster(stack) as poster:
            try:
                poster.post("Ready?", voice)
                return
            except BenchError:
                if time.monotonic() > deadline:
                    raise
        time.sleep(0.2)
