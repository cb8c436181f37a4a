"""Many streams for a minute: nothing mixed, nothing lost, memory flat; in a stack of the benchmark's own.

64 listeners, each to one stream after another; the engine (`pattern_engine.py`) speaks in real time, and its
every byte is known. Three streams in four are raw samples, one is MP3. `streams_mixed` received wrong bytes,
`streams_unequal_to_store` other ones than are stored. `…_rss_last_vs_second`: the process's memory, mean of
the run's last third ÷ mean of its second. `listeners_at_once`: how many streams played at the same time, the
median of four samples a second. `first_byte_ms_p50`: from the request on; 100 ms of it are the engine's.
"""

import http.client
import itertools
import json
import statistics
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
from msgspec import Struct

from ops.bench import BenchError, Figures, fund
from ops.bench.harness.own_stack import own_stack
from ops.bench.harness.paced_engine import VOICE
from ops.bench.harness.pattern_engine import ENGINE, file_of
from ops.bench.harness.posting import ready
from ops.stack.running import Stack

_LISTENERS, _SECONDS = 64, 60.0
_PATH = "/api/v1/tts/generate/stream"
_CHUNKS = range(40, 60)  # of a stream: they do not all end together
_SAMPLE_S = 0.25
_ANSWER_S_MAX = 30


class _Received(Struct, frozen=True):
    """One stream; times by one clock."""

    began_at: float
    first_at: float
    ended_at: float
    is_mixed: bool
    is_unequal: bool


def soak(
    *, seconds: float = _SECONDS, listeners: int = _LISTENERS, chunks: Sequence[int] = _CHUNKS
) -> Figures:
    """Listen that long, and to the end of the streams playing then. Refused or interrupted requests are
    errors; raises BenchError if nothing was received.
    """
    most = str(2 * listeners)  # an ended stream is counted for a moment longer
    limits = {"CODEVOICE_STREAMS_MAX": most, "CODEVOICE_ACCOUNT_STREAMS_MAX": most}
    with own_stack(engines=ENGINE, **limits) as stack:
        fund(stack, credits=10_000)
        ready(stack, VOICE)
        until = time.monotonic() + seconds
        crowd = [_Listener(stack, number, chunks) for number in range(listeners)]
        with ThreadPoolExecutor(listeners) as threads:
            waiting = [threads.submit(listener.listen, until) for listener in crowd]
            memory = _watch(stack, until)
            for each in waiting:
                each.result()
    if not all(listener.received for listener in crowd):
        raise BenchError("a listener heard no stream to its end")
    return _figures(crowd) | _memory_figures(memory)


class _Listener:
    def __init__(self, stack: Stack, number: int, chunks: Sequence[int]) -> None:
        self._stack = stack
        self._number = number
        self._chunks = chunks
        self.received: list[_Received] = []
        self.errors = 0

    def listen(self, until: float) -> None:
        """Receive one stream after another, each over a connection of its own."""
        for turn in itertools.count():
            if time.monotonic() >= until:
                return
            at = self._number + 7 * turn
            text = f"{self._chunks[at % len(self._chunks)]} chunks for {self._number}, turn {turn}"
            try:
                self.received.append(self._stream(text, "mp3" if at % 4 == 0 else "pcm"))
            except (OSError, http.client.HTTPException):
                self.errors += 1

    def _stream(self, text: str, form: str) -> _Received:
        place = urlsplit(self._stack.url)
        body = json.dumps({"text": text, "voice": VOICE, "format": form})
        headers = {"X-API-Key": self._stack.api_key, "Content-Type": "application/json"}
        api = http.client.HTTPConnection(place.hostname or "", place.port, timeout=_ANSWER_S_MAX)
        with closing(api):
            began_at = time.monotonic()
            api.request("POST", _PATH, body, headers)
            answer = _good(api.getresponse())
            audio = answer.read(1)
            first_at = time.monotonic()
            audio += answer.read()
            ended_at = time.monotonic()
            api.request("GET", f"/tts/audio/{answer.headers['X-Job-ID']}")
            stored = _good(api.getresponse()).read()
        return _Received(began_at, first_at, ended_at, audio != file_of(text, form), audio != stored)


def _good(answer: http.client.HTTPResponse) -> http.client.HTTPResponse:
    if answer.status != http.client.OK:
        raise http.client.HTTPException(answer.status)
    return answer


def _watch(stack: Stack, until: float) -> dict[str, list[float]]:
    """Memory of the API and the worker, in MiB, a few times a second."""
    seen: dict[str, list[float]] = {"api": [], "worker": []}
    while time.monotonic() < until:
        for name, sizes in seen.items():
            sizes.append(_rss_mib(stack.pids[name]))
        time.sleep(_SAMPLE_S)
    return seen


def _rss_mib(pid: int) -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) / 1024


def _figures(crowd: Sequence[_Listener]) -> Figures:
    received = [each for listener in crowd for each in listener.received]
    return {
        "streams": len(received),
        "streams_mixed": sum(each.is_mixed for each in received),
        "streams_unequal_to_store": sum(each.is_unequal for each in received),
        "errors": sum(listener.errors for listener in crowd),
        "listeners_at_once": _at_once(received),
        "first_byte_ms_p50": statistics.median(1000 * (each.first_at - each.began_at) for each in received),
    }


def _at_once(received: Sequence[_Received]) -> float:
    """From the first stream's beginning to the last one's."""
    began = [each.began_at for each in received]
    moments = np.arange(min(began), max(began), _SAMPLE_S) + _SAMPLE_S
    return statistics.median(
        sum(each.first_at <= at <= each.ended_at for each in received) for at in moments.tolist()
    )


def _memory_figures(memory: dict[str, list[float]]) -> Figures:
    figures: Figures = {}
    for name, sizes in memory.items():
        third = len(sizes) // 3
        second, last = sizes[third : 2 * third], sizes[2 * third :]
        figures[f"{name}_rss_last_vs_second"] = statistics.mean(last) / statistics.mean(second)
        figures[f"{name}_rss_mib"] = max(sizes)
    return figures
