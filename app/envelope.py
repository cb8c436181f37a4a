"""Around every request: its id, one event in the log, its measure, and an answer even to a bug."""

import os
import re
import time
from collections.abc import Callable
from typing import Any
from uuid import UUID

import structlog
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from app import metrics
from app.api.fallback import shaped
from app.domain.errors import Internal
from app.gate import STATE
from db.log import begin_request, hashed, request_done

_KEPT_ID = re.compile(rb"[A-Za-z0-9._-]{1,64}")
_JOB_ID = re.compile(r"[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}")
_NO_LIMIT = 0, ()


class Envelope:
    """The outermost ASGI application. Only lifespan and HTTP come this far."""

    def __init__(self, app: ASGIApp, drain: Callable[[], None] = lambda: None) -> None:
        self._app = app
        self.drain = drain  # ends what would else wait or sound on when the server stops

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, whatever happens."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        path = scope["path"]  # the router changes it
        request_id = request_id_of(scope["headers"])
        scope.setdefault("state", {})["request_id"] = request_id
        begin_request(request_id)
        out = _Outgoing(send, scope, request_id)
        try:
            await self._app(scope, receive, out)
        except Exception as error:  # a bug: the answer must not show it, the log must
            await _answer_bug(error, scope, out)
        finally:
            _tell(scope, path, out)


def _tell(scope: Scope, path: str, out: "_Outgoing") -> None:
    """Of the path the log has the route and a hash of the job's id: callers write what they like there."""
    seconds, method, route = time.perf_counter() - out.began, scope.get("method", ""), _route(scope)
    metrics.request(method, route, out.status, seconds)
    found = _JOB_ID.search(path)
    job = {"job": hashed(UUID(found[0]))} if found else {}
    ms = round(seconds * 1000, 1)
    request_done(method=method, route=route, status=out.status, ms=ms, **job)


def _route(scope: Scope) -> str:
    """The template of the path, as the router found it."""
    return str(scope.get("path_template") or metrics.UNMATCHED)


def request_id_of(headers: Any) -> str:
    """The caller's X-Request-ID where it is one we would write into a log; else a new one."""
    for name, value in headers:
        if name == b"x-request-id" and _KEPT_ID.fullmatch(value):
            return value.decode()
    return os.urandom(16).hex()


class _Outgoing:
    """`send`, with the headers every answer has; sees the first byte of audio that was to be made."""

    def __init__(self, send: Send, scope: Scope, request_id: str) -> None:
        self._send = send
        self._scope = scope
        self._headers = [
            (b"x-request-id", request_id.encode()),
            (b"x-content-type-options", b"nosniff"),
        ]
        self._awaits_audio = False
        self.began = time.perf_counter()
        self.status = 0

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self._awaits_audio = self._makes_audio(message["headers"])
            shown: Any = self._scope["state"].get(STATE, _NO_LIMIT)[1]
            given = [name.lower() for name, _ in message["headers"]]  # a job's id may stand for the request's
            own = [header for header in self._headers if header[0] not in given]
            message["headers"] = [*message["headers"], *own, *shown]
        elif self._awaits_audio and message.get("body"):
            self._awaits_audio = False
            metrics.first_audio(_route(self._scope), time.perf_counter() - self.began)
        await self._send(message)

    def _makes_audio(self, headers: Any) -> bool:
        return self._scope.get("method") == "POST" and any(
            name == b"content-type" and value.startswith(b"audio/") for name, value in headers
        )


async def _answer_bug(error: Exception, scope: Scope, out: _Outgoing) -> None:
    if out.status:  # too late to answer: returning unfinished makes the server cut the connection
        structlog.get_logger().error("response_broken_off", exc_info=error)
        return
    structlog.get_logger().error("unhandled", exc_info=error)
    found = shaped(Internal(), scope)
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(found.body)).encode())]
    await out({"type": "http.response.start", "status": found.status, "headers": headers})
    await out({"type": "http.response.body", "body": found.body, "more_body": False})
