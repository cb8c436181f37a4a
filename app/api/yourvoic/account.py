"""YourVoic's `GET /api/v1/credits`, and `GET /api/v1/usage` by day, key and kind of job."""

import csv
import io
from datetime import date
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
from litestar import Response, get
from litestar.di import NamedDependency
from litestar.params import FromQuery, QueryParameter
from msgspec import Struct

from app.api.codevoice.account_schemas import storage_view
from app.api.codevoice.schemas import StorageView
from app.api.csv_cells import escape_formula
from app.domain.accounts.service import Accounts
from app.domain.billing.credits import credits as in_credits
from app.domain.billing.credits import spendable
from app.domain.billing.usage_summary import DAYS, KeyUse, UsageSummaries
from app.domain.identity.scopes import ACCOUNT, USAGE
from app.domain.storage_quotas import StorageQuotas
from app.http.api_request import ApiRequest
from app.http.json_response import NO_STORE, JsonResponse
from app.openapi.operations import sends


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


_DAYS_MAX = 366


async def _credits_left(
    request: ApiRequest,
    accounts: NamedDependency[Accounts],
    usage_summaries: NamedDependency[UsageSummaries],
) -> CreditsAnswer:
    """Show the credits that can be spent, and those used this month."""
    _, balance = await accounts.me(request.user)
    left = spendable(balance)
    view = CreditsView(
        balance=None if left is None else in_credits(left),
        used_this_month=in_credits(await usage_summaries.spent_this_month(request.user)),
        plan=balance.plan,
        renewal_date=balance.resets_at.date(),
    )
    return CreditsAnswer(credits=view)


credits_left = get("/api/v1/credits", opt={"scope": ACCOUNT}, response_headers=NO_STORE)(_credits_left)
user_credits = get("/api/v1/user/credits", opt={"scope": ACCOUNT}, response_headers=NO_STORE)(_credits_left)


@get(
    "/api/v1/usage",
    opt={"scope": USAGE},
    response_headers=NO_STORE,
    operation_class=sends("text/csv", only=False),
)
async def usage(
    request: ApiRequest,
    usage_summaries: NamedDependency[UsageSummaries],
    storage: NamedDependency[StorageQuotas],
    days: Annotated[int, QueryParameter(ge=1, le=_DAYS_MAX)] = DAYS,
    format: FromQuery[Literal["json", "csv"]] = "json",
) -> Response[UsageAnswer]:
    """Show the usage by day, key and kind of job, as JSON or CSV."""
    found = await usage_summaries.by_key(request.user, days=days)
    rows = [_use(row) for row in found]
    if format == "csv":
        headers = {"Content-Disposition": 'attachment; filename="usage.csv"'}
        text: Any = _csv(rows)
        return Response(text, headers=headers, media_type="text/csv")
    totals = UseTotals(
        requests=sum(row.requests for row in found),
        characters=sum(row.characters for row in found),
        credits=in_credits(sum(row.spent for row in found)),
    )
    kept = storage_view(await storage.stored(request.user))
    return JsonResponse(UsageAnswer(days=days, usage=rows, totals=totals, storage=kept))


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
