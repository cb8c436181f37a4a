"""Admin API: the keys of any account."""

import msgspec
from litestar import Response, get, post
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath, FromQuery
from msgspec import Struct

from app.api.admin.context import (
    POST,
    READ,
    AdminContext,
    Reason,
    json_response,
    operation_of,
    operation_response,
)
from app.domain.admin import keys
from app.domain.admin.keys import KeyOperationResult, KeyRow
from app.domain.pagination import Page
from app.http.bodies import AnyRequest, read_json
from app.openapi.bodies import request_body


class MakeBody(Struct, frozen=True, kw_only=True):
    """POST …/keys. Without scopes the key may do everything its account may."""

    name: str
    reason: str
    scopes: list[str] = []


class ReplaceBody(Struct, frozen=True, kw_only=True):
    """POST …/rotate. `grace_s`: how long the old key keeps working, in seconds."""

    reason: str
    grace_s: int = 0


_MAKE = msgspec.json.Decoder(MakeBody)
_REPLACE = msgspec.json.Decoder(ReplaceBody)
_REASON = msgspec.json.Decoder(Reason)


def key_routes(context: AdminContext, bytes_max: int) -> list[HTTPRouteHandler]:
    """The routes that list, create, rotate and revoke keys."""
    return [
        _list_route(context),
        _create_route(context, bytes_max),
        _rotate_route(context, bytes_max),
        _revoke_route(context, bytes_max),
    ]


def _list_route(context: AdminContext) -> HTTPRouteHandler:
    @get("/api/admin/accounts/{account:str}/keys", opt=READ)
    async def keys_of_account(
        account: FromPath[str], limit: FromQuery[int] = 50, cursor: FromQuery[str | None] = None
    ) -> Response[Page[KeyRow]]:
        async with context.moment() as connection:
            return json_response(await keys.list_keys(connection, account, limit=limit, cursor=cursor))

    return keys_of_account


def _create_route(context: AdminContext, bytes_max: int) -> HTTPRouteHandler:
    @post("/api/admin/accounts/{account:str}/keys", opt=POST, operation_class=request_body(MakeBody))
    async def make_key(request: AnyRequest, account: FromPath[str]) -> Response[KeyOperationResult]:
        body = await read_json(request, _MAKE, bytes_max=bytes_max)
        async with context.session() as session:
            made = await keys.create_key(
                session,
                operation_of(request, body.reason),
                context.keys,
                account,
                name=body.name,
                wanted=body.scopes,
                keep_sealed=context.keep_sealed,
                keys_max=context.keys_max,
            )
        return operation_response(made, 201)

    return make_key


def _rotate_route(context: AdminContext, bytes_max: int) -> HTTPRouteHandler:
    @post(
        "/api/admin/keys/{key:str}/rotate",
        status_code=201,
        opt=POST,
        operation_class=request_body(ReplaceBody),
    )
    async def replace_key(request: AnyRequest, key: FromPath[str]) -> Response[KeyOperationResult]:
        body = await read_json(request, _REPLACE, bytes_max=bytes_max)
        async with context.session() as session:
            operation = operation_of(request, body.reason)
            made = await keys.rotate_key(
                session,
                operation,
                context.keys,
                key,
                grace_s=body.grace_s,
                keep_sealed=context.keep_sealed,
                keys_max=context.keys_max,
            )
        return operation_response(made, 201)

    return replace_key


def _revoke_route(context: AdminContext, bytes_max: int) -> HTTPRouteHandler:
    @post("/api/admin/keys/{key:str}/revoke", status_code=200, opt=POST, operation_class=request_body(Reason))
    async def end_key(request: AnyRequest, key: FromPath[str]) -> Response[KeyOperationResult]:
        body = await read_json(request, _REASON, bytes_max=bytes_max)
        async with context.session() as session:
            done = await keys.revoke_key(session, operation_of(request, body.reason), key)
        return operation_response(done)

    return end_key
