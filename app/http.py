"""The HTTP protocol, refusing broken and huge requests in our shapes instead of the server's own."""

import asyncio
from http import HTTPStatus
from typing import Any, cast

import structlog
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from app import metrics
from app.api.shapes import Asked, answer
from app.domain.errors import BadRequest, DomainError, HeadersTooLarge, TooSlow
from app.envelope import request_id_of
from app.joined import Joined

# So much is read and thrown away, so that a caller still sending sees the answer rather than a reset.
_UNREAD_BYTES_MAX = 32 << 20


class Protocol(HttpToolsProtocol):
    """uvicorn's, with limits on the head of a request and on its time, and JSON for what cannot be parsed."""

    head_bytes_max = 65_536
    head_wait_s = 20.0
    body_wait_s = 300.0
    _in_head = True
    _head_bytes = 0  # received of a head not complete yet
    _received_bytes = 0  # just now
    _first_bytes = 0  # received when the head began; some may be the request before it
    _is_head_too_large = False
    _has_refused = False
    _is_lingering = False
    _has_begun = False  # a request whose end has not come
    _awaited_since: float | None = None  # the rest of a request, or its beginning
    _unread_bytes = 0  # of a body that came after its answer
    _look: asyncio.TimerHandle

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A caller who then says nothing, or says it for ever, is not waited for."""
        super().connection_made(cast("asyncio.Transport", Joined(transport, self.loop)))
        self._awaited_since = self.loop.time()
        self._look = self.loop.call_later(self.head_wait_s, self._look_at_the_clock)

    def connection_lost(self, exc: Exception | None) -> None:
        """Nobody is there to wait for."""
        self._look.cancel()
        super().connection_lost(exc)

    def linger(self, seconds: float) -> None:
        """The server is to end: the answer to come is the last here; one that nobody asks for is awaited so
        long. An answer under way cannot say that it is the last: another one follows, if asked for.
        """
        if self._is_lingering:
            return
        self._is_lingering = True
        self.timeout_keep_alive = seconds
        cycle = self._unanswered()
        if cycle is None:
            self._unset_keepalive_if_required()
            self.timeout_keep_alive_task = self.loop.call_later(seconds, self.timeout_keep_alive_handler)
        elif not cycle.response_started:
            cycle.keep_alive = False

    def data_received(self, data: bytes) -> None:
        """Parse; a head that goes on and on is refused before it is complete."""
        if self._has_refused:
            return
        self._received_bytes = len(data)
        if self._in_head:
            self._head_bytes += len(data)
        super().data_received(data)
        if self._awaited_since is None and self._unanswered() is None:  # empty lines before a request
            self._in_head, self._head_bytes, self._awaited_since = True, 0, self.loop.time()
        if self._in_head and self._head_bytes > self.head_bytes_max:
            self._refuse(self._too_large())

    def on_message_begin(self) -> None:
        """A new request: its head begins somewhere in the present data."""
        self._in_head = self._has_begun = True
        self._head_bytes = self._unread_bytes = 0
        self._first_bytes = self._received_bytes
        self._awaited_since = self.loop.time()
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """Refuse a head that is too large; an error here ends up in send_400_response."""
        self._in_head = False
        if self._first_bytes + self._head_bytes > self.head_bytes_max and self._is_head_larger():
            self._is_head_too_large = True
            raise ValueError("head too large")
        super().on_headers_complete()
        if self._is_lingering:
            self.cycle.keep_alive = False

    def _is_head_larger(self) -> bool:
        size = len(self.url) + sum(len(name) + len(value) for name, value in self.headers)
        return size > self.head_bytes_max

    def on_body(self, body: bytes) -> None:
        """What comes after the answer is not kept; who goes on and on with it is hung up on."""
        if self._unanswered() is None:
            self._unread_bytes += len(body)
            if self._unread_bytes > _UNREAD_BYTES_MAX:
                self.transport.close()
        super().on_body(body)

    def on_message_complete(self) -> None:
        """All of it is here: now they wait for us."""
        self._has_begun, self._awaited_since = False, None
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002
        """What uvicorn calls for everything the parser refuses."""
        self._refuse(self._too_large() if self._is_head_too_large else BadRequest("This is not HTTP."))

    def _unsupported_upgrade_warning(self) -> None:
        """We speak HTTP only; a caller who would rather upgrade is answered as any other."""

    def _look_at_the_clock(self) -> None:
        """One timer a connection, not one a request, which would cost every request its setting."""
        wait_s = self.head_wait_s if self._in_head else self.body_wait_s
        left_s = wait_s
        if self._awaited_since is not None:
            left_s = self._awaited_since + wait_s - self.loop.time()
        if left_s > 0:
            self._look = self.loop.call_later(min(left_s, self.head_wait_s), self._look_at_the_clock)
        elif self._has_begun and (self._in_head or self._unanswered() is not None):
            self._refuse(TooSlow(f"The request did not arrive within {wait_s:g} s.", limit=wait_s))
        else:
            self.transport.close()  # nothing was asked, or it is answered already

    def _too_large(self) -> DomainError:
        limit = self.head_bytes_max
        return HeadersTooLarge(f"The request's head has more than {limit} bytes.", limit=limit)

    def _refuse(self, error: DomainError) -> None:
        self._has_refused = True
        if self.transport.is_closing():
            return
        cycle = self._unanswered()
        if cycle is not None and cycle.response_started:
            self.transport.close()  # another answer is under way: nothing can be said any more
            return
        headers: list[tuple[bytes, bytes]] = self.headers or []
        url: bytes = getattr(self, "url", b"")
        self.transport.write(_response(error, url, headers))
        self.transport.close()
        if cycle is not None:
            cycle.disconnected = True
            cycle.message_event.set()

    def _unanswered(self) -> RequestResponseCycle | None:
        cycle: Any = self.cycle  # None before the first request
        return None if cycle is None or cycle.response_complete else cycle


def protocol(*, head_bytes_max: int, head_wait_s: float, body_wait_s: float) -> type[Protocol]:
    """The protocol with the operator's limits: uvicorn takes a class."""
    limits = {"head_bytes_max": head_bytes_max, "head_wait_s": head_wait_s, "body_wait_s": body_wait_s}
    return type("Protocol", (Protocol,), limits)


def _response(error: DomainError, url: bytes, headers: list[tuple[bytes, bytes]]) -> bytes:
    request_id = request_id_of(headers)
    asked = Asked(
        path=url.partition(b"?")[0].decode("latin-1"),
        has_xi_key=any(name == b"xi-api-key" for name, _ in headers),
        user_type=None,
        request_id=request_id,
    )
    found = answer(error, asked)
    metrics.request("other", metrics.UNMATCHED, found.status, 0)
    metrics.REFUSALS.labels(error.code).inc()
    structlog.get_logger().info("refused", request_id=request_id, status=found.status, code=error.code)
    lines: list[Any] = [
        f"HTTP/1.1 {found.status} {HTTPStatus(found.status).phrase}",
        "content-type: application/json",
        f"content-length: {len(found.body)}",
        f"x-request-id: {request_id}",
        "x-content-type-options: nosniff",
        "connection: close",
    ]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + found.body
