"""Admin API: the price book."""

from datetime import datetime

import msgspec
from litestar import Response, get, post
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromQuery
from msgspec import Struct

from app.api.admin.context import POST, READ, AdminContext, json_response, operation_of, operation_response
from app.domain.admin import prices
from app.domain.admin.credits import micro
from app.domain.admin.prices import NewPrice, Priced, PriceRow, Unit
from app.domain.pagination import Page
from app.http.bodies import AnyRequest, read_json
from app.openapi.bodies import request_body


class PriceBody(Struct, frozen=True, kw_only=True):
    """POST /api/admin/prices: `price` in credits per unit; `*` stands for any kind or engine."""

    kind: str
    unit: Unit
    price: int | float
    reason: str
    engine: str = "*"
    valid_from: datetime | None = None


_PRICE = msgspec.json.Decoder(PriceBody)


def price_routes(context: AdminContext, bytes_max: int) -> list[HTTPRouteHandler]:
    """The routes that list and set prices."""
    return [_list_route(context), _set_route(context, bytes_max)]


def _list_route(context: AdminContext) -> HTTPRouteHandler:
    @get("/api/admin/prices", opt=READ)
    async def list_prices(
        limit: FromQuery[int] = 50, cursor: FromQuery[str | None] = None
    ) -> Response[Page[PriceRow]]:
        async with context.moment() as connection:
            return json_response(await prices.list_prices(connection, limit=limit, cursor=cursor))

    return list_prices


def _set_route(context: AdminContext, bytes_max: int) -> HTTPRouteHandler:
    @post("/api/admin/prices", status_code=200, opt=POST, operation_class=request_body(PriceBody))
    async def set_price(request: AnyRequest) -> Response[Priced]:
        body = await read_json(request, _PRICE, bytes_max=bytes_max)
        wanted = NewPrice(
            kind=body.kind,
            engine=body.engine,
            unit=body.unit,
            amount=micro(body.price, field="price", zero=True),
            valid_from=body.valid_from,
        )
        async with context.connection() as connection:
            done = await prices.set_price(connection, operation_of(request, body.reason), wanted)
        return operation_response(done)

    return set_price
