"""Responses to HTTP/1.0 clients: without chunked coding, ended by closing the connection."""

import socket
import struct
from typing import Any

from litestar.types import ASGIApp, HTTPResponseBodyEvent, HTTPResponseStartEvent, Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

_RESET_ON_CLOSE = struct.pack("ii", 1, 0)  # SO_LINGER: on, for 0 s


class Http10:
    """The ASGI application for one request of an HTTP/1.0 client.

    If Content-Length is not known, the end of the connection marks the end of the body. A response that
    breaks off must not look complete, so its connection is reset.
    """

    def __init__(self, app: ASGIApp, cycle: RequestResponseCycle) -> None:
        self._app = app
        self._cycle = cycle
        self._is_unframed = False
        cycle.waiting_for_100_continue = False  # these clients know no interim responses

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Respond to the request."""

        async def plain(message: Any) -> None:
            if message["type"] == "http.response.start":
                self._begin(message)
            elif self._is_unframed:
                self._frame(message)
            await send(message)

        try:
            await self._app(scope, receive, plain)
        finally:
            self._check_end()

    def _begin(self, message: HTTPResponseStartEvent) -> None:
        names = {name.lower() for name, _ in message["headers"]}
        if b"content-length" not in names:
            self._is_unframed = True
            self._cycle.chunked_encoding = False

    def _frame(self, message: HTTPResponseBodyEvent) -> None:
        """uvicorn counts an unchunked body down from its length: pretend that each part is the last one."""
        self._cycle.expected_content_length = len(message["body"])

    def _check_end(self) -> None:
        cycle = self._cycle
        if self._is_unframed and not cycle.response_complete and not cycle.disconnected:
            connection: Any = cycle.transport.get_extra_info("socket")
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
            cycle.transport.abort()
