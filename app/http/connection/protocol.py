"""The HTTP protocol: one request at a time; broken, too large or too slow requests get our JSON errors."""

import asyncio
from http import HTTPStatus
from typing import Any, cast

import httptools
import structlog
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from app import metrics
from app.domain.errors import BadRequest, DomainError, HeadersTooLarge, TooSlow
from app.http.connection.http10 import Http10
from app.http.connection.request_head import check_head
from app.http.connection.write_buffer import BufferedTransport
from app.http.error_shapes import ErrorContext, answer
from app.http.middleware import request_id_of

# So much is read and discarded, so that a caller still sending sees the response rather than a reset.
_UNREAD_BYTES_MAX = 32 << 20
_PIPELINED_BYTES_MAX = 65_536
_PARTS_MAX = 100  # of data received at once
_EMPTY_LINE = b"\r\n\r\n"


class Protocol(HttpToolsProtocol):
    """uvicorn's protocol, with limits on the size of a request's head and on time, one request at a time.

    Pipelined requests are not parsed before the response to the current one is complete. So there is never
    more than one `cycle`, and the end of the connection ends that one. The data is received all the same: a
    paused transport would not notice that its client has disconnected.
    """

    head_bytes_max = 65_536
    head_wait_s = 20.0
    body_wait_s = 300.0
    _in_head = True  # of the next request; also before it
    _framing_bytes = 0  # of a head, or received since the last content of a body in chunks
    _body_bytes_left = 0  # of a body with Content-Length
    _is_body_unparsed = False
    _last_bytes = b""  # of a head or a body in chunks, if they may be the beginning of an empty line
    _pipelined = b""  # received behind the request under way
    _is_lingering = False
    _has_begun = False  # a request that has not been received completely
    _awaited_since: float | None = None  # since when the rest of a request, or its beginning, is awaited
    _unread_bytes = 0  # received after the response, or pipelined behind the request
    _timer: asyncio.TimerHandle

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start the timer that disconnects a caller who sends nothing, or sends too slowly."""
        super().connection_made(cast("asyncio.Transport", BufferedTransport(transport, self.loop)))
        self._awaited_since = self.loop.time()
        self._timer = self.loop.call_later(self.head_wait_s, self._check_deadline)

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the timer and discard pipelined data."""
        self._timer.cancel()
        self._pipelined = b""
        super().connection_lost(exc)

    def eof_received(self) -> None:
        """A client that closes its sending side counts as disconnected, even if it still reads."""
        self._mark_disconnected()

    def linger(self, seconds: float) -> None:
        """The server shuts down: the next response is the last on this connection. An idle connection stays
        open for `seconds` to receive one more request. A response that has begun can no longer announce that
        it is the last, so the client may send one more request.
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
        """Parse the data, or keep it until the response to the current request is complete."""
        self._unset_keepalive_if_required()
        if self._in_head and self._unanswered() is not None:
            self._keep(data)
        else:
            self._read(data)

    def _read(self, data: bytes) -> None:
        """Parse to the end of a request; what follows waits until the response to it is complete."""
        position, length, parts = 0, len(data), 0
        while True:
            if self._awaited_since is None:
                self._awaited_since = self.loop.time()
            # A chunk's content may be full of empty lines: after _PARTS_MAX of them the rest is parsed at
            # once. A request pipelined behind such a body, in the same data, is then refused.
            parts += 1
            end = self._end_of_part(data, position) if parts <= _PARTS_MAX else length
            self._parse(data if end - position == length else data[position:end])
            position = end
            if position == length or self.transport.is_closing():
                return
            if self._in_head and self._unanswered() is not None:
                self._keep(data[position:])
                return

    def _end_of_part(self, data: bytes, begin: int) -> int:
        """The earliest position where the request may end: parsing up to it cannot pass the request's end."""
        if self._body_bytes_left:
            return min(begin + self._body_bytes_left, len(data))
        if self._last_bytes:  # an empty line may have begun in the data before
            seam = self._last_bytes + data[begin : begin + 3]
            found = seam.find(_EMPTY_LINE)
            if found >= 0:
                end = begin + found + len(_EMPTY_LINE) - len(self._last_bytes)
                self._last_bytes = b""
                return end
        found = data.find(_EMPTY_LINE, begin)
        if found >= 0:
            self._last_bytes = b""
            return found + len(_EMPTY_LINE)
        self._last_bytes = (self._last_bytes + data[max(begin, len(data) - 3) :])[-3:]
        return len(data)

    def _parse(self, part: bytes) -> None:
        """Parse bytes of one request. An unacceptable request is refused and ends the connection."""
        self._framing_bytes += len(part)
        if self._body_bytes_left:
            self._body_bytes_left -= len(part)
        try:
            if self._is_body_unparsed:
                self._take_body(part)
            else:
                self.parser.feed_data(part)
        except httptools.HttpParserUpgrade:
            pass  # upgrades are not supported: the request is handled like any other
        except httptools.HttpParserError as error:
            reason = error.__context__
            self._refuse(reason if isinstance(reason, DomainError) else BadRequest("This is not HTTP."))
            return
        if self._framing_bytes > self.head_bytes_max:
            self._refuse(self._too_large())

    def _take_body(self, part: bytes) -> None:
        self.on_body(part)
        if not self._body_bytes_left:
            self._is_body_unparsed = False
            self.on_message_complete()

    def _keep(self, data: bytes) -> None:
        """Keep data behind a request under way. If it is too much, the connection ends with that response."""
        cycle = self.cycle
        self._unread_bytes += len(data)
        if self._unread_bytes > _UNREAD_BYTES_MAX:
            self._close()
        elif cycle.keep_alive and len(self._pipelined) + len(data) <= _PIPELINED_BYTES_MAX:
            self._pipelined += data
        else:
            cycle.keep_alive = False
            self._pipelined = b""

    def on_response_complete(self) -> None:
        """Continue with the data pipelined behind the request."""
        super().on_response_complete()
        if self._pipelined and not self.transport.is_closing():
            data, self._pipelined = self._pipelined, b""
            self._unset_keepalive_if_required()
            self._read(data)

    def on_message_begin(self) -> None:
        """A new request begins."""
        if self._unanswered() is not None:
            raise RuntimeError("a request was parsed before the one before it was answered")
        self._has_begun = True
        self._unread_bytes = 0
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """Accept the request, unless its head is too large."""
        if self._framing_bytes > self.head_bytes_max:
            raise self._too_large()
        self._in_head = False
        self._framing_bytes = 0
        super().on_headers_complete()
        self.headers = []  # collects what the parser reports from now on: trailers, which are not used
        if self._is_lingering:
            self.cycle.keep_alive = False

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        """Called by `on_headers_complete`: runs the application if the head is valid."""
        version, upgrades = cycle.scope["http_version"], self.parser.should_upgrade()
        self._body_bytes_left = check_head(self.headers, version, upgrades=upgrades)
        if version == "1.0":
            app = Http10(app, cycle)
        super()._start_asgi_task(cycle, app)

    def on_body(self, body: bytes) -> None:
        """A body that arrives after its response is discarded; too much of it closes the connection."""
        self._framing_bytes = 0
        if self._unanswered() is None:
            self._unread_bytes += len(body)
            if self._unread_bytes > _UNREAD_BYTES_MAX:
                self.transport.close()
        super().on_body(body)

    def on_message_complete(self) -> None:
        """The request is complete: the client now waits for the response."""
        if self._body_bytes_left:  # a request with Upgrade: the parser takes its head as its end
            self._is_body_unparsed = True
            return
        if self.headers:  # trailers: the parser would apply `Connection: close` to the requests behind
            self.parser = httptools.HttpRequestParser(self)
        self._in_head = True
        self._framing_bytes = 0
        self._has_begun, self._awaited_since = False, None
        super().on_message_complete()

    def _check_deadline(self) -> None:
        """Check the deadline. One timer per connection: one per request would cost every request."""
        wait_s = self.head_wait_s if self._in_head else self.body_wait_s
        left_s = wait_s
        if self._awaited_since is not None:
            left_s = self._awaited_since + wait_s - self.loop.time()
        if left_s > 0:
            self._timer = self.loop.call_later(min(left_s, self.head_wait_s), self._check_deadline)
        elif self._has_begun and (self._in_head or self._unanswered() is not None):
            self._refuse(TooSlow(f"The request did not arrive within {wait_s:g} s.", limit=wait_s))
        else:
            self.transport.close()  # no request has begun, or its response is complete

    def _too_large(self) -> DomainError:
        limit = self.head_bytes_max
        return HeadersTooLarge(f"The request's head has more than {limit} bytes.", limit=limit)

    def _refuse(self, error: DomainError) -> None:
        """Send the error, unless a response is under way, then close the connection."""
        if self.transport.is_closing():
            return
        cycle = self._unanswered()
        if cycle is None or not cycle.response_started:
            headers: Any = self.scope["headers"] if self.scope else []
            self.transport.write(_response(error, getattr(self, "url", b""), headers))
        self._close()

    def _close(self) -> None:
        """Close the connection; its client counts as disconnected at once, not when all is sent."""
        self.transport.close()
        self._mark_disconnected()

    def _mark_disconnected(self) -> None:
        cycle = self._unanswered()
        if cycle is not None:
            cycle.disconnected = True
            cycle.message_event.set()
            self.flow.resume_writing()

    def _unanswered(self) -> RequestResponseCycle | None:
        cycle: Any = self.cycle  # None before the first request
        return None if cycle is None or cycle.response_complete else cycle


def protocol(*, head_bytes_max: int, head_wait_s: float, body_wait_s: float) -> type[Protocol]:
    """A subclass with the operator's limits, since uvicorn takes a class."""
    limits = {"head_bytes_max": head_bytes_max, "head_wait_s": head_wait_s, "body_wait_s": body_wait_s}
    return type("Protocol", (Protocol,), limits)


def _response(error: DomainError, url: bytes, headers: list[tuple[bytes, bytes]]) -> bytes:
    request_id = request_id_of(headers)
    context = ErrorContext(
        path=url.partition(b"?")[0].decode("latin-1"),
        has_xi_key=any(name == b"xi-api-key" for name, _ in headers),
        user_type=None,
        request_id=request_id,
    )
    found = answer(error, context)
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
