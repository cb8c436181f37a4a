"""The admin page of invitations: lists, creates and revokes them."""

import secrets
from datetime import UTC, datetime, timedelta

from litestar import get, post
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath
from msgspec import Struct

from app.dashboard.forms import read_form
from app.dashboard.pages.admin import AdminPages
from app.dashboard.pages.log_in import Page
from app.dashboard.rendering import ADMIN
from app.domain.admin import invites
from app.domain.admin import plans as terms
from app.domain.admin.invites import FREE_PLAN, NewInvitation
from app.domain.admin.operations import AdminOperation, operation_by
from app.domain.errors import DomainError
from app.domain.identity.principals import Principal
from app.http.api_request import ApiRequest

_PAGE = 25
_PATH = "/admin/invites"
_POST = ADMIN | {"limit": "post", "back": _PATH}
_DAYS_MAX = 3650


class InviteForm(Struct, frozen=True, kw_only=True):
    """The form of a new invitation; with a reason alone, of a revocation."""

    reason: str = ""
    key: str | None = None
    plan: str = FREE_PLAN
    uses: int = 1
    days: int | None = None

    def act(self, caller: Principal) -> AdminOperation:
        """The form's admin operation. Raises Invalid."""
        return operation_by(caller, reason=self.reason, key=self.key)

    def wanted(self) -> NewInvitation:
        end = datetime.now(UTC) + timedelta(days=min(self.days, _DAYS_MAX)) if self.days else None
        return NewInvitation(plan=self.plan, uses=self.uses, expires_at=end)


def invite_page_routes(admin: AdminPages) -> list[HTTPRouteHandler]:
    """GET /admin/invites, and the routes of its two forms."""

    @get(_PATH, opt=ADMIN, include_in_schema=False)
    async def invites_page(request: ApiRequest) -> Page:
        return await _show(admin, request)

    return [invites_page, _create_route(admin), _revoke_route(admin)]


def _create_route(admin: AdminPages) -> HTTPRouteHandler:
    @post(_PATH, opt=ADMIN | {"limit": "post"}, include_in_schema=False, name="page:invite")
    async def create_invite(request: ApiRequest) -> Page:
        try:
            form = await read_form(request, InviteForm, admin.pages.sessions)
            wanted = form.act(request.scope["user"])
            async with admin.context.session() as session:
                made = await invites.create(
                    session, wanted, admin.context.keys, form.wanted(), public_url=admin.context.public_url
                )
        except DomainError as refused:
            if refused.status == 403:
                raise
            return await _show(admin, request, refused)
        shown = made.url or made.invitation
        text = f"Invitation made. It is shown this once: {shown}" if shown else "That was done already."
        return admin.pages.go(request, _PATH, text)

    return create_invite


def _revoke_route(admin: AdminPages) -> HTTPRouteHandler:
    @post(f"{_PATH}/{{invite:str}}/revoke", opt=_POST, include_in_schema=False, name="page:invite:revoke")
    async def revoke_invite(request: ApiRequest, invite: FromPath[str]) -> Page:
        form = await read_form(request, InviteForm, admin.pages.sessions)
        try:
            wanted = form.act(request.scope["user"])
            async with admin.context.session() as session:
                await invites.revoke(session, wanted, invite)
        except DomainError as refused:
            if refused.status == 404:
                raise
            return await _show(admin, request, refused)
        return admin.pages.go(request, _PATH, "The invitation is revoked.")

    return revoke_invite


async def _show(admin: AdminPages, request: ApiRequest, notice: DomainError | None = None) -> Page:
    cursor = request.query_params.get("cursor") or None
    async with admin.context.moment() as session:
        found = await invites.list_invites(session, limit=_PAGE, cursor=cursor)
        plans = await terms.list_plans(session)
    key = secrets.token_hex(16)
    return await admin.pages.show(
        request, "admin_invites.html", notice=notice, found=found, plans=plans, key=key
    )
