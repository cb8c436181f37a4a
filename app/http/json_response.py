"""The JSON response of every route: encoded when it is created, and sent unchanged."""

from collections.abc import Mapping
from typing import Any, TypeVar

import msgspec
from litestar import Response
from litestar.types import Receive, Scope, Send

T = TypeVar("T")

NO_STORE = {"Cache-Control": "no-store"}


def replayed(is_replayed: bool) -> dict[str, str]:
    """The header of the answer to a request that was sent before with the same Idempotency-Key."""
    return {"Idempotent-Replayed": "true"} if is_replayed else {}


class JsonResponse(Response[T]):
    """JSON without cookies or background tasks, at half the cost of the framework's response.

    As the application's `response_class` it takes what handlers return. Handlers create one themselves for
    headers that depend on the request. `content` may be bytes that are JSON already; None: no body.
    """

    __slots__ = ("_body",)

    def __init__(
        self,
        content: T,
        *,
        headers: Mapping[str, str] | None = None,
        status_code: int | None = None,
        **_framework: Any,
    ) -> None:
        if content is None:
            self._body = b""
        else:
            self._body = content if isinstance(content, bytes) else msgspec.json.encode(content)
        self.headers = dict(headers or {})
        self.status_code = status_code

    def to_asgi_response(  # type: ignore[override]
        self,
        *,
        headers: Mapping[str, str] | None = None,
        status_code: int | None = None,
        **_framework: Any,
    ) -> Any:
        """Called by the framework with the route's own headers and status: the response is its own app."""
        self.headers = {**(headers or {}), **self.headers}
        self.status_code = self.status_code or status_code or 200
        return self

    async def __call__(self, _scope: Scope, _receive: Receive, send: Send) -> None:
        """Send the response as ASGI messages."""
        headers = [(name.lower().encode(), value.encode("latin-1")) for name, value in self.headers.items()]
        if self._body:
            headers += [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(self._body))]
        await send({"type": "http.response.start", "status": self.status_code or 200, "headers": headers})
        await send({"type": "http.response.body", "body": self._body, "more_body": False})
