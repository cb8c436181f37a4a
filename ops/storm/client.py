"""One HTTP connection of a storm's client: asks, and says whether there was an answer."""

import asyncio
from typing import Any
from urllib.parse import urlsplit

import msgspec
from msgspec import Struct

_TIMEOUT_S = 6.0
_LOST = (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, TimeoutError, ValueError)


class Answer(Struct, frozen=True):
    """A status and a JSON body. Status 0: no answer came, so nobody knows."""

    http: int
    body: Any = None
    replayed: bool = False


NONE = Answer(0)


class Client:
    """Connects when asked, and again after a loss. One request at a time."""

    def __init__(self, url: str) -> None:
        place = urlsplit(url)
        self._host, self._port = place.hostname or "", place.port or 80
        self._ends: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(
        self, method: str, path: str, *, key: str, body: object = None, idempotency: str = ""
    ) -> Answer:
        """The answer; NONE where the connection broke or six seconds passed."""
        try:
            async with asyncio.timeout(_TIMEOUT_S):
                await self._send(method, path, key=key, body=body, idempotency=idempotency)
                return await self._receive()
        except _LOST:
            self.close()
            return NONE

    async def hang_up(self, path: str, *, key: str, body: object, idempotency: str = "") -> None:
        """POST, and be gone before the answer."""
        try:
            async with asyncio.timeout(_TIMEOUT_S):
                await self._send("POST", path, key=key, body=body, idempotency=idempotency)
        except _LOST:
            pass
        self.close()

    def close(self) -> None:
        """Hang up."""
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
        return Answer(
            int(status.split()[1]),
            msgspec.json.decode(body) if body else None,
            fields.get("idempotent-replayed") == "true",
        )
