"""Admin API: credits granted, refunded and expired. The back end of a shop calls these routes."""

from typing import Annotated

from litestar import Controller, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody
from msgspec import Meta, Struct

from app.api.admin.context import AdminContext, Operator, changes, operation_response
from app.api.fields import Email, ReasonText
from app.domain.admin import credits
from app.domain.admin.credits import Moved, Transfer, micro
from app.domain.errors import Closed, NotCharged, NotEnough, NotFound
from app.domain.pagination import Page
from app.http.json_response import JsonResponse


class AmountBody(Struct, frozen=True, kw_only=True):
    """POST /api/admin/grants and /api/admin/expiries: `account` by e-mail or id, `amount` in credits."""

    account: Email
    amount: Annotated[int | float, Meta(examples=[100])]
    reason: ReasonText


class RefundBody(Struct, frozen=True, kw_only=True):
    """POST /api/admin/refunds."""

    job: str
    reason: ReasonText


class CreditsController(Controller):
    """Credits granted, expired and refunded, and the transfers of an account."""

    @post("/grants", status_code=200, opt=changes(NotFound, Closed))
    async def grant(
        self,
        data: JSONBody[AmountBody],
        operator: NamedDependency[Operator],
        context: NamedDependency[AdminContext],
    ) -> JsonResponse[Moved]:
        """Grant paid credits to an account."""
        operation, amount = operator.operation(data.reason), micro(data.amount)
        async with context.session() as session:
            return operation_response(await credits.grant(session, operation, data.account, amount))

    @post("/expiries", status_code=200, opt=changes(NotFound, NotEnough))
    async def expire(
        self,
        data: JSONBody[AmountBody],
        operator: NamedDependency[Operator],
        context: NamedDependency[AdminContext],
    ) -> JsonResponse[Moved]:
        """Take back paid credits that an account has not spent."""
        operation, amount = operator.operation(data.reason), micro(data.amount)
        async with context.session() as session:
            return operation_response(await credits.expire(session, operation, data.account, amount))

    @post("/refunds", status_code=200, opt=changes(NotFound, NotCharged))
    async def refund(
        self,
        data: JSONBody[RefundBody],
        operator: NamedDependency[Operator],
        context: NamedDependency[AdminContext],
    ) -> JsonResponse[Moved]:
        """Refund what a job cost."""
        async with context.session() as session:
            return operation_response(
                await credits.refund(session, operator.operation(data.reason), data.job)
            )

    @get("/accounts/{account:str}/transfers")
    async def transfers(
        self,
        account: FromPath[str],
        context: NamedDependency[AdminContext],
        limit: FromQuery[int] = 50,
        cursor: FromQuery[str | None] = None,
    ) -> Page[Transfer]:
        """List the transfers of an account, the newest first."""
        async with context.moment() as session:
            return await credits.history(session, account, limit=limit, cursor=cursor)
