"""The server's own HTTP protocol around a small application, in a thread, on a port of its own."""

import asyncio
import json
import queue
import select
import socket
import struct
import threading
from collections.abc import AsyncIterator, Generator
from contextlib import contextmanager
from typing import Any, cast

import uvicorn
from litestar.types import Receive, Scope, Send

from app.domain.errors import SpeechFailed
from app.domain.speech.synchronous import Ending
from app.http.connection.protocol import protocol
from app.http.disconnects import ClientDisconnected, LiveResponse, cancel_on_disconnect

HEAD_BYTES_MAX = 20_000
WAIT_S = 20.0
MORE_THAN_SOCKETS_HOLD = 8 << 20
_SOCKET_BYTES = 1 << 18  # requested for each buffer; the kernel doubles it
End = type[Exception] | None


class SmallServer:
    """`/echo` returns the request as the application saw it; `/live` and `/sized` send the chunks given to
    `say`; `/wait` responds when `say` is called. `endings` has how each of the last three ended, in order.
    """

    def __init__(self) -> None:
        self.endings: queue.Queue[str] = queue.Queue()
        self._requested = threading.Event()
        self._chunks_to_send: asyncio.Queue[bytes | End] = asyncio.Queue()
        self._loop: asyncio.AbstractEventLoop | None = None
        self.address = "", 0

    def say(self, *chunks: bytes | End) -> None:
        """Chunks of the live answer under way; None ends it, an exception's class breaks it."""
        self.await_request()
        assert self._loop is not None
        for chunk in chunks:
            self._loop.call_soon_threadsafe(self._chunks_to_send.put_nowait, chunk)

    def await_request(self) -> None:
        """Wait for the first request."""
        assert self._requested.wait(WAIT_S)

    def ending(self) -> str:
        """How the next of them ended."""
        return self.endings.get(timeout=WAIT_S)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._loop = asyncio.get_running_loop()
        path = scope["path"]
        self._requested.set()
        if path == "/live":
            await self._live(scope, receive, send, {})
        elif path.startswith("/sized/"):
            await self._live(scope, receive, send, {"Content-Length": path.removeprefix("/sized/")})
        elif path == "/wait":
            await self._wait(scope, receive, send)
        else:
            await self._echo(scope, receive, send)

    async def _live(self, scope: Scope, receive: Receive, send: Send, headers: dict[str, str]) -> None:
        ended = cast("Any", self.endings.put)
        answer = LiveResponse(self._chunks(), headers=headers, media_type="audio/wav", ended=ended)
        await answer.to_asgi_response(None, cast("Any", None))(scope, receive, send)

    async def _chunks(self) -> AsyncIterator[bytes]:
        while (chunk := await self._chunks_to_send.get()) is not None:
            if not isinstance(chunk, bytes):
                raise chunk("made_anew")
            yield chunk

    async def _wait(self, scope: Scope, receive: Receive, send: Send) -> None:
        ending: Ending = "left"
        try:
            await cancel_on_disconnect(receive, self._chunks_to_send.get())
            ending = "whole"
        except ClientDisconnected:
            return
        finally:
            self.endings.put(ending)
        await self._answer(scope, b"", send)

    async def _echo(self, scope: Scope, receive: Receive, send: Send) -> None:
        body, more = b"", True
        while more:
            message: Any = await receive()
            if message["type"] == "http.disconnect":
                return
            body, more = body + message["body"], message["more_body"]
        await self._answer(scope, body, send)

    async def _answer(self, scope: Scope, body: bytes, send: Send) -> None:
        headers = cast("list[Any]", scope["headers"])
        seen = {
            "path": scope["path"],
            "headers": [[name.decode("latin-1"), value.decode("latin-1")] for name, value in headers],
            "body": body.decode("latin-1"),
        }
        content = json.dumps(seen).encode()
        length = b"%d" % len(content)
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", length)]})
        await send({"type": "http.response.body", "body": content, "more_body": False})


class Broken(SpeechFailed):
    """What an engine's failure raises."""


class Bug(Exception):
    """An unexpected error."""


@contextmanager
def serving(server: SmallServer) -> Generator[SmallServer]:
    """The server while it runs."""
    limits = protocol(head_bytes_max=HEAD_BYTES_MAX, head_wait_s=WAIT_S, body_wait_s=WAIT_S)
    config = uvicorn.Config(
        cast("Any", server), loop="uvloop", http=limits, ws="none", lifespan="off", log_config=None
    )
    running = uvicorn.Server(config)
    with socket.socket() as listening:
        _limit_buffers(listening)  # and of the connections to it
        listening.bind(("127.0.0.1", 0))
        listening.listen(128)
        server.address = listening.getsockname()
        thread = threading.Thread(target=running.run, kwargs={"sockets": [listening]})
        thread.start()
        try:
            yield server
        finally:
            running.force_exit = running.should_exit = True
            thread.join(WAIT_S)


def _limit_buffers(connection: socket.socket) -> None:
    for option in (socket.SO_RCVBUF, socket.SO_SNDBUF):
        connection.setsockopt(socket.SOL_SOCKET, option, _SOCKET_BYTES)


class Client:
    """A connection that is used byte by byte."""

    def __init__(self, address: tuple[str, int]) -> None:
        self.socket = socket.socket()
        _limit_buffers(self.socket)
        self.socket.settimeout(WAIT_S)
        self.socket.connect(address)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._file = self.socket.makefile("rb")

    def send(self, sent: bytes) -> None:
        self.socket.sendall(sent)

    def has_answer(self, *, within_s: float) -> bool:
        """Whether something has come."""
        return bool(select.select([self.socket], [], [], within_s)[0])

    def answer(self) -> tuple[int, dict[str, str], bytes]:
        """Status, headers and body of one answer, by Content-Length, in chunks, or to the end."""
        status, headers = self.head()
        if "content-length" in headers:
            return status, headers, self._file.read(int(headers["content-length"]))
        if headers.get("transfer-encoding") == "chunked":
            return status, headers, b"".join(iter(self.chunk, b""))
        return status, headers, self._file.read()

    def head(self) -> tuple[int, dict[str, str]]:
        first, *lines = iter(lambda: self._file.readline().decode("latin-1").rstrip("\r\n"), "")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
        return int(first.split()[1]), headers

    def chunk(self) -> bytes:
        size = int(self._file.readline(), 16)
        content = self._file.read(size)
        assert self._file.read(2) == b"\r\n"
        return content

    def read(self, size: int = -1) -> bytes:
        return self._file.read(size)

    def leave(self, how: str) -> None:
        """By FIN, by RST, or by closing one direction."""
        if how == "half-close":
            self.socket.shutdown(socket.SHUT_WR)
            return
        if how == "reset":
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._file.close()
        self.socket.close()

    def is_closed(self) -> bool:
        """Whether the server closes the connection, without any more bytes."""
        try:
            return self._file.read(1) == b""
        except ConnectionResetError:
            return True


def request(path: str, *lines: str, method: str = "GET", version: str = "1.1", body: bytes = b"") -> bytes:
    """One request, with a Host."""
    length = (f"Content-Length: {len(body)}",) if body else ()
    head = (f"{method} {path} HTTP/{version}", "Host: a", *length, *lines, "", "")
    return "\r\n".join(head).encode() + body


def chunked(*chunks: bytes, trailers: tuple[str, ...] = ()) -> bytes:
    """A body in chunks."""
    parts = b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks)
    return parts + b"0\r\n" + "".join(f"{line}\r\n" for line in trailers).encode() + b"\r\n"
