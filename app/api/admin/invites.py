"""Operators: invitations."""

from datetime import datetime
from typing import Annotated

import msgspec
from litestar import Response, get, post
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath, FromQuery
from msgspec import Meta, Struct

from app.api.admin.desk import (
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
    """POST /api/admin/invites: so many people may sign up by it, onto that plan (name or tier)."""

    reason: str
    plan: str = FREE_PLAN
    uses: int = 1
    expires_at: Annotated[datetime, Meta(tz=True)] | None = None


_INVITE = msgspec.json.Decoder(InviteBody)
_WHY = msgspec.json.Decoder(Reason)


def invite_routes(desk: AdminContext, bytes_max: int) -> list[HTTPRouteHandler]:
    """Invitations listed, made, revoked."""
    return [_list_route(desk), _create_route(desk, bytes_max), _revoke_route(desk, bytes_max)]


def _list_route(desk: AdminContext) -> HTTPRouteHandler:
    @get("/api/admin/invites", opt=READ)
    async def list_invites(
        limit: FromQuery[int] = 50, cursor: FromQuery[str | None] = None
    ) -> Response[Page[InviteRow]]:
        async with desk.moment() as connection:
            return json_response(await invites.list_invites(connection, limit=limit, cursor=cursor))

    return list_invites


def _create_route(desk: AdminContext, bytes_max: int) -> HTTPRouteHandler:
    @post("/api/admin/invites", opt=POST, operation_class=request_body(InviteBody))
    async def create_invite(request: AnyRequest) -> Response[Invited]:
        body = await read_json(request, _INVITE, bytes_max=bytes_max)
        wanted = NewInvitation(plan=body.plan, uses=body.uses, expires_at=body.expires_at)
        act = operation_of(request, body.reason)
        async with desk.connection() as connection:
            made = await invites.create(connection, act, desk.keys, wanted, public_url=desk.public_url)
        return operation_response(made, 201)

    return create_invite


def _revoke_route(desk: AdminContext, bytes_max: int) -> HTTPRouteHandler:
    @post(
        "/api/admin/invites/{invite:str}/revoke",
        status_code=200,
        opt=POST,
        operation_class=request_body(Reason),
    )
    async def revoke_invite(request: AnyRequest, invite: FromPath[str]) -> Response[Invited]:
        body = await read_json(request, _WHY, bytes_max=bytes_max)
        async with desk.connection() as connection:
            done = await invites.revoke(connection, operation_of(request, body.reason), invite)
        return operation_response(done)

    return revoke_invite
