"""Request middleware: request ids, access log, metrics, CORS, and a response even to a bug."""

import os
import re
import time
from collections.abc import Callable
from typing import Any

import structlog
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from app import metrics
from app.domain.errors import BadRequest, DomainError, Internal
from app.http.cors import Cors, Headers
from app.http.errors import error_response
from app.http.rate_limit import STATE
from db.logging import begin_request, hashed_text, request_done

_AUDIO = (b"audio/", b"application/octet-stream")
_KEPT_ID = re.compile(rb"[A-Za-z0-9._-]{1,64}")
_ONLY_BY_TLS = b"strict-transport-security", b"max-age=31536000"
_JOB_ID = re.compile(r"[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}")


class RequestMiddleware:
    """The outermost ASGI application. The server passes it only lifespan and HTTP scopes.

    `is_secure`: callers reach the server over TLS only, and responses carry Strict-Transport-Security.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        cors: Cors | None = None,
        is_secure: bool = False,
        drain: Callable[[], None] = lambda: None,
    ) -> None:
        self._app = app
        self._cors = cors
        self._always = [*(cors.always if cors else []), *([_ONLY_BY_TLS] if is_secure else [])]
        self.drain = drain  # ends waiting requests and open streams when the server stops

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Respond to one request, whatever happens."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        path = scope["path"]  # the router changes it
        headers: Any = scope["headers"]
        request_id = request_id_of(headers)
        scope.setdefault("state", {})["request_id"] = request_id
        begin_request(request_id)
        out = _Outgoing(send, scope, request_id)
        out.headers += self._always
        try:
            if self._cors is not None and (origin := _origin(headers)):
                await self._answer_script(self._cors, origin, scope, receive, out)
            else:
                await self._app(scope, receive, out)
        except Exception as error:  # a bug: the log must show it, the response must not
            await _answer_bug(error, scope, out)
        finally:
            _record(scope, path, out)

    async def _answer_script(
        self, cors: Cors, origin: bytes, scope: Scope, receive: Receive, out: "_Outgoing"
    ) -> None:
        if scope.get("method") != "OPTIONS":
            out.headers += cors.response_headers(origin)
            await self._app(scope, receive, out)
        elif allowed := cors.preflight(origin, list(scope["headers"])):
            await out({"type": "http.response.start", "status": 204, "headers": allowed})
            await out({"type": "http.response.body", "body": b"", "more_body": False})
        else:
            await _refuse(BadRequest("Scripts of this origin may not call this service."), scope, out)


def _record(scope: Scope, path: str, out: "_Outgoing") -> None:
    """Count and log the request: its route and a hash of the job id, as the path itself may hold any text."""
    seconds, method, route = time.perf_counter() - out.began, scope.get("method", ""), _route(scope)
    metrics.request(method, route, out.status, seconds)
    found = _JOB_ID.search(path)
    job = {"job": hashed_text(found[0])} if found else {}
    ms = round(seconds * 1000, 1)
    request_done(method=method, route=route, status=out.status, ms=ms, **job)


def _route(scope: Scope) -> str:
    """The path template of the matched route."""
    return str(scope.get("path_template") or metrics.UNMATCHED)


def request_id_of(headers: Any) -> str:
    """The caller's X-Request-ID if it is safe to log; otherwise a new one."""
    for name, value in headers:
        if name == b"x-request-id" and _KEPT_ID.fullmatch(value):
            return value.decode()
    return os.urandom(16).hex()


def _origin(headers: Any) -> bytes | None:
    for name, value in headers:
        if name == b"origin":
            return value
    return None


class _Outgoing:
    """`send` that adds the headers of every response and measures the time to the first byte of audio."""

    __slots__ = ("_awaits_audio", "_request_id", "_scope", "_send", "began", "headers", "status")

    def __init__(self, send: Send, scope: Scope, request_id: str) -> None:
        self._send = send
        self._scope = scope
        self._request_id = b"x-request-id", request_id.encode()
        self._awaits_audio = False
        self.headers: Headers = [(b"x-content-type-options", b"nosniff")]
        self.began = time.perf_counter()
        self.status = 0

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            message["headers"] = self._complete(message["headers"])
        elif self._awaits_audio and message.get("body"):
            self._awaits_audio = False
            metrics.first_audio(_route(self._scope), time.perf_counter() - self.began)
        await self._send(message)

    def _complete(self, given: Any) -> Headers:
        headers, has_id = [*given, *self.headers], False
        for name, value in given:
            lower = name.lower()
            if lower == b"x-request-id":
                has_id = True  # the response may use a job's id instead of the request's
            elif lower == b"content-type" and value.startswith(_AUDIO):
                self._awaits_audio = self._scope.get("method") == "POST"
        if not has_id:
            headers.append(self._request_id)
        shown: Any = self._scope["state"].get(STATE)
        return [*headers, *shown[1]] if shown else headers


async def _answer_bug(error: Exception, scope: Scope, out: _Outgoing) -> None:
    if out.status:  # the response has begun: leaving it unfinished makes the server cut the connection
        structlog.get_logger().error("response_broken_off", exc_info=error)
        return
    structlog.get_logger().error("unhandled", exc_info=error)
    await _refuse(Internal(), scope, out)


async def _refuse(error: DomainError, scope: Scope, out: _Outgoing) -> None:
    found = error_response(error, scope)
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(found.body)).encode())]
    await out({"type": "http.response.start", "status": found.status, "headers": headers})
    await out({"type": "http.response.body", "body": found.body, "more_body": False})
