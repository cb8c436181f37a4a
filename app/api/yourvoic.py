"""YourVoic's dialect: what an account has left (row 22)."""

from datetime import date
from typing import Literal

from litestar import Response, get
from litestar.handlers import HTTPRouteHandler
from msgspec import Struct

from app.api.bodies import AnyRequest
from app.domain.accounts import Accounts
from app.domain.credits import credits as in_credits
from app.domain.credits import spendable
from app.domain.scopes import ACCOUNT
from app.domain.usage import UsageReports


class CreditsView(Struct, frozen=True, kw_only=True):
    """`balance`: all that can be spent now; null: unlimited."""

    balance: int | float | None
    used_this_month: int | float
    plan: str
    renewal_date: date


class CreditsAnswer(Struct, frozen=True, kw_only=True):
    """GET /api/v1/credits."""

    success: Literal[True] = True
    credits: CreditsView


def credits_route(accounts: Accounts, reports: UsageReports) -> HTTPRouteHandler:
    """Row 22, under both of its paths."""

    @get(["/api/v1/credits", "/api/v1/user/credits"], opt={"scope": ACCOUNT})
    async def credits_left(request: AnyRequest) -> Response[CreditsAnswer]:
        who = request.scope["user"]
        _, balance = await accounts.me(who)
        left = spendable(balance)
        view = CreditsView(
            balance=None if left is None else in_credits(left),
            used_this_month=in_credits(await reports.spent_this_month(who)),
            plan=balance.plan,
            renewal_date=balance.resets_at.date(),
        )
        return Response(CreditsAnswer(credits=view), headers={"Cache-Control": "no-store"})

    return credits_left
