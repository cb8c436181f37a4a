"""HTTP over a bare socket: what no client library sends, and how much of an answer has arrived."""

import json
import socket
import struct
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

from msgspec import Struct

_READ_BYTES = 1 << 16
Headers = dict[str, str]


class Head(Struct, frozen=True):
    """The first lines of an answer. Names are in lower case; of a repeated header, the last."""

    version: str
    status: int
    headers: Headers

    @property
    def is_chunked(self) -> bool:
        return "chunked" in self.headers.get("transfer-encoding", "")


def request(
    method: str, path: str, headers: Headers, body: Any = None, *, version: str = "1.1", host: str = "test"
) -> bytes:
    """A request with a JSON body, as bytes."""
    content = b"" if body is None else json.dumps(body).encode()
    lines = [f"{method} {path} HTTP/{version}", f"Host: {host}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    if body is not None:
        lines += ["Content-Type: application/json", f"Content-Length: {len(content)}"]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + content


def chunked(method: str, path: str, headers: Headers, body: bytes, trailers: Headers) -> bytes:
    """A request whose JSON body comes in one chunk, with trailer fields behind it."""
    lines = [f"{method} {path} HTTP/1.1", "Host: test", "Content-Type: application/json"]
    lines += ["Transfer-Encoding: chunked", f"Trailer: {', '.join(trailers)}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    chunk = b"%x\r\n%s\r\n0\r\n" % (len(body), body)
    end = "".join(f"{name}: {value}\r\n" for name, value in trailers.items()).encode()
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + chunk + end + b"\r\n"


class Connection:
    """One connection to a server. Reads one answer at a time; `body` is what has come of its body."""

    def __init__(self, url: str, *, timeout_s: float = 60, read_bytes: int = _READ_BYTES) -> None:
        place = urlsplit(url)
        self._socket = socket.create_connection((place.hostname, place.port), timeout=timeout_s)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._read_bytes = read_bytes
        self._buffer = b""
        self._left_in_chunk = 0
        self.body = b""
        self.is_whole = False  # the answer's end has come
        self.is_lost = False  # the connection ended before it

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        self.close()

    def send(self, data: bytes) -> None:
        self._socket.sendall(data)

    def head(self) -> Head:
        """The next answer's head. Raises ConnectionError where there is none."""
        while b"\r\n\r\n" not in self._buffer:
            if not self._fill():
                raise ConnectionError(f"no answer: {self._buffer!r}")
        text, _, self._buffer = self._buffer.partition(b"\r\n\r\n")
        first, *lines = text.decode("latin-1").split("\r\n")
        version, status, *_ = first.split(" ")
        pairs = (line.partition(":") for line in lines)
        self.body, self.is_whole, self._left_in_chunk = b"", False, 0
        return Head(version, int(status), {name.lower(): value.strip() for name, _, value in pairs})

    def read(self, head: Head, at_least: int | None = None) -> bytes:
        """The body as far as it has come when that is `at_least`; None: all of it."""
        while not (self.is_whole or self.is_lost) and (at_least is None or len(self.body) < at_least):
            if not (self._chunk() if head.is_chunked else self._plain(head)):
                break
        return self.body

    def reset(self) -> None:
        """Leave by RST."""
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._socket.close()

    def close(self) -> None:
        """Leave by FIN."""
        self._socket.close()

    def _plain(self, head: Head) -> bool:
        length = int(head.headers["content-length"]) if "content-length" in head.headers else None
        wanted = len(self._buffer) if length is None else length - len(self.body)
        self.body, self._buffer = self.body + self._buffer[:wanted], self._buffer[wanted:]
        if length is not None and len(self.body) == length:
            self.is_whole = True
            return True
        if self._fill():
            return True
        self.is_whole = length is None  # its end is the connection's
        return False

    def _chunk(self) -> bool:
        if self._left_in_chunk:
            part = self._buffer[: self._left_in_chunk]
            self.body += part
            self._buffer = self._buffer[len(part) :]
            self._left_in_chunk -= len(part)
            return bool(part) or self._fill()
        line, found, rest = self._buffer.removeprefix(b"\r\n").partition(b"\r\n")
        if not found:
            return self._fill()
        self._buffer, self._left_in_chunk = rest, int(line, 16)
        self.is_whole = not self._left_in_chunk
        return True

    def _fill(self) -> bool:
        try:
            data = self._socket.recv(self._read_bytes)
        except ConnectionError:
            data = b""
        self.is_lost = not data
        self._buffer += data
        return bool(data)
