"""The admin page of invitations: lists, creates and revokes them."""

import secrets
from datetime import UTC, datetime, timedelta

from litestar import get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery
from msgspec import Struct

from app.api.admin.context import AdminContext
from app.dashboard.pages.admin import Context
from app.dashboard.rendering import ADMIN, Page, PageRequest
from app.domain.admin import invites
from app.domain.admin import plans as terms
from app.domain.admin.invites import FREE_PLAN, NewInvitation
from app.domain.admin.operations import AdminOperation, operation_by
from app.domain.errors import DomainError
from app.domain.identity.principals import Principal

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


@get(_PATH, opt=ADMIN)
async def invites_page(
    page: NamedDependency[PageRequest], context: Context, cursor: FromQuery[str] = ""
) -> Page:
    """The invitations, and the form of a new one."""
    return await _show(page, context, cursor)


@post(_PATH, opt=ADMIN | {"limit": "post"})
async def create_invite(page: NamedDependency[PageRequest], context: Context) -> Page:
    """Create an invitation."""
    try:
        form = await page.form(InviteForm)
        wanted, url = form.act(page.request.user), context.public_url
        async with context.session() as session:
            made = await invites.create(session, wanted, context.keys, form.wanted(), public_url=url)
    except DomainError as refused:
        if refused.status == 403:
            raise
        return await _show(page, context, notice=refused)
    shown = made.url or made.invitation
    text = f"Invitation made. It is shown this once: {shown}" if shown else "That was done already."
    return page.go(_PATH, text)


@post(f"{_PATH}/{{invite:str}}/revoke", opt=_POST)
async def revoke_invite(invite: FromPath[str], page: NamedDependency[PageRequest], context: Context) -> Page:
    """Revoke an invitation."""
    form = await page.form(InviteForm)
    try:
        wanted = form.act(page.request.user)
        async with context.session() as session:
            await invites.revoke(session, wanted, invite)
    except DomainError as refused:
        if refused.status == 404:
            raise
        return await _show(page, context, notice=refused)
    return page.go(_PATH, "The invitation is revoked.")


async def _show(
    page: PageRequest, context: AdminContext, cursor: str = "", notice: DomainError | None = None
) -> Page:
    async with context.moment() as session:
        found = await invites.list_invites(session, limit=_PAGE, cursor=cursor or None)
        plans = await terms.list_plans(session)
    key = secrets.token_hex(16)
    return await page.show("admin_invites.html", notice=notice, found=found, plans=plans, key=key)
