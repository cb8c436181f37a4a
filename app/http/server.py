"""How the server ends: whoever it has let in is answered, and told that this connection is over."""

import asyncio
import socket
import time
from collections.abc import Callable
from types import FrameType
from typing import cast

import structlog
import uvicorn

from app.http.connection.protocol import Protocol
from db.readiness import tell_ready

SHUTDOWN_S = 1  # what is left has so long to end by itself
_RENEWED_S_MAX = 600.0  # for requests under way, when another process serves already
_LINGER_S = 1.0  # for one more request on a connection that has none under way
_LOOK_S = 0.05


class Server(uvicorn.Server):
    """uvicorn's, which stops in the order that costs no caller an answer.

    It accepts no more first; the listening socket may live on elsewhere. A connection gets one more answer,
    with `Connection: close`. What is still waiting or sounding after the drain is ended by `end_waits`.
    """

    def __init__(
        self, config: uvicorn.Config, *, drain_s: float, end_waits: Callable[[], None], ready_fd: int | None
    ) -> None:
        super().__init__(config)
        self._told_s = self._drain_s = drain_s
        self._end_waits = end_waits
        self._ready_fd = ready_fd

    def renew(self, _number: int, _frame: FrameType | None) -> None:
        """End as on TERM, without its hurry."""
        if not self.should_exit:
            self._drain_s = _RENEWED_S_MAX
            self.should_exit = True

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """INT or TERM, also while it ends without hurry."""
        self._drain_s = self._told_s
        super().handle_exit(sig, frame)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to accept, and say so."""
        await super().startup(sockets)
        tell_ready(self._ready_fd)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Accept no more, drain, then end what is left."""
        for server in self.servers:
            server.close()
        for listening in sockets or []:
            listening.close()
        structlog.get_logger().info("draining", connections=len(self.server_state.connections))
        await self._until_quiet()
        self._end_waits()
        await super().shutdown([])

    async def _until_quiet(self) -> None:
        """Return when the last connection is gone, or the drain is over."""
        began = time.monotonic()
        while self.server_state.connections and not self.force_exit:
            if time.monotonic() - began >= self._drain_s:
                return
            for connection in list(self.server_state.connections):
                cast("Protocol", connection).linger(_LINGER_S)
            await asyncio.sleep(_LOOK_S)
