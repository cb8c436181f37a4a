"""`GET /session/token`: a new form token for a page that was loaded before its user logged in again."""

from uuid import UUID

from litestar import Response, get
from litestar.handlers import HTTPRouteHandler
from msgspec import Struct

from app.dashboard.rendering import ANYBODY, Pages
from app.domain.errors import NotFound
from app.domain.identity.principals import Principal
from app.http.api_request import ApiRequest


class SessionView(Struct, frozen=True, kw_only=True):
    """GET /session/token. `account` null: nobody is logged in with this browser."""

    form_token: str
    account: UUID | None


def session_route(pages: Pages) -> HTTPRouteHandler:
    """GET /session/token, for scripts of our own pages. Browsers show the response to no other site, since
    CORS allows none to send our cookies. A request that a browser marks as cross-site gets 404 as well.
    """

    @get("/session/token", opt=ANYBODY, include_in_schema=False)
    async def session_token(request: ApiRequest) -> Response[SessionView]:
        if request.headers.get("sec-fetch-site") not in (None, "same-origin"):
            raise NotFound("There is nothing at this path.")
        who: Principal | None = request.scope["user"]
        token, cookie = pages.sessions.form_token(request.scope["headers"])
        headers = {"Cache-Control": "no-store"} | ({"Set-Cookie": cookie} if cookie else {})
        return Response(SessionView(form_token=token, account=who.account if who else None), headers=headers)

    return session_token
