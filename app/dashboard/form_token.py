"""The token of forms again, for a page that was loaded before its person logged in anew."""

from uuid import UUID

from litestar import Response, get
from litestar.handlers import HTTPRouteHandler
from msgspec import Struct

from app.dashboard.rendering import ANYBODY, Pages
from app.domain.errors import NotFound
from app.domain.identity.principals import Principal
from app.http.bodies import AnyRequest, header_of


class SessionView(Struct, frozen=True, kw_only=True):
    """GET /session/token. `account` null: nobody is logged in in this browser."""

    form_token: str
    account: UUID | None


def session_route(pages: Pages) -> HTTPRouteHandler:
    """GET /session/token: for scripts of our own pages. Browsers give the answer to no other site, since
    none is allowed our cookies; one that says it asks for another site is refused besides.
    """

    @get("/session/token", opt=ANYBODY, include_in_schema=False)
    async def session_token(request: AnyRequest) -> Response[SessionView]:
        if header_of(request.scope, "sec-fetch-site") not in (None, "same-origin"):
            raise NotFound("There is nothing at this path.")
        who: Principal | None = request.scope["user"]
        token, cookie = pages.sessions.form_token(request.scope["headers"])
        headers = {"Cache-Control": "no-store"} | ({"Set-Cookie": cookie} if cookie else {})
        return Response(SessionView(form_token=token, account=who.account if who else None), headers=headers)

    return session_token
