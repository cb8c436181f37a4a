"""Admin API: invitations."""

from datetime import datetime
from typing import Annotated

import msgspec
from litestar import Response, get, post
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath, FromQuery
from msgspec import Meta, Struct

from app.api.admin.context import (
    POST,
    READ,
    AdminContext,
    Reason,
    json_response,
    operation_of,
    operation_response,
)
from app.domain.admin import invites
from app.domain.admin.invites import FREE_PLAN, Invited, InviteRow, NewInvitation
from app.domain.pagination import Page
from app.http.bodies import AnyRequest, read_json
from app.openapi.bodies import request_body


class InviteBody(Struct, frozen=True, kw_only=True):
    """POST /api/admin/invites: `uses` people may sign up with it, to `plan` (name or tier)."""

    reason: str
    plan: str = FREE_PLAN
    uses: int = 1
    expires_at: Annotated[datetime, Meta(tz=True)] | None = None


_INVITE = msgspec.json.Decoder(InviteBody)
_REASON = msgspec.json.Decoder(Reason)


def invite_routes(context: AdminContext, bytes_max: int) -> list[HTTPRouteHandler]:
    """The routes that list, create and revoke invitations."""
    return [_list_route(context), _create_route(context, bytes_max), _revoke_route(context, bytes_max)]


def _list_route(context: AdminContext) -> HTTPRouteHandler:
    @get("/api/admin/invites", opt=READ)
    async def list_invites(
        limit: FromQuery[int] = 50, cursor: FromQuery[str | None] = None
    ) -> Response[Page[InviteRow]]:
        async with context.moment() as connection:
            return json_response(await invites.list_invites(connection, limit=limit, cursor=cursor))

    return list_invites


def _create_route(context: AdminContext, bytes_max: int) -> HTTPRouteHandler:
    @post("/api/admin/invites", opt=POST, operation_class=request_body(InviteBody))
    async def create_invite(request: AnyRequest) -> Response[Invited]:
        body = await read_json(request, _INVITE, bytes_max=bytes_max)
        wanted = NewInvitation(plan=body.plan, uses=body.uses, expires_at=body.expires_at)
        operation = operation_of(request, body.reason)
        async with context.connection() as connection:
            made = await invites.create(
                connection, operation, context.keys, wanted, public_url=context.public_url
            )
        return operation_response(made, 201)

    return create_invite


def _revoke_route(context: AdminContext, bytes_max: int) -> HTTPRouteHandler:
    @post(
        "/api/admin/invites/{invite:str}/revoke",
        status_code=200,
        opt=POST,
        operation_class=request_body(Reason),
    )
    async def revoke_invite(request: AnyRequest, invite: FromPath[str]) -> Response[Invited]:
        body = await read_json(request, _REASON, bytes_max=bytes_max)
        async with context.connection() as connection:
            done = await invites.revoke(connection, operation_of(request, body.reason), invite)
        return operation_response(done)

    return revoke_invite
