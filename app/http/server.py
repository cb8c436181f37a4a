"""The HTTP server with graceful shutdown: open connections get a last response before they close."""

import asyncio
import socket
import time
from collections.abc import Callable
from types import FrameType
from typing import cast

import structlog
import uvicorn

from app.http.connection.protocol import Protocol
from db.readiness import notify_ready

SHUTDOWN_S = 1  # for uvicorn's own shutdown, after the drain
_RENEWED_DRAIN_S = 600.0  # for requests under way, if another process serves already
_LINGER_S = 1.0  # for one more request on an idle connection
_POLL_S = 0.05


class Server(uvicorn.Server):
    """uvicorn's server, which stops without losing a response.

    It first stops accepting connections; another process may go on using the listening socket. Each open
    connection gets one more response, with `Connection: close`. `end_waits` then ends the requests that still
    wait and the streams that are still open after the drain.
    """

    def __init__(
        self, config: uvicorn.Config, *, drain_s: float, end_waits: Callable[[], None], ready_fd: int | None
    ) -> None:
        super().__init__(config)
        self._configured_drain_s = self._drain_s = drain_s
        self._end_waits = end_waits
        self._ready_fd = ready_fd

    def drain_for_successor(self, _number: int, _frame: FrameType | None) -> None:
        """Shut down as on TERM, but give requests under way up to 600 s."""
        if not self.should_exit:
            self._drain_s = _RENEWED_DRAIN_S
            self.should_exit = True

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Shut down on INT or TERM, also during a slow shutdown after `drain_for_successor`."""
        self._drain_s = self._configured_drain_s
        super().handle_exit(sig, frame)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to accept connections, and report readiness."""
        await super().startup(sockets)
        notify_ready(self._ready_fd)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop accepting connections, drain, then end what is left."""
        for server in self.servers:
            server.close()
        for listening in sockets or []:
            listening.close()
        structlog.get_logger().info("draining", connections=len(self.server_state.connections))
        await self._drain()
        self._end_waits()
        await super().shutdown([])

    async def _drain(self) -> None:
        """Return when the last connection is closed, or the drain period is over."""
        began = time.monotonic()
        while self.server_state.connections and not self.force_exit:
            if time.monotonic() - began >= self._drain_s:
                return
            for connection in list(self.server_state.connections):
                cast("Protocol", connection).linger(_LINGER_S)
            await asyncio.sleep(_POLL_S)
