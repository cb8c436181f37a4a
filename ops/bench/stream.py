"""How long sound takes from engine to client: the first audio byte over HTTP − the engine's own first chunk.

In a stack of the benchmark's own, with an engine that takes its time (`paced_engine.py`); both times by the
same clock, in the same run, and the median of `_PROBES`. `first_byte_extra_ms_idle` and `_8`: WAV, alone and
while 8 other streams run; `first_byte_extra_ms_mp3`: MP3, alone. `first_byte_ms_idle`: from the request.
"""

import json
import re
import socket
import statistics
import tempfile
import threading
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from msgspec import Struct

from ops.bench import BenchError, Figures, fund
from ops.bench.harness.own_stack import own_stack
from ops.bench.harness.paced_engine import TRACE, VOICE
from ops.bench.harness.posting import ready
from ops.stack.running import Stack

_PROBES = 40
_OTHERS = 8
_LONG = "So on and on it goes. " * 45  # five seconds
_PATH = "/api/v1/tts/generate/stream"


class Probe(Struct, frozen=True):
    """One stream, and when its request was sent and its first audio received, by the monotonic clock."""

    text: str
    sent_at: float
    received_at: float


def stream() -> Figures:
    """Run all probes; raises BenchError if a stream failed."""
    with tempfile.TemporaryDirectory(prefix="codevoice-bench-") as folder:
        trace = Path(folder) / "trace"
        with own_stack(engines="ops.bench.harness.paced_engine:engine", **{TRACE: str(trace)}) as stack:
            fund(stack, credits=10_000)
            ready(stack, VOICE)
            _probes(stack, "warm", "wav")
            idle, mp3 = _probes(stack, "idle", "wav"), _probes(stack, "mp3", "mp3")
            with _others(stack):
                busy = _probes(stack, "busy", "wav")
        said_at = dict(_times(trace))
    return {
        "first_byte_extra_ms_idle": _extra_ms(idle, said_at),
        "first_byte_extra_ms_8": _extra_ms(busy, said_at),
        "first_byte_extra_ms_mp3": _extra_ms(mp3, said_at),
        "first_byte_ms_idle": statistics.median(1000 * (probe.received_at - probe.sent_at) for probe in idle),
    }


def _times(trace: Path) -> Iterator[tuple[str, float]]:
    for line in trace.read_text(encoding="utf-8").splitlines():
        text, _, at = line.partition("\t")
        yield text, float(at)


def _extra_ms(probes: list[Probe], said_at: dict[str, float]) -> float:
    return statistics.median(1000 * (probe.received_at - said_at[probe.text]) for probe in probes)


def _probes(stack: Stack, name: str, form: str) -> list[Probe]:
    return [probe(stack, f"{name} {n}", form) for n in range(_PROBES)]


def probe(stack: Stack, text: str, form: str, *, voice: str = VOICE) -> Probe:
    """Receive a stream to its end. Raises BenchError."""
    with _connected(stack) as api:
        sent_at = time.monotonic()
        api.sendall(_request(stack, text, form, voice))
        answer = b""
        while not _has_audio(answer):
            answer += _more(api)
        received_at = time.monotonic()
        while not answer.endswith(b"0\r\n\r\n"):
            answer = answer[-8:] + _more(api)
    return Probe(text, sent_at, received_at)


def _has_audio(answer: bytes) -> bool:
    """Whether a byte of the body is there: a header of the format never comes alone."""
    head, _, body = answer.partition(b"\r\n\r\n")
    if body and not head.startswith(b"HTTP/1.1 200"):
        raise BenchError(f"POST {_PATH}: {answer[:300]!r}")
    return re.match(rb"[0-9a-f]+\r\n.", body, re.DOTALL) is not None


@contextmanager
def _others(stack: Stack) -> Generator[None]:
    """So many clients that receive one long stream after another."""
    stopping = threading.Event()

    def listen() -> None:
        while not stopping.is_set():
            with _connected(stack) as api:
                api.sendall(_request(stack, _LONG, "wav", VOICE))
                end = b""
                while not end.endswith(b"0\r\n\r\n") and not stopping.is_set():
                    end = end[-8:] + _more(api)

    clients = [threading.Thread(target=listen) for _ in range(_OTHERS)]
    for client in clients:
        client.start()
    try:
        time.sleep(1)
        yield
    finally:
        stopping.set()
        for client in clients:
            client.join()


def _connected(stack: Stack) -> socket.socket:
    place = urlsplit(stack.url)
    return socket.create_connection((place.hostname, place.port), timeout=30)


def _request(stack: Stack, text: str, form: str, voice: str) -> bytes:
    body = json.dumps({"text": text, "voice": voice, "format": form}).encode()
    head = (
        f"POST {_PATH} HTTP/1.1\r\nHost: bench\r\nX-API-Key: {stack.api_key}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def _more(api: socket.socket) -> bytes:
    part = api.recv(65_536)
    if not part:
        raise BenchError(f"POST {_PATH}: the connection was broken off")
    return part
