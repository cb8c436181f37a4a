"""Around every request: its id, one line in the log, and an answer even where the code below has a bug."""

import re
import secrets
import time
from hashlib import sha256
from typing import Any

import structlog
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from app.api.fallback import shaped
from app.domain.errors import Internal
from app.gate import STATE

_KEPT_ID = re.compile(rb"[A-Za-z0-9._-]{1,64}")
_JOB_ID = re.compile(r"[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}")
_PATH_CHARACTERS_MAX = 128
_NO_LIMIT = 0, ()


class Envelope:
    """The outermost ASGI application. Only lifespan and HTTP come this far."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, whatever happens."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        path = scope["path"]
        request_id = request_id_of(scope["headers"])
        scope.setdefault("state", {})["request_id"] = request_id
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(request_id=request_id)
        out = _Outgoing(send, request_id, scope["state"])
        try:
            await self._app(scope, receive, out)
        except Exception as error:  # a bug: the answer must not show it, the log must
            await _answer_bug(error, scope, out)
        finally:
            ms = round((time.perf_counter() - started) * 1000, 1)
            structlog.get_logger().info(
                "request", method=scope["method"], path=shown_path(path), status=out.status, ms=ms
            )


def request_id_of(headers: Any) -> str:
    """The caller's X-Request-ID where it is one we would write into a log; else a new one."""
    for name, value in headers:
        if name == b"x-request-id" and _KEPT_ID.fullmatch(value):
            return value.decode()
    return secrets.token_hex(16)


def shown_path(path: str) -> str:
    """A path for the log: a job's id is a capability, so its hash stands for it."""
    return _JOB_ID.sub(_hashed, path)[:_PATH_CHARACTERS_MAX]


def _hashed(found: re.Match[str]) -> str:
    return f"#{sha256(found[0].lower().encode()).hexdigest()[:8]}"


class _Outgoing:
    """`send`, with the headers every answer has."""

    def __init__(self, send: Send, request_id: str, state: dict[str, Any]) -> None:
        self._send = send
        self._state = state
        self._headers = [
            (b"x-request-id", request_id.encode()),
            (b"x-content-type-options", b"nosniff"),
        ]
        self.status = 0

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            message["headers"] = [*message["headers"], *self._headers, *self._state.get(STATE, _NO_LIMIT)[1]]
        await self._send(message)


async def _answer_bug(error: Exception, scope: Scope, out: _Outgoing) -> None:
    if out.status:  # too late to answer: returning unfinished makes the server cut the connection
        structlog.get_logger().error("response_broken_off", exc_info=error)
        return
    structlog.get_logger().error("unhandled", exc_info=error)
    found = shaped(Internal(), scope)
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(found.body)).encode())]
    await out({"type": "http.response.start", "status": found.status, "headers": headers})
    await out({"type": "http.response.body", "body": found.body, "more_body": False})
