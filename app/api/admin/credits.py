"""Admin API: credits granted, refunded and expired. The back end of a shop calls these routes."""

import msgspec
from litestar import Response, get, post
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath, FromQuery
from msgspec import Struct

from app.api.admin.context import POST, READ, AdminContext, json_response, operation_of, operation_response
from app.domain.admin import credits
from app.domain.admin.credits import Moved, Transfer, micro
from app.domain.pagination import Page
from app.http.bodies import AnyRequest, read_json
from app.openapi.bodies import request_body


class AmountBody(Struct, frozen=True, kw_only=True):
    """POST /api/admin/grants and /api/admin/expiries: `account` by e-mail or id, `amount` in credits."""

    account: str
    amount: int | float
    reason: str


class RefundBody(Struct, frozen=True, kw_only=True):
    """POST /api/admin/refunds."""

    job: str
    reason: str


_AMOUNT = msgspec.json.Decoder(AmountBody)
_REFUND = msgspec.json.Decoder(RefundBody)


def credit_routes(context: AdminContext, bytes_max: int) -> list[HTTPRouteHandler]:
    """The routes that move credits, and the one that lists transfers."""
    return [
        _grant_route(context, bytes_max),
        _expire_route(context, bytes_max),
        _refund_route(context, bytes_max),
        _history_route(context),
    ]


def _grant_route(context: AdminContext, bytes_max: int) -> HTTPRouteHandler:
    @post("/api/admin/grants", status_code=200, opt=POST, operation_class=request_body(AmountBody))
    async def grant(request: AnyRequest) -> Response[Moved]:
        body = await read_json(request, _AMOUNT, bytes_max=bytes_max)
        operation, amount = operation_of(request, body.reason), micro(body.amount)
        async with context.connection() as connection:
            done = await credits.grant(connection, operation, body.account, amount)
        return operation_response(done)

    return grant


def _expire_route(context: AdminContext, bytes_max: int) -> HTTPRouteHandler:
    @post("/api/admin/expiries", status_code=200, opt=POST, operation_class=request_body(AmountBody))
    async def expire(request: AnyRequest) -> Response[Moved]:
        body = await read_json(request, _AMOUNT, bytes_max=bytes_max)
        operation, amount = operation_of(request, body.reason), micro(body.amount)
        async with context.connection() as connection:
            done = await credits.expire(connection, operation, body.account, amount)
        return operation_response(done)

    return expire


def _refund_route(context: AdminContext, bytes_max: int) -> HTTPRouteHandler:
    @post("/api/admin/refunds", status_code=200, opt=POST, operation_class=request_body(RefundBody))
    async def refund(request: AnyRequest) -> Response[Moved]:
        body = await read_json(request, _REFUND, bytes_max=bytes_max)
        async with context.connection() as connection:
            done = await credits.refund(connection, operation_of(request, body.reason), body.job)
        return operation_response(done)

    return refund


def _history_route(context: AdminContext) -> HTTPRouteHandler:
    @get("/api/admin/accounts/{account:str}/transfers", opt=READ)
    async def transfers(
        account: FromPath[str], limit: FromQuery[int] = 50, cursor: FromQuery[str | None] = None
    ) -> Response[Page[Transfer]]:
        async with context.moment() as connection:
            return json_response(await credits.history(connection, account, limit=limit, cursor=cursor))

    return transfers
