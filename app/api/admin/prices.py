"""Admin API: the price book."""

from datetime import datetime
from typing import Annotated

from litestar import Controller, get, post
from litestar.di import NamedDependency
from litestar.params import FromQuery, JSONBody
from msgspec import Meta, Struct

from app.api.admin.context import AdminContext, Operator, changes, operation_response
from app.api.fields import ReasonText
from app.domain.admin import prices
from app.domain.admin.credits import micro
from app.domain.admin.prices import NewPrice, Priced, PriceRow, Unit
from app.domain.pagination import Page
from app.http.json_response import JsonResponse


class PriceBody(Struct, frozen=True, kw_only=True):
    """POST /api/admin/prices: `price` in credits per unit; `*` stands for any kind or engine."""

    kind: Annotated[str, Meta(examples=["speech"])]
    unit: Unit
    price: int | float
    reason: ReasonText
    engine: str = "*"
    valid_from: datetime | None = None


class PricesController(Controller):
    """The price book."""

    path = "/prices"

    @get()
    async def list_prices(
        self,
        context: NamedDependency[AdminContext],
        limit: FromQuery[int] = 50,
        cursor: FromQuery[str | None] = None,
    ) -> Page[PriceRow]:
        """List the prices, past and future ones too."""
        async with context.moment() as session:
            return await prices.list_prices(session, limit=limit, cursor=cursor)

    @post(status_code=200, opt=changes())
    async def set_price(
        self,
        data: JSONBody[PriceBody],
        operator: NamedDependency[Operator],
        context: NamedDependency[AdminContext],
    ) -> JsonResponse[Priced]:
        """Set a price from a point in time on."""
        wanted = NewPrice(
            kind=data.kind,
            engine=data.engine,
            unit=data.unit,
            amount=micro(data.price, field="price", zero=True),
            valid_from=data.valid_from,
        )
        async with context.session() as session:
            return operation_response(
                await prices.set_price(session, operator.operation(data.reason), wanted)
            )
