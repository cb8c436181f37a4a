"""YourVoic's `GET /api/v1/credits`, and `GET /api/v1/usage` by day, key and kind of job."""

import csv
import io
from datetime import date
from typing import Any, Literal
from uuid import UUID

import msgspec
from litestar import Response, get
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromQuery
from msgspec import Struct

from app.api.codevoice.account_schemas import storage_view
from app.api.codevoice.schemas import StorageView
from app.api.csv_cells import escape_formula
from app.domain.accounts.service import Accounts
from app.domain.billing.credits import credits as in_credits
from app.domain.billing.credits import spendable
from app.domain.billing.usage_summary import DAYS, KeyUse, UsageSummaries
from app.domain.errors import Invalid
from app.domain.identity.scopes import ACCOUNT, USAGE
from app.domain.storage_quotas import StorageQuotas
from app.http.bodies import AnyRequest


class CreditsView(Struct, frozen=True, kw_only=True):
    """`balance`: the credits that can be spent now; null: unlimited."""

    balance: int | float | None
    used_this_month: int | float
    plan: str
    renewal_date: date


class CreditsAnswer(Struct, frozen=True, kw_only=True):
    """GET /api/v1/credits."""

    success: Literal[True] = True
    credits: CreditsView


class UseView(Struct, frozen=True, kw_only=True):
    """Usage of one kind of job by one key (null: by tokens) on one day (UTC)."""

    date: date
    key: UUID | None
    key_name: str | None
    kind: str
    requests: int
    succeeded: int
    failed: int
    characters: int
    duration_ms: int
    credits: int | float


class UseTotals(Struct, frozen=True, kw_only=True):
    """The totals of all rows."""

    requests: int
    characters: int
    credits: int | float


class UsageAnswer(Struct, frozen=True, kw_only=True):
    """GET /api/v1/usage."""

    success: Literal[True] = True
    days: int
    usage: list[UseView]
    totals: UseTotals
    storage: StorageView


_NO_STORE = {"Cache-Control": "no-store"}
_DAYS_MAX = 366


def credits_route(accounts: Accounts, reports: UsageSummaries) -> HTTPRouteHandler:
    """`GET /api/v1/credits`, also as `/api/v1/user/credits`."""

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
        return Response(CreditsAnswer(credits=view), headers=_NO_STORE)

    return credits_left


def usage_route(reports: UsageSummaries, storage: StorageQuotas) -> HTTPRouteHandler:
    """`GET /api/v1/usage`."""

    @get("/api/v1/usage", opt={"scope": USAGE})
    async def usage(
        request: AnyRequest,
        days: FromQuery[int] = DAYS,
        format: FromQuery[str] = "json",
    ) -> Response[Any]:
        if not 1 <= days <= _DAYS_MAX:
            raise Invalid(f"The days must be from 1 to {_DAYS_MAX}.", field="days", limit=[1, _DAYS_MAX])
        if format not in ("json", "csv"):
            raise Invalid("The format is json or csv.", field="format", limit=["json", "csv"])
        who = request.scope["user"]
        found = await reports.by_key(who, days=days)
        rows = [_use(row) for row in found]
        if format == "csv":
            headers = {**_NO_STORE, "Content-Disposition": 'attachment; filename="usage.csv"'}
            return Response(_csv(rows), headers=headers, media_type="text/csv")
        totals = UseTotals(
            requests=sum(row.requests for row in found),
            characters=sum(row.characters for row in found),
            credits=in_credits(sum(row.spent for row in found)),
        )
        kept = storage_view(await storage.stored(who))
        return Response(UsageAnswer(days=days, usage=rows, totals=totals, storage=kept), headers=_NO_STORE)

    return usage


def _use(row: KeyUse) -> UseView:
    return UseView(
        date=row.day,
        key=row.key,
        key_name=row.key_name,
        kind=row.kind,
        requests=row.requests,
        succeeded=row.succeeded,
        failed=row.failed,
        characters=row.characters,
        duration_ms=row.duration_ms,
        credits=in_credits(row.spent),
    )


def _csv(rows: list[UseView]) -> str:
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(UseView.__struct_fields__)
    for row in rows:
        writer.writerow([escape_formula(value) for value in msgspec.structs.astuple(row)])
    return out.getvalue()
