"""One HTTP connection of a storm's client: sends requests, and reports whether there was a response."""

import asyncio
import socket
import struct
from typing import Any, Literal
from urllib.parse import urlsplit

import msgspec
from msgspec import Struct

from ops.storm.lateness import PLAIN_S, SPEECH_S, Lateness

_LEAVE_S = 12.0
Leaving = Literal["FIN", "RST", "half-close", "pipelined, then RST", "garbage"]
LEAVINGS: tuple[Leaving, ...] = ("FIN", "RST", "half-close", "pipelined, then RST", "garbage")
_GARBAGE = b"\x00\xff\r\n\r\nGET"
_NEXT = b"GET /health/live HTTP/1.1\r\nHost: storm\r\n\r\n"
_LOST = (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, TimeoutError, ValueError)


class Answer(Struct, frozen=True):
    """A status and a JSON body. Status 0: no response came, so the outcome is unknown."""

    http: int
    body: Any = None
    replayed: bool = False


NONE = Answer(0)


class Client:
    """Connects on first use, and again after a loss. One request at a time; `lateness` times each."""

    def __init__(self, url: str, lateness: Lateness | None = None) -> None:
        self._lateness = lateness
        place = urlsplit(url)
        self._host, self._port = place.hostname or "", place.port or 80
        self._ends: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(
        self,
        method: str,
        path: str,
        *,
        key: str,
        body: object = None,
        idempotency: str = "",
        is_speech: bool = False,
    ) -> Answer:
        """The response; NONE if the connection broke, or no promise could be kept any more."""
        within_s = SPEECH_S if is_speech else PLAIN_S
        asking = self._ask(method, path, key=key, body=body, idempotency=idempotency, wait_s=2 * within_s)
        if self._lateness is None:
            return await asking
        return await self._lateness.timed(f"{method} {path.split('/')[1]}", asking, within_s=within_s)

    async def _ask(
        self, method: str, path: str, *, key: str, body: object, idempotency: str, wait_s: float
    ) -> Answer:
        try:
            async with asyncio.timeout(wait_s):
                await self._send(method, path, key=key, body=body, idempotency=idempotency)
                return await self._receive()
        except _LOST:
            self.close()
            return NONE

    async def hang_up(
        self, path: str, *, key: str, body: object, idempotency: str = "", how: Leaving = "FIN"
    ) -> None:
        """POST, and disconnect in that way before the response."""
        try:
            async with asyncio.timeout(_LEAVE_S):
                await self._send("POST", path, key=key, body=body, idempotency=idempotency)
                await self._leave(how)
        except _LOST:
            pass
        self.close()

    async def _leave(self, how: Leaving) -> None:
        assert self._ends
        reader, writer = self._ends
        if how == "pipelined, then RST":
            writer.write(_NEXT)
        if how == "garbage":
            writer.write(_GARBAGE)
        if how == "half-close":
            writer.write_eof()
            await reader.read()
        await writer.drain()
        if how.endswith("RST"):
            opened = writer.get_extra_info("socket")
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()

    def close(self) -> None:
        """Disconnect."""
        if self._ends:
            self._ends[1].close()
            self._ends = None

    async def _send(self, method: str, path: str, *, key: str, body: object, idempotency: str) -> None:
        if self._ends is None:
            self._ends = await asyncio.open_connection(self._host, self._port)
        text = b"" if body is None else msgspec.json.encode(body)
        head = f"{method} {path} HTTP/1.1\r\nHost: storm\r\nX-API-Key: {key}\r\n"
        if idempotency:
            head += f"Idempotency-Key: {idempotency}\r\n"
        self._ends[1].write(f"{head}Content-Length: {len(text)}\r\n\r\n".encode() + text)
        await self._ends[1].drain()

    async def _receive(self) -> Answer:
        assert self._ends
        reader = self._ends[0]
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
        status, _, rest = head.partition("\r\n")
        fields = dict(line.split(": ", 1) for line in rest.split("\r\n") if ": " in line)
        body = await reader.readexactly(int(fields.get("content-length", "0")))
        if fields.get("connection") == "close":
            self.close()
        is_json = fields.get("content-type", "").startswith("application/json")
        return Answer(
            int(status.split()[1]),
            msgspec.json.decode(body) if body and is_json else None,
            fields.get("idempotent-replayed") == "true",
        )
