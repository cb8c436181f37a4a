"""`GET /session/token`: a new form token for a page that was loaded before its user logged in again."""

from uuid import UUID

from litestar import Response, get
from litestar.di import NamedDependency
from msgspec import Struct

from app.dashboard.rendering import ANYBODY
from app.domain.errors import NotFound
from app.domain.identity.principals import Principal
from app.http.api_request import ApiRequest
from app.http.sessions import Sessions


class SessionView(Struct, frozen=True, kw_only=True):
    """GET /session/token. `account` null: nobody is logged in with this browser."""

    form_token: str
    account: UUID | None


@get("/session/token", opt=ANYBODY)
async def session_token(request: ApiRequest, sessions: NamedDependency[Sessions]) -> Response[SessionView]:
    """A form token for scripts of our own pages. Browsers show the response to no other site, since
    CORS allows none to send our cookies. A request that a browser marks as cross-site gets 404 as well.
    """
    if request.headers.get("sec-fetch-site") not in (None, "same-origin"):
        raise NotFound("There is nothing at this path.")
    who: Principal | None = request.scope["user"]
    token, cookie = sessions.form_token(request.scope["headers"])
    headers = {"Cache-Control": "no-store"} | ({"Set-Cookie": cookie} if cookie else {})
    return Response(SessionView(form_token=token, account=who.account if who else None), headers=headers)
