"""Admin API: invitations."""

from datetime import datetime
from typing import Annotated

from litestar import Controller, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody
from msgspec import Meta, Struct

from app.api.admin.context import AdminContext, Operator, Reason, changes, operation_response
from app.api.fields import ReasonText
from app.domain.admin import invites
from app.domain.admin.invites import FREE_PLAN, Invited, InviteRow, NewInvitation
from app.domain.errors import NotFound
from app.domain.pagination import Page
from app.http.json_response import JsonResponse


class InviteBody(Struct, frozen=True, kw_only=True):
    """POST /api/admin/invites: `uses` people may sign up with it, to `plan` (name or tier)."""

    reason: ReasonText
    plan: Annotated[str, Meta(examples=["free"])] = FREE_PLAN
    uses: int = 1
    expires_at: Annotated[datetime, Meta(tz=True)] | None = None


class InvitesController(Controller):
    """Invitations."""

    path = "/invites"

    @get()
    async def list_invites(
        self,
        context: NamedDependency[AdminContext],
        limit: FromQuery[int] = 50,
        cursor: FromQuery[str | None] = None,
    ) -> Page[InviteRow]:
        """List the invitations, the newest first."""
        async with context.moment() as session:
            return await invites.list_invites(session, limit=limit, cursor=cursor)

    @post(opt=changes(NotFound))
    async def create_invite(
        self,
        data: JSONBody[InviteBody],
        operator: NamedDependency[Operator],
        context: NamedDependency[AdminContext],
    ) -> JsonResponse[Invited]:
        """Create an invitation."""
        wanted = NewInvitation(plan=data.plan, uses=data.uses, expires_at=data.expires_at)
        operation = operator.operation(data.reason)
        async with context.session() as session:
            made = await invites.create(
                session, operation, context.keys, wanted, public_url=context.public_url
            )
        return operation_response(made)

    @post("/{invite:str}/revoke", status_code=200, opt=changes())
    async def revoke_invite(
        self,
        data: JSONBody[Reason],
        invite: FromPath[str],
        operator: NamedDependency[Operator],
        context: NamedDependency[AdminContext],
    ) -> JsonResponse[Invited]:
        """Revoke an invitation."""
        async with context.session() as session:
            return operation_response(await invites.revoke(session, operator.operation(data.reason), invite))
