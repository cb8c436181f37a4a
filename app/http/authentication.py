"""The one authenticator of all protected routes: finds the credential in the headers, then who it belongs to.

Every route is protected unless it says `public=True`. One that says `body_key=True` takes a key in its body,
where no header has one. Pages (`page=…`) know browsers by their cookie alone; elsewhere a cookie counts only
together with the token of a page's forms, which no other site knows.
"""

from collections.abc import Awaitable, Callable, Iterable
from typing import Literal

from litestar.types import ASGIApp, Receive, Scope, Send
from msgspec import Struct

from app.domain.errors import LoginNeeded, MissingKey
from app.domain.identity.principals import Principal, Principals
from app.http.options import answer_options
from app.http.rate_limit import RateLimitGuard
from app.http.sessions import Sessions


class Credential(Struct, frozen=True):
    """What a caller shows."""

    kind: Literal["key", "bearer"]
    text: str


class Authenticator:
    """Tells who asks. Raises the 401 and 403 refusals."""

    def __init__(self, principals: Principals, sessions: Sessions) -> None:
        self._principals = principals
        self._sessions = sessions

    async def who(self, credential: Credential) -> Principal:
        """Whose credential this is."""
        if credential.kind == "key":
            return await self._principals.of_key(credential.text)
        return await self._principals.of_bearer(credential.text)

    async def of_headers(self, headers: Iterable[tuple[bytes, bytes]]) -> Principal | None:
        """Whose credential is in the headers; None where there is none. A key or token before a cookie."""
        credential = find_credential(headers)
        return await (self._sessions.of_script(headers) if credential is None else self.who(credential))

    async def of_listener(self, headers: Iterable[tuple[bytes, bytes]]) -> Principal | None:
        """As `of_headers`, but by a cookie alone too: players send no header of ours, and change nothing."""
        credential = find_credential(headers)
        return await (self._sessions.who(headers) if credential is None else self.who(credential))

    def checking(self, scope: Scope) -> Callable[[], Awaitable[Principal]]:
        """For who is answered for long: whose request it was, as of now. Raises what would refuse it now."""
        headers, needed = scope["headers"], scope["route_handler"].opt.get("scope")

        async def check() -> Principal:
            who = await self.of_headers(headers)
            if who is None:
                raise MissingKey
            if needed is not None:
                who.allow(needed)
            return who

        return check

    async def of_browser(self, scope: Scope) -> Principal | None:
        """Who looks at a page. Raises LoginNeeded where it is not for anybody, and MissingScope."""
        opt = scope["route_handler"].opt
        who = await self._sessions.who(scope["headers"])
        if who is None and opt["page"] != "anybody":
            raise LoginNeeded
        if who is not None and "scope" in opt:
            who.allow(opt["scope"])
        return who


def middleware(authenticator: Authenticator, gate: RateLimitGuard) -> Callable[[ASGIApp], ASGIApp]:
    """Litestar's hook before each route: the limits, and the principal, left in `scope["user"]`."""

    def wrap(app: ASGIApp) -> ASGIApp:
        async def authenticate(scope: Scope, receive: Receive, send: Send) -> None:
            opt = scope["route_handler"].opt
            if scope.get("method") == "OPTIONS":
                return await answer_options(scope, receive, send)
            if "limit" in opt:
                await gate.before(opt, scope)
            if "page" in opt:
                scope["user"] = who = await authenticator.of_browser(scope)
                if who is not None:
                    await gate.after(opt, scope, who)
            elif "public" not in opt:
                who = await authenticator.of_headers(scope["headers"])
                if who is None and "body_key" not in opt:
                    raise MissingKey
                if who is not None and "scope" in opt:
                    who.allow(opt["scope"])
                scope["user"] = who
                if who is not None and "limit" in opt:
                    await gate.after(opt, scope, who)
            return await app(scope, receive, send)

        return authenticate

    return wrap


def find_credential(headers: Iterable[tuple[bytes, bytes]]) -> Credential | None:
    """The credential in the headers: X-API-Key before xi-api-key before Authorization."""
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
