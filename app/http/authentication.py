"""Authentication for all protected routes: finds the credential in the headers, then its principal.

Every route is protected unless it sets `public=True`. A route with `body_key=True` also accepts a key in the
body if no header has one. Pages (`page=…`) authenticate browsers by their cookie alone. On all other routes
a cookie counts only together with the form token of a page, which no other site knows.
"""

from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Literal, cast

import msgspec
from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler
from litestar.types import ASGIApp, Receive, Scope, Send
from msgspec import Struct

from app.domain.errors import LoginNeeded, MissingKey
from app.domain.identity.principals import Principal, Principals
from app.http.api_request import ApiRequest
from app.http.options import answer_options
from app.http.rate_limit import RateLimitGuard
from app.http.sessions import Sessions

Connection = ASGIConnection[Any, Any, Any, Any]
Guard = Callable[[Connection, BaseRouteHandler], Awaitable[None]]


class Credential(Struct, frozen=True):
    """The credential a caller sent."""

    kind: Literal["key", "bearer"]
    text: str


class _KeyOnly(Struct):
    api_key: Any = None


_KEY = msgspec.json.Decoder(_KeyOnly)


class Authenticator:
    """Identifies the caller. Its methods raise the 401 and 403 errors."""

    def __init__(self, principals: Principals, sessions: Sessions) -> None:
        self._principals = principals
        self._sessions = sessions

    async def authenticate(self, credential: Credential) -> Principal:
        """The principal this credential belongs to."""
        if credential.kind == "key":
            return await self._principals.of_key(credential.text)
        return await self._principals.of_bearer(credential.text)

    async def of_headers(self, headers: Iterable[tuple[bytes, bytes]]) -> Principal | None:
        """The principal of the headers' credential, or None. A key or token wins over a cookie."""
        credential = find_credential(headers)
        return await (
            self._sessions.of_script(headers) if credential is None else self.authenticate(credential)
        )

    async def of_listener(self, headers: Iterable[tuple[bytes, bytes]]) -> Principal | None:
        """Like `of_headers`, but accepts a cookie alone: players cannot send our header, and only read."""
        credential = find_credential(headers)
        return await (self._sessions.who(headers) if credential is None else self.authenticate(credential))

    def recheck(self, scope: Scope) -> Callable[[], Awaitable[Principal]]:
        """A check for long responses: authenticates the request again; raises if it is no longer allowed."""
        headers, needed = scope["headers"], scope["route_handler"].opt.get("scope")

        async def check() -> Principal:
            who = await self.of_headers(headers)
            if who is None:
                raise MissingKey
            if needed is not None:
                who.allow(needed)
            return who

        return check

    async def of_browser(self, scope: Scope, *, is_open: bool) -> Principal | None:
        """Who requests a page. Raises LoginNeeded if the page is not open to all."""
        who = await self._sessions.who(scope["headers"])
        if who is None and not is_open:
            raise LoginNeeded
        return who


def authentication(authenticator: Authenticator, rate_limit: RateLimitGuard) -> Callable[[ASGIApp], ASGIApp]:
    """Litestar middleware: applies the limits of addresses, and puts the principal into `scope["user"]`."""

    def wrap(app: ASGIApp) -> ASGIApp:
        async def authenticate(scope: Scope, receive: Receive, send: Send) -> None:
            opt = scope["route_handler"].opt
            if scope.get("method") == "OPTIONS":
                return await answer_options(scope, receive, send)
            if "limit" in opt:
                await rate_limit.before(opt, scope)
            if "page" in opt:
                scope["user"] = await authenticator.of_browser(scope, is_open=opt["page"] == "anybody")
            elif "public" not in opt:
                scope["user"] = await authenticator.of_headers(scope["headers"])
            return await app(scope, receive, send)

        return authenticate

    return wrap


def access_guard(authenticator: Authenticator, rate_limit: RateLimitGuard) -> Guard:
    """The guard of every route: who may call it, and how often. A function, as routers copy their guards."""

    async def guard(connection: Connection, handler: BaseRouteHandler) -> None:
        """Refuse the request, before its body is read, unless the handler's `opt` allows it."""
        opt, scope = handler.opt, connection.scope
        if "public" in opt:
            return
        who = scope["user"]
        if who is None:
            if "page" in opt:
                return
            if "body_key" not in opt:
                raise MissingKey
            key = _key_in(await cast("ApiRequest", connection).body())
            scope["user"] = who = await authenticator.authenticate(Credential("key", key))
        if "scope" in opt:
            who.allow(opt["scope"])
        if "limit" in opt:
            await rate_limit.after(opt, scope, who)

    return guard


def _key_in(body: bytes) -> str:
    """The key in the body. An unreadable body counts as one without a key.

    An unauthenticated caller learns nothing more about its body.
    """
    try:
        key = _KEY.decode(body).api_key
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise MissingKey from None
    if not isinstance(key, str) or not key.strip():
        raise MissingKey
    return key.strip()


def find_credential(headers: Iterable[tuple[bytes, bytes]]) -> Credential | None:
    """The credential in the headers: X-API-Key wins over xi-api-key, xi-api-key over Authorization."""
    key = xi_key = bearer = b""
    for name, value in headers:
        if name == b"x-api-key":
            key = value.strip()
        elif name == b"xi-api-key":
            xi_key = value.strip()
        elif name == b"authorization" and value[:7].lower() == b"bearer ":
            bearer = value[7:].strip()
    if key or xi_key:
        return Credential("key", (key or xi_key).decode("latin-1"))
    return Credential("bearer", bearer.decode("latin-1")) if bearer else None
