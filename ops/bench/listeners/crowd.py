"""A lightweight load generator: sends requests at given moments, and records when each one's bytes came.

`python -m ops.bench.listeners.crowd` reads a Crowd as JSON from stdin and writes a Received to stdout. It is
a process of its own, so that its CPU is counted separately.
"""

import asyncio
import sys
import time
from typing import cast

import msgspec
import uvloop
from msgspec import Struct

from ops.bench.listeners.player import Arrival


class ScheduledRequest(Struct, frozen=True, kw_only=True):
    """A whole request, sent that long after the start, independent of the others."""

    after_s: float
    request: str


class Crowd(Struct, frozen=True, kw_only=True):
    """Each wish has a connection of its own. Streams not over after `seconds_max` are cut off."""

    host: str
    port: int
    wishes: list[ScheduledRequest]
    seconds_max: float


class Stream(Struct, frozen=True, kw_only=True):
    """One response. `wanted_at_s` is when it was due to be sent; `status` 0: no response came. All moments
    are seconds since the start.
    """

    wanted_at_s: float
    status: int
    is_whole: bool
    arrivals: list[Arrival]


class Received(Struct, frozen=True, kw_only=True):
    """`began_at` by time.monotonic(); CPU is the generator's own."""

    began_at: float
    seconds: float
    cpu_s: float
    streams: list[Stream]


class Body:
    """Counts the bytes of a response's chunks, without keeping them."""

    def __init__(self) -> None:
        self.status = 0
        self.is_whole = False
        self._kept = b""  # an incomplete head or chunk size
        self._left = 0  # of the chunk under way, its line end included

    def feed(self, data: bytes) -> int:
        """The number of body bytes in `data`."""
        data, self._kept, got, at = self._kept + data, b"", 0, 0
        if not self.status:
            data = self._after_head(data)
        while at < len(data) and not self.is_whole:
            if not self._left:
                ends = data.find(b"\r\n", at)
                if ends < 0:
                    self._kept = data[at:]
                    break
                size = int(data[at:ends].partition(b";")[0], 16)
                at, self._left, self.is_whole = ends + 2, size + 2, size == 0
                continue
            part = min(self._left, len(data) - at)
            got += max(0, min(part, self._left - 2))
            at, self._left = at + part, self._left - part
        return got

    def _after_head(self, data: bytes) -> bytes:
        head, found, rest = data.partition(b"\r\n\r\n")
        if not found:
            self._kept = data
            return b""
        self.status = int(head[9:12])
        if self.status != 200 or b"chunked" not in head.lower():
            self.is_whole = True
        return rest


class _Listener(asyncio.Protocol):
    """One wish's connection."""

    def __init__(self, request: bytes, began: float) -> None:
        self._request, self._began = request, began
        self.body = Body()
        self.arrivals: list[Arrival] = []
        self.over = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's does not inherit from it
        self._transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        if size := self.body.feed(data):
            self.arrivals.append(Arrival(time.monotonic() - self._began, size))
        if self.body.is_whole:
            self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 (the name is asyncio's)
        self.over.set()


async def _gather(crowd: Crowd) -> Received:
    began, cpu = time.monotonic(), time.process_time()
    streams = await asyncio.gather(*(_listen(crowd, wish, began) for wish in crowd.wishes))
    return Received(
        began_at=began, seconds=time.monotonic() - began, cpu_s=time.process_time() - cpu, streams=streams
    )


async def _listen(crowd: Crowd, wish: ScheduledRequest, began: float) -> Stream:
    await asyncio.sleep(wish.after_s - (time.monotonic() - began))
    listener = _Listener(wish.request.encode(), began)
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(crowd.seconds_max - (time.monotonic() - began)):
            transport, _ = await loop.create_connection(lambda: listener, crowd.host, crowd.port)
            try:
                await listener.over.wait()
            finally:
                transport.close()
    except (OSError, TimeoutError):
        pass
    return Stream(
        wanted_at_s=wish.after_s,
        status=listener.body.status,
        is_whole=listener.body.is_whole,
        arrivals=listener.arrivals,
    )


def main() -> None:
    """One run."""
    crowd = msgspec.json.decode(sys.stdin.buffer.read(), type=Crowd)
    sys.stdout.buffer.write(msgspec.json.encode(uvloop.run(_gather(crowd))))


if __name__ == "__main__":
    main()
