"""A proxy between the API and Postgres that counts round trips, and can be cut or frozen."""

import asyncio
import threading
from collections.abc import Coroutine
from typing import Any
from urllib.parse import urlsplit

SYNC = ord("S")


class Wire:
    """Listens on its own port; `round_trips` counts the requests the client wants answered."""

    def __init__(self, database_url: str) -> None:
        parts = urlsplit(database_url)
        self._target = parts.hostname or "", parts.port or 5432
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._port = 0
        self.round_trips = 0
        self.lose_next_answer = False
        self._flowing = asyncio.Event()
        self._flowing.set()
        self.mend()
        self.url = parts._replace(netloc=f"{parts.username}:{parts.password}@127.0.0.1:{self._port}").geturl()

    def mend(self) -> None:
        """Listen (again)."""
        self._run(self._listen())

    def cut(self) -> None:
        """Break every connection, and take no new one."""
        self._run(self._close())

    def freeze(self) -> None:
        """Carry nothing, as if Postgres stood still; connections are still taken."""
        self._loop.call_soon_threadsafe(self._flowing.clear)

    def thaw(self) -> None:
        """Carry on."""
        self._loop.call_soon_threadsafe(self._flowing.set)

    def close(self) -> None:
        self.thaw()
        self.cut()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _run(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._carry, "127.0.0.1", self._port)
        self._port = self._server.sockets[0].getsockname()[1]

    async def _close(self) -> None:
        if self._server is not None:
            self._server.close()
        for writer in list(self._writers):
            writer.transport.abort()
        await asyncio.sleep(0.05)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self._flowing.wait()
        there_reader, there_writer = await asyncio.open_connection(*self._target)
        self._writers |= {writer, there_writer}
        try:
            await asyncio.gather(self._forth(reader, there_writer), self._back(there_reader, writer))
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            for end in (writer, there_writer):
                self._writers.discard(end)
                end.transport.abort()

    async def _forth(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """The start-up packet has no type; every later message is type, length, content."""
        size = await reader.readexactly(4)
        while int.from_bytes(size) == 8:  # asks for TLS: what comes next is a start-up packet again
            writer.write(size + await reader.readexactly(4))
            size = await reader.readexactly(4)
        writer.write(size + await reader.readexactly(int.from_bytes(size) - 4))
        while True:
            head = await reader.readexactly(5)
            await self._flowing.wait()
            writer.write(head + await reader.readexactly(int.from_bytes(head[1:]) - 4))
            self.round_trips += head[0] == SYNC

    async def _back(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while chunk := await reader.read(65536):
            if self.lose_next_answer:
                self.lose_next_answer = False
                raise ConnectionResetError
            await self._flowing.wait()
            writer.write(chunk)
        raise ConnectionResetError
