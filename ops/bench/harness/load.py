"""A lightweight load generator: a number of open connections, each sending one request after the other.

`python -m ops.bench.harness.load` reads a Load as JSON from stdin and writes a Loaded to stdout. It is a
process of its own, so that its CPU is counted separately.
"""

import asyncio
import sys
import time
from collections import Counter
from collections.abc import Iterator
from itertools import cycle
from typing import cast

import msgspec
import uvloop
from msgspec import Struct

_SLACK_S = 10.0  # for the last responses


class Load(Struct, frozen=True, kw_only=True):
    """`requests` are sent in turns, as they are, each over any of the connections."""

    host: str
    port: int
    connections: int
    seconds: float
    requests: list[str]


class Loaded(Struct, frozen=True, kw_only=True):
    """`answers`: responses by status; 0 is a lost connection. CPU is the generator's own, in microseconds."""

    seconds: float
    answers: dict[int, int]
    latencies_ms: dict[int, float]  # by percentile
    cpu_us: float
    first_error: str = ""

    @property
    def done(self) -> int:
        return self.answers.get(200, 0)

    @property
    def errors(self) -> int:
        return sum(self.answers.values()) - self.done


class _Run:
    """State shared by the connections."""

    def __init__(self, load: Load) -> None:
        self.requests: Iterator[bytes] = cycle([request.encode() for request in load.requests])
        self.ends_at = float("inf")
        self.answers: Counter[int] = Counter()
        self.latencies_s: list[float] = []
        self.open = load.connections
        self.over = asyncio.Event()
        self.first_error = ""


class _Connection(asyncio.Protocol):
    def __init__(self, run: _Run) -> None:
        self._run = run
        self._received = b""
        self._sent_at = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's does not inherit from it

    def data_received(self, data: bytes) -> None:
        self._received = received = self._received + data if self._received else data
        head_ends = received.find(b"\r\n\r\n")
        if head_ends < 0 or len(received) < head_ends + 4 + _length(received, head_ends):
            return
        run, status, now = self._run, int(received[9:12]), time.perf_counter()
        run.answers[status] += 1
        run.latencies_s.append(now - self._sent_at)
        if status != 200 and not run.first_error:
            run.first_error = received.decode(errors="replace")[-300:]
        self._received = b""
        if now < run.ends_at:
            self.send()
        else:
            self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        run = self._run
        if exc is not None or time.perf_counter() < run.ends_at:
            run.answers[0] += 1
        run.open -= 1
        if not run.open:
            run.over.set()

    def send(self) -> None:
        self._sent_at = time.perf_counter()
        self._transport.write(next(self._run.requests))


def _length(received: bytes, head_ends: int) -> int:
    at = received.find(b"ontent-", 0, head_ends)  # Content-Length: and content-length:
    while at >= 0 and received[at + 7 : at + 14].lower() != b"length:":
        at = received.find(b"ontent-", at + 7, head_ends)
    return int(received[at + 14 : received.find(b"\r", at)]) if at >= 0 else 0


async def _measure(load: Load) -> Loaded:
    run, loop = _Run(load), asyncio.get_running_loop()
    places = [
        (await loop.create_connection(lambda: _Connection(run), load.host, load.port))[1]
        for _ in range(load.connections)
    ]
    began, cpu = time.perf_counter(), time.process_time()
    run.ends_at = began + load.seconds
    for place in places:
        place.send()
    async with asyncio.timeout(load.seconds + _SLACK_S):
        await run.over.wait()
    latencies = sorted(run.latencies_s) or [0.0]
    return Loaded(
        seconds=time.perf_counter() - began,
        answers=dict(run.answers),
        latencies_ms={p: 1000 * latencies[(len(latencies) - 1) * p // 100] for p in (50, 99)},
        cpu_us=1e6 * (time.process_time() - cpu),
        first_error=run.first_error,
    )


def main() -> None:
    """One run."""
    load = msgspec.json.decode(sys.stdin.buffer.read(), type=Load)
    sys.stdout.buffer.write(msgspec.json.encode(uvloop.run(_measure(load))))


if __name__ == "__main__":
    main()
